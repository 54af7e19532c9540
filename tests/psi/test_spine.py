# SPDX-License-Identifier: Apache-2.0
"""The id spine: complete, aligned, fresh in every run, and silent about what is in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import chisquare

import jali
from jali.core.errors import (
    InputError,
    JaliError,
    KeyInvalid,
    ProgramError,
    PsiFrameInvalid,
    PsiKeysDiffer,
    TableInvalid,
)
from jali.psi import membership
from jali.psi import spine as module
from jali.psi.keys import Keys
from jali.psi.kinds import require_join
from jali.psi.spine import cost, spine
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_IN_A_MILLION = 1e-6


def _run(a: Keys, b: Keys, *, streams: Any = None, **how: Any) -> Any:
    streams = streams or stream_pair()
    found = run_both(
        streams,
        lambda stream: spine(stream, a, first=True, progress=quiet),
        lambda stream: spine(stream, b, first=False, progress=quiet),
        **how,
    )
    return found, streams


def _check(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> None:
    a, b = Keys(left), Keys(right)
    (mine, theirs), streams = _run(a, b)
    union = set(left.tolist()) | set(right.tolist())
    assert mine.size == theirs.size == len(union)
    assert mine.common == theirs.common == len(left) + len(right) - len(union)
    at = [
        dict(zip(s.places.tolist(), c[k.rows].tolist(), strict=True))
        for s, c, k in ((mine, left, a), (theirs, right, b))
    ]
    assert [len(places) for places in at] == [len(left), len(right)]
    for place in range(len(union)):
        here, there = at[0].get(place), at[1].get(place)
        assert here is not None or there is not None
        assert here == there or here is None or there is None
    assert {*at[0].values(), *at[1].values()} == union
    declared, counted = cost(len(left), len(right), len(union)), streams[0].counters
    assert (counted.rounds, counted.bytes_sent, counted.bytes_received) == (
        declared.rounds,
        declared.bytes_sent["me"],
        declared.bytes_sent["peer"],
    )


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (1, 1), (10, 10), (1000, 1000), (700, 7), (7, 700)])
def test_exact(n: int, m: int, shift: float) -> None:
    start = int(shift * n)
    _check(np.arange(n), np.arange(start, start + m))


def test_over_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_KEYS", 7)
    monkeypatch.setattr(membership, "CHUNK_KEYS", 5)
    _check(np.arange(60), np.arange(40, 90))


@pytest.mark.slow
def test_exact_at_twenty_thousand() -> None:
    _check(np.arange(20_000), np.arange(9_000, 30_000))


def test_the_order_is_fresh_and_says_nothing_of_keys() -> None:
    keys = Keys(np.arange(12))
    orders = [_run(keys, Keys(np.arange(6, 18)))[0][0].places.tolist() for _ in range(40)]
    assert len({tuple(order) for order in orders}) == 40
    first = [order[0] for order in orders]
    assert len(set(first)) > 8


def test_sizes_of_messages_do_not_depend_on_which_keys_match() -> None:
    """With the same number in common, they are the same; but for the union itself, with any number."""
    runs = [_run(Keys(np.arange(50)), Keys(np.arange(start, start + 40)))[1] for start in (0, 30, 90)]
    for side in (0, 1):
        sizes = [[len(message) for message in streams[side].sent] for streams in runs]
        assert sizes[0][:-1] == sizes[1][:-1] == sizes[2][:-1]


def test_the_receiver_sees_matches_in_random_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the sender's three keys one is in common: each place is as likely."""
    seen: list[np.ndarray[Any, Any]] = []
    taken = module._taken

    def noted(stream: Any, wanted: np.ndarray[Any, Any]) -> Any:
        seen.append(wanted)
        return taken(stream, wanted)

    monkeypatch.setattr(module, "_taken", noted)
    for _ in range(90):
        _run(Keys(np.arange(5)), Keys(np.arange(4, 7)))
    places = [int(np.flatnonzero(~wanted)[0]) for wanted in seen]
    assert all(np.sum(~wanted) == 1 for wanted in seen)
    assert chisquare(np.bincount(places, minlength=3)).pvalue > ONE_IN_A_MILLION


def test_ids_are_masked_where_the_receiver_has_the_key() -> None:
    """All that crosses but the points looks uniform, and no id of the spine stands in what the sender sent."""
    (mine, _), (receiver, sender) = _run(Keys(np.arange(1500)), Keys(np.arange(200, 1600)))
    assert mine.size == 1600
    whole = receiver.sent[-1]
    given = sender.sent[-1][32:]
    assert chisquare(np.bincount(np.frombuffer(given, np.uint8), minlength=256)).pvalue > ONE_IN_A_MILLION
    assert chisquare(np.bincount(np.frombuffer(whole, np.uint8), minlength=256)).pvalue > ONE_IN_A_MILLION
    ids = {whole[at : at + 16] for at in range(0, len(whole), 16)}
    assert not ids & {given[at : at + 16] for at in range(0, len(given), 16)}


@pytest.mark.parametrize("change", [lambda m: m[:-1], lambda m: m + b"\0", lambda m: b""])
@pytest.mark.parametrize("side", [0, 1])
def test_messages_of_another_form_are_named(side: int, change: Callable[[bytes], bytes]) -> None:
    a, b = Keys(np.arange(6)), Keys(np.arange(3, 8))
    _, whole = _run(a, b)
    for index in range(len(whole[side].sent)):
        streams = stream_pair()
        streams[side].tamper = lambda i, m, at=index: change(m) if i == at else m  # type: ignore[misc]
        raised, _ = _run(a, b, streams=streams, errors=True)
        assert isinstance(raised[1 - side], PsiFrameInvalid)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[16:32] + m[:16] + m[32:],  # not ascending
        lambda m: m[:-16] + bytes([255] * 16),  # an id of this party is missing, if it was the last
        lambda m: bytes(16) + m[16:],
    ],
)
def test_a_spine_that_cannot_be_is_refused(change: Callable[[bytes], bytes]) -> None:
    keys = Keys(np.arange(6))
    streams = stream_pair()
    streams[0].tamper = lambda i, m: change(m) if len(m) == 96 and i > 4 else m
    raised, _ = _run(keys, keys, streams=streams, errors=True)
    assert isinstance(raised[1], PsiFrameInvalid)


def _tables(fed: Any, left: dict[str, Any], right: dict[str, Any]) -> tuple[Any, Any]:
    return fed.plain("a")(lambda: jali.Table(left))(), fed.plain("b")(lambda: jali.Table(right))()


def test_a_program_computes_over_all_rows_without_knowing_whose() -> None:
    left = {"id": ["x", "y", "z"], "amount": [1.5, 2.5, 4.0]}
    right = {"id": ["z ", "w", "x"], "score": [10, 100, 1000]}
    with jali.simulate("a", "b") as fed:
        ours, theirs = jali.align(*_tables(fed, left, right), on="id", how="union")
        mine, other = jali.reveal(ours, to="a"), jali.reveal(theirs, to="b")
        assert len(mine) == len(other) == 4
        assert sorted(mine["id"].tolist()) == ["", "x", "y", "z"]
        assert mine["present"].sum() == other["present"].sum() == 3
        assert mine["amount"][~mine["present"]].tolist() == [0.0]
        columns = fed.plain("a")(lambda t: t["amount"])(ours), fed.plain("b")(lambda t: t["score"])(theirs)
        total = fed.mpc("a", "b")(lambda x, y: (x * y).sum())(*columns)
        assert jali.reveal(total, to="a") == pytest.approx(4.0 * 10 + 1.5 * 1000, abs=1e-2)
        text = str(fed.report())
    assert "a learns how many of its keys b has too, and not which" in text
    assert "id spine of a and b: semi-honest" in text


def test_bytes_are_known_before() -> None:
    def job(fed: Any) -> None:
        tables = [
            fed.plain(p)(
                lambda s=s: jali.Table({"id": np.arange(s, s + 20)}), returns={"id": jali.Spec((20,), "int64")}
            )()
            for p, s in (("a", 0), ("b", 50))
        ]
        jali.align(*tables, on="id", how="union")

    planned = next(r for r in jali.explain(job, ["a", "b"]).rows if r.text.startswith("align"))
    with jali.simulate("a", "b") as fed:
        job(fed)
        done = next(r for r in fed.report().rows if r.text.startswith("align"))
    assert planned.predicted is not None
    assert done.bytes_sent == sum(planned.predicted.bytes_sent.values())


@pytest.mark.parametrize(
    ("left", "right", "error"),
    [
        ({"id": [1, 1]}, {"id": [1]}, KeyInvalid),
        ({"id": [1], "present": [1]}, {"id": [1]}, TableInvalid),
        ({"id": [1]}, {"id": ["1"]}, PsiKeysDiffer),
    ],
)
def test_tables_that_do_not_fit(left: dict[str, Any], right: dict[str, Any], error: type[JaliError]) -> None:
    def run() -> None:
        with jali.simulate("a", "b") as fed:
            jali.reveal(jali.align(*_tables(fed, left, right), on="id", how="union")[0], to="a")

    with pytest.raises(error):
        run()


def test_what_a_union_cannot_be() -> None:
    with jali.simulate("a", "b") as fed:
        tables = _tables(fed, {"id": [1]}, {"id": [2]})
        for wrong in ({"learns": "a"}, {"otherwise": "id"}, {"protocol": "ecdh"}):
            with pytest.raises(ProgramError):
                jali.align(*tables, on="id", how="union", **wrong)
    with pytest.raises(InputError, match="both parties"):
        require_join("union", learners=("a",), owners=("a", "b"), error=InputError)
