# SPDX-License-Identifier: Apache-2.0
"""The number of common keys: exact, at the declared cost, and in an order that says nothing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core.errors import LowOrderPointError, ProgramError, PsiFrameInvalid, UnknownName
from jali.psi import membership as module
from jali.psi.count import count, count_cost
from jali.psi.intersection import intersect
from jali.psi.keys import Keys
from tests.psi.pairs import quiet, run_both, stream_pair
from tests.psi.test_protocols import OPPOSITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.psi.contract import Learns


def run(a: Keys, b: Keys, *, learns: Learns = "both", streams: Any = None, **how: Any) -> Any:
    streams = streams or stream_pair()
    found = run_both(
        streams,
        lambda stream: count(stream, a, learns=learns, progress=quiet),
        lambda stream: count(stream, b, learns=OPPOSITE[learns], progress=quiet),
        **how,
    )
    return found, streams


@pytest.mark.parametrize("learns", ["both", "me", "peer"])
@pytest.mark.parametrize(("n", "m"), list(itertools.product([0, 1, 3, 4, 10], repeat=2)))
def test_exact_over_chunks_of_three(monkeypatch: pytest.MonkeyPatch, n: int, m: int, learns: Learns) -> None:
    monkeypatch.setattr(module, "CHUNK_KEYS", 3)
    found, streams = run(Keys(np.arange(n)), Keys(np.arange(2, 2 + m)), learns=learns)
    common = len(set(range(n)) & set(range(2, 2 + m)))
    assert found == (None if learns == "peer" else common, None if learns == "me" else common)
    cost = count_cost(n, m, learns=learns)
    counted = streams[0].counters
    assert (counted.rounds, counted.bytes_sent, counted.bytes_received) == (
        cost.rounds,
        cost.bytes_sent["me"],
        cost.bytes_sent["peer"],
    )


@pytest.mark.slow
def test_exact_at_a_hundred_thousand() -> None:
    found, _ = run(Keys(np.arange(100_000)), Keys(np.arange(33_333, 133_333)))
    assert found == (66_667, 66_667)


def test_duplicates_count_once() -> None:
    assert run(Keys(["a", "a", "b"]), Keys(["b", "a", "b"]))[0] == (2, 2)


def test_tags_come_in_ascending_order() -> None:
    """So their places say nothing of the points that they belong to."""
    _, streams = run(Keys(np.arange(200)), Keys(np.arange(150)))
    for stream in streams:
        raw = stream.sent[-1]
        rows = [raw[at : at + 16] for at in range(0, len(raw), 16)]
        assert rows == sorted(rows)


def test_two_runs_share_nothing() -> None:
    first, second = (run(Keys(["a", "b"]), Keys(["b", "c"]))[1] for _ in range(2))
    rows = [
        {m[at : at + 16] for stream in streams for m in stream.sent[1:] for at in range(0, len(m), 16)}
        for streams in (first, second)
    ]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize(
    ("index", "change", "error"),
    [
        (1, lambda m: m[:-1], PsiFrameInvalid),
        (1, lambda m: bytes(32) + m[32:], LowOrderPointError),
        (1, lambda m: m[-32:] + m[32:], PsiFrameInvalid),
        (2, lambda m: m[:-16], PsiFrameInvalid),
        (2, lambda m: m[16:32] + m[16:], PsiFrameInvalid),
    ],
)
def test_lies_are_named(index: int, change: Callable[[bytes], bytes], error: type[Exception]) -> None:
    streams = stream_pair()
    streams[1].tamper = lambda i, m: change(m) if i == index else m
    raised, _ = run(Keys(["a", "b", "c"]), Keys(["a", "b", "c"]), streams=streams, errors=True)
    assert isinstance(raised[0], error)


def test_a_count_is_no_intersection() -> None:
    raised = run_both(
        stream_pair(),
        lambda stream: count(stream, Keys(["a"]), progress=quiet),
        lambda stream: intersect(stream, Keys(["a"]), protocol="ecdh", learns="both", first=False, progress=quiet),
        errors=True,
    )
    assert isinstance(raised[0], PsiFrameInvalid)


def table(columns: dict[str, Any]) -> jali.Table:
    return jali.Table(columns)


def test_in_a_program() -> None:
    fed = jali.simulate("bank", "bureau", "dealer")
    try:
        left = fed.plain("bank")(table)({"name": ["ana", "bo", "bo"], "born": [1, 2, 2], "x": [1, 2, 3]})
        right = fed.plain("bureau")(table)({"name": ["bo", "ana"], "born": [2, 9], "y": [1, 2]})
        ours, theirs = jali.count_common(left, right, on="name")
        assert jali.reveal(ours, to="bank") == jali.reveal(theirs, to="bureau") == 2
        ours, theirs = jali.count_common(left, right, on=["name", "born"], learns="bureau")
        assert ours is None
        assert jali.reveal(theirs, to="bureau") == 1
        node = next(node for node in reversed(fed.program.graph.nodes) if node.operation == "psi.count")
        assert {leak.to for leak in node.leaks if "how many of its own" in leak.what} == {"bureau"}
        with pytest.raises(ProgramError, match="two parties"):
            jali.count_common(left, left, on="name")
        with pytest.raises(UnknownName, match="trimmed"):
            jali.count_common(left, right, on="name", normalise="trimed")
        assert "De Cristofaro" in str(fed.report())
    finally:
        fed.close()


@pytest.mark.parametrize("learns", ["both", "bank"])
def test_a_count_is_planned_exactly(learns: str) -> None:
    def job(fed: Any) -> None:
        tables = [
            fed.plain(p)(lambda n=n: jali.Table({"id": np.arange(n)}), returns={"id": jali.Spec((n,), "int64")})()
            for p, n in (("bank", 300), ("bureau", 200))
        ]
        jali.count_common(*tables, on="id", learns=learns)

    [planned] = [row for row in jali.explain(job, ["bank", "bureau"], network="wan").rows if "count" in row.text]
    with jali.simulate("bank", "bureau") as fed:
        job(fed)
        [done] = [row for row in fed.report().rows if row.text.startswith("count")]
    assert planned.predicted is not None
    assert done.bytes_sent == sum(planned.predicted.bytes_sent.values())
    assert done.rounds == planned.predicted.rounds
    assert planned.predicted_seconds is not None
    assert planned.predicted_seconds > 0.01
