# SPDX-License-Identifier: Apache-2.0
"""Three and more parties: exact, at the declared cost, and blind to what fewer than all have in common."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import jali
from jali.core.errors import JoinTooLarge, KeyInvalid, ProgramError, PsiFrameInvalid, PsiKeysDiffer, UnknownName
from jali.graph.operation import ABSENT
from jali.psi import intersection, many, many_join
from jali.psi.hello import Speed
from jali.psi.keys import Keys
from jali.psi.many import FUNCTIONS, leader_of
from jali.psi.many_join import AlignAllOperation, _chosen
from jali.psi.programmed import table_bytes
from tests.psi.mesh import NodeView, mesh, run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMES = ("a", "b", "c", "d", "e")


def _attributes(
    parties: Sequence[str], learners: Sequence[str] | None = None, protocol: str = "ecdh"
) -> dict[str, Any]:
    return {
        "on": ("id",),
        "learners": tuple(learners or parties),
        "protocol": protocol,
        "normalise": "trimmed",
        "network": "lan",
    }


def _align(
    columns: Sequence[Any],
    *,
    learners: Sequence[str] | None = None,
    protocol: str = "ecdh",
    streams: Any = None,
    errors: bool = False,
) -> tuple[dict[str, Any], Any]:
    parties = NAMES[: len(columns)]
    tables = {
        party: jali.Table({"id": column, "row": np.arange(len(column))})
        for party, column in zip(parties, columns, strict=True)
    }
    streams = streams or mesh(parties)

    def part(party: str) -> Any:
        inputs = tuple(tables[party] if other == party else ABSENT for other in parties)
        view = NodeView(party, parties, streams[party])
        return AlignAllOperation().run(view, inputs, _attributes(parties, learners, protocol))

    return run_all(streams, part, errors=errors), streams


def _check(columns: Sequence[Any], **how: Any) -> None:
    found, streams = _align(columns, **how)
    parties = NAMES[: len(columns)]
    shared = set.intersection(*(set(np.asarray(column).tolist()) for column in columns))
    counts = [Counter(np.asarray(column).tolist()) for column in columns]
    rows = sum(int(np.prod([count[key] for count in counts])) for key in shared)
    ids = [found[party]["id"].tolist() for party in parties]
    assert all(len(column) == rows for column in ids)
    assert all(column == ids[0] for column in ids)
    assert set(ids[0]) == shared
    together = list(zip(*(found[party]["row"].tolist() for party in parties), strict=True))
    assert len(set(together)) == rows
    if all(len(column) == len(set(np.asarray(column).tolist())) for column in columns):
        sizes = {party: len(column) for party, column in zip(parties, columns, strict=True)}
        declared = AlignAllOperation().cost(sizes, parties, how.get("protocol", "ecdh"), len(shared))
        sent = {p: sum(s.counters.bytes_sent for s in streams[p].values()) for p in parties}
        assert sent == declared.bytes_sent
        assert declared.rounds == max(s.counters.rounds for ends in streams.values() for s in ends.values())


@pytest.mark.parametrize("protocol", FUNCTIONS)
@pytest.mark.parametrize("parties", [2, 3, 4, 5])
@pytest.mark.parametrize("n", [0, 1, 10, 1000])
def test_exact_for_all_in_common_none_and_some(parties: int, n: int, protocol: str) -> None:
    for shift in {0, n // 7, n}:
        _check([np.arange(n) + shift * i for i in range(parties)], protocol=protocol)


@pytest.mark.parametrize("protocol", FUNCTIONS)
def test_skewed_sizes_and_a_party_without_keys(protocol: str) -> None:
    _check([np.arange(3), np.arange(2000), np.arange(2, 40)], protocol=protocol)
    _check([np.arange(3), np.arange(0), np.arange(2, 40)], protocol=protocol)


@pytest.mark.parametrize("protocol", FUNCTIONS)
@pytest.mark.parametrize("window", [0, 1 << 12])
def test_nobody_waits_for_ever_over_narrow_streams(window: int, protocol: str) -> None:
    """Every table, and what is said to be common, is longer than what may be under way."""
    _check([np.arange(2000) + i for i in range(5)], protocol=protocol, streams=mesh(NAMES, window=window))


def test_sixteen_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    """All have the keys from 15 to 29; all but one have 14 and 30."""
    monkeypatch.setitem(globals(), "NAMES", tuple(f"party {i:02}" for i in range(16)))
    _check([np.arange(30) + i for i in range(16)])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), min_size=3, max_size=4))
def test_duplicates_multiply(columns: list[list[int]]) -> None:
    _check(columns)
    found, _ = _align(columns)
    parties = NAMES[: len(columns)]
    order = list(dict.fromkeys(found["a"]["id"].tolist()))
    wanted = [rows for key in order for rows in product(*([i for i, k in enumerate(c) if k == key] for c in columns))]
    assert list(zip(*(found[party]["row"].tolist() for party in parties), strict=True)) == wanted


@pytest.mark.parametrize("protocol", ["auto", *FUNCTIONS])
def test_over_buckets_and_chunks(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 300)
    monkeypatch.setattr(many_join, "BUCKET_KEYS", 300)
    columns = [np.arange(1000), np.arange(100, 1000), np.arange(50, 990)]
    if protocol != "auto":
        _check(columns, protocol=protocol)
    found, _ = _align(columns, protocol=protocol)
    assert sorted(found["b"]["id"].tolist()) == list(range(100, 990))


@pytest.mark.slow
def test_exact_at_a_hundred_thousand() -> None:
    _check([np.arange(100_000), np.arange(20_000, 120_000), np.arange(10_000, 110_000)], protocol="vole")


@pytest.mark.parametrize("learners", [("a",), ("b", "c"), ("c",)])
def test_only_learners_learn(learners: tuple[str, ...]) -> None:
    columns = [[1, 2, 2, 3], [3, 2, 9], [2, 2, 3, 7]]
    found, streams = _align(columns, learners=learners)
    for party, column in zip("abc", columns, strict=True):
        if party in learners:
            assert sorted(found[party]["row"].tolist()) == [i for i, key in enumerate(column) if key in {2, 3}]
        else:
            assert found[party] is ABSENT
    sizes = {"a": 3, "b": 3, "c": 3}
    declared = AlignAllOperation().cost(sizes, learners, "ecdh", 2)
    assert {p: sum(s.counters.bytes_sent for s in streams[p].values()) for p in "abc"} == declared.bytes_sent
    assert leader_of(sizes, learners) == learners[0]


@pytest.mark.parametrize("protocol", FUNCTIONS)
def test_what_the_leader_adds_up_is_uniform_where_some_party_lacks_the_key(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """Be it that one lacks it, or two: nothing tells them apart, and two runs give other values."""
    sums: list[np.ndarray[Any, Any]] = []

    class Kept:
        """numpy, but what is looked at for zeros is kept."""

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def any(self, array: Any, axis: int) -> Any:
            sums.append(array.copy())
            return np.any(array, axis=axis)

    monkeypatch.setattr(many, "np", Kept())
    n = 1500
    columns = [np.arange(n), np.arange(500, 3000), np.arange(1000, 4000)]
    keys = Keys(columns[0])
    lacking = keys.rows[keys.starts[:-1]]
    for _ in range(2):
        found, _ = _align(columns, protocol=protocol)
        assert len(found["a"]) == 500
    [first, second] = sums
    zero = ~np.any(first, axis=1)
    assert np.array_equal(zero, lacking >= 1000)
    for part in (lacking < 500, (lacking >= 500) & (lacking < 1000)):
        counts = np.bincount(first[part].reshape(-1), minlength=256)
        assert chisquare(counts).pvalue > 1e-6
        assert not np.any(np.all(first[part] == second[part], axis=1))


@pytest.mark.parametrize("protocol", FUNCTIONS)
def test_what_is_sent_looks_uniform(protocol: str) -> None:
    """Tables of programmed shares, and what the leader sends of its keys: points, or the masked table of `vole`."""
    _, streams = _align([np.arange(1000), np.arange(1500), np.arange(1500)], protocol=protocol)
    for peer in ("b", "c"):
        table = streams[peer]["a"].sent[-2]  # before the counts
        assert len(table) == table_bytes(1500)
        sent = streams["a"][peer].sent  # a greeting, a seed, then what is asked
        asked = np.frombuffer(sent[4][8:] if protocol == "vole" else sent[2], np.uint8)
        if protocol == "ecdh":
            assert len(asked) == 32 * 1000
            asked = asked.reshape(-1, 32)[:, :31]  # numbers below 2^255 - 19
        for seen in (np.frombuffer(table[8:], np.uint8), asked.reshape(-1)):
            assert chisquare(np.bincount(seen, minlength=256)).pvalue > 1e-6


@pytest.mark.parametrize(
    ("sender", "receiver", "index", "change"),
    [
        ("a", "b", 1, lambda m: m[:-1]),  # a seed
        ("b", "a", 1, lambda m: m + b"\0"),  # evaluated points
        ("b", "a", 2, lambda m: m[:-16]),  # programmed shares
        ("a", "c", 3, lambda m: m[:-1]),  # what is common
        ("a", "c", 3, lambda m: m[:8] + bytes(16) + m[24:]),
        ("a", "c", 3, lambda m: m[:8] + m[24:40] + m[8:24]),
        ("a", "c", 3, lambda m: m[:8] + m[8:24] + m[8:24]),
    ],
)
def test_messages_of_another_form_are_named(
    sender: str, receiver: str, index: int, change: Callable[[bytes], bytes]
) -> None:
    streams = mesh("abc")
    streams[sender][receiver].tamper = lambda i, m: change(m) if i == index else m
    raised, _ = _align([[1, 2, 3], [1, 2, 3, 4], [1, 2, 9, 8]], streams=streams, errors=True)
    assert isinstance(raised[receiver], PsiFrameInvalid)
    assert raised[receiver].party == sender


def test_other_kinds_of_keys_and_other_wishes_are_told() -> None:
    raised, _ = _align([[1, 2], [1, 2], ["1", "2"]], errors=True)
    assert all(raised.values())
    assert isinstance(raised["c"], PsiKeysDiffer)


def _joint(columns: dict[str, Any], **how: Any) -> Any:
    with jali.simulate(*columns) as fed:
        tables = [fed.plain(p)(lambda c=c: jali.Table({"id": c, "x": np.arange(len(c))}))() for p, c in columns.items()]
        handles = jali.align_all(tables, on="id", **how)
        values = [None if h is None else jali.reveal(h, to=p) for p, h in zip(columns, handles, strict=True)]
        return values, str(fed.report())


def test_a_program_of_three_parties() -> None:
    values, text = _joint({"a": ["x", "y", "z"], "b": ["z", "y"], "c": ["q", "y", "z", "y"]})
    assert [value["id"].tolist() for value in values] == [values[0]["id"].tolist()] * 3
    assert sorted(values[2]["x"].tolist()) == [1, 2, 3]
    assert "b learns which of its own keys all of a, c have" in text
    assert "2 of 3 may be corrupt" in text


def test_the_package_can_be_called() -> None:
    """With two tables it is `align`, with three `align_all`; what was chosen, and why, is in the plan."""
    with jali.simulate("a", "b", "c") as fed:
        tables = [fed.plain(p)(lambda p=p: jali.Table({"id": ["x", "y", p]}))() for p in "abc"]
        psi: Any = jali.psi  # type checkers know a module
        for handles in (psi(*tables[:2], on="id", protocol="vole"), psi(*tables, on="id")):
            assert sorted(jali.reveal(handles[0], to="a")["id"].tolist()) == ["x", "y"]
        assert jali.reveal(psi(*tables[:2], on="id", how="anti")[1], to="b")["id"].tolist() == ["b"]


def test_some_learn_in_a_program() -> None:
    for learns in (["b"], ("b",), {"b"}, "b"):
        values, text = _joint({"a": [1, 2], "b": [2, 3], "c": [2]}, learns=learns)
        assert values[0] is values[2] is None
        assert values[1]["id"].tolist() == [2]
        assert "a learns which" not in text


def test_bytes_are_known_before() -> None:
    def job(fed: Any) -> None:
        tables = [
            fed.plain(p)(lambda n=n: jali.Table({"id": np.arange(n)}), returns={"id": jali.Spec((n,), "int64")})()
            for p, n in (("a", 30), ("b", 20), ("c", 25))
        ]
        jali.align_all(tables, on="id", protocol="vole")

    planned = next(r for r in jali.explain(job, ["a", "b", "c"]).rows if r.text.startswith("align all"))
    with jali.simulate("a", "b", "c") as fed:
        job(fed)
        done = next(r for r in fed.report().rows if r.text.startswith("align all"))
    assert planned.predicted is not None
    assert done.bytes_sent == sum(planned.predicted.bytes_sent.values())
    assert done.rounds == planned.predicted.rounds


def test_few_keys_go_by_points_and_many_by_vectors() -> None:
    speeds = [Speed(5e-6, 1e-7), Speed(4e-6, 2e-7), Speed(5e-6, 1e-7)]

    def chosen(n: int, network: str) -> set[str]:
        orders = (dict.fromkeys("abc", n), {"c": 2 * n, "a": n, "b": n})
        return {_chosen(sizes, ("a", "b"), way, network=network) for sizes in orders for way in (speeds, speeds[::-1])}

    assert [chosen(n, "lan") for n in (10, 1_000_000)] == [{"ecdh"}, {"vole"}]
    assert [chosen(10_000, network) for network in ("lan", "wan")] == [{"vole"}, {"ecdh"}]  # which sends less there


def test_what_makes_no_sense() -> None:
    with jali.simulate("a", "b", "c") as fed:
        tables = [fed.plain(p)(lambda: jali.Table({"id": [1]}))() for p in "abc"]
        with pytest.raises(ProgramError, match="different parties"):
            jali.align_all([tables[0], tables[0]], on="id")
        with pytest.raises(ProgramError, match="different parties"):
            jali.align_all([], on="id")
        with pytest.raises(ProgramError, match="some of a, b, c"):
            jali.align_all(tables, on="id", learns="d")
        with pytest.raises(ProgramError, match="some of a, b, c"):
            jali.align_all(tables, on="id", learns=[])
        with pytest.raises(ProgramError, match="some of a, b, c, found None"):
            jali.align_all(tables, on="id", learns=None)
        with pytest.raises(UnknownName, match="no network"):
            jali.align_all(tables, on="id", network="moon")
        with pytest.raises(ProgramError, match="'auto', 'ecdh' or 'vole'"):
            jali.align_all(tables, on="id", protocol="voel")


def test_missing_keys_and_too_many_rows_end_at_all() -> None:
    with pytest.raises(KeyInvalid):
        _joint({"a": ["x", ""], "b": ["x"], "c": ["x"]})
    many_ = np.zeros(2000, np.int64)
    with pytest.raises(JoinTooLarge):
        _align([many_, many_, many_])
