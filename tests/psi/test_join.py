# SPDX-License-Identifier: Apache-2.0
"""Alignment: the rows of an inner join at both parties, in one order that tells nothing of the files'."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import ColumnMissing, JoinTooLarge, KeyInvalid, KeyTypeWrong, PsiFrameInvalid, TableInvalid
from jali.core.table import Table
from jali.graph.operation import ABSENT
from jali.psi import rows
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.join import AlignOperation
from jali.psi.keys import Keys
from jali.psi.rounds import Sizes
from jali.psi.rows import joined_rows
from tests.psi.pairs import Context, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.psi.pairs import PairStream

PARTIES = ("alice", "bob")
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


def _table(names: Sequence[str], offset: int) -> Table:
    return Table({"id": np.array(names, np.str_), "row": np.arange(len(names)) + offset})


def _attributes(**changes: Any) -> dict[str, Any]:
    usual = {"on": ("id",), "otherwise": (), "how": "inner", "learns": "both", "protocol": "ecdh"}
    return {**usual, "normalise": "trimmed", "network": "lan", **changes}


def _parts(left: Any, right: Any, attributes: dict[str, Any]) -> list[Callable[[PairStream], Any]]:
    def part(party: str, inputs: tuple[Any, Any]) -> Callable[[PairStream], Any]:
        return lambda stream: AlignOperation().run(Context(party, PARTIES, stream), inputs, attributes)

    return [part("alice", (left, ABSENT)), part("bob", (ABSENT, right))]


def _align(left: Table, right: Table, **changes: Any) -> tuple[Any, Any]:
    return run_both(stream_pair(), *_parts(left, right, _attributes(**changes)))


@settings(max_examples=30, deadline=None)
@given(st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=8))
def test_an_inner_join_with_duplicates(a: list[str], b: list[str]) -> None:
    left, right = _align(_table(a, 0), _table(b, 100))
    assert left["id"].tolist() == right["id"].tolist()
    pairs = Counter(zip(left["row"].tolist(), right["row"].tolist(), strict=True))
    assert pairs == Counter((i, 100 + j) for i, x in enumerate(a) for j, y in enumerate(b) if x == y)


@pytest.mark.parametrize("protocol", PSI_PROTOCOLS.names())
def test_every_protocol_aligns(protocol: str) -> None:
    left, right = _align(_table(["a", "b", "b"], 0), _table(["b", "c"], 100), protocol=protocol)
    assert left["row"].tolist() == [1, 2]
    assert right["row"].tolist() == [100, 100]


def test_within_a_key_the_left_rows_come_first() -> None:
    left, right = _align(_table(["k", "x", "k"], 0), _table(["k", "k", "y"], 100))
    assert left["row"].tolist() == [0, 0, 2, 2]
    assert right["row"].tolist() == [100, 101, 100, 101]


def test_the_order_is_the_same_whatever_the_files_order() -> None:
    names = [f"n{i}" for i in range(40)]
    first, _ = _align(_table(names, 0), _table(names[::-1], 100))
    second, _ = _align(_table(names[::-1], 0), _table(names[7:] + names[:7], 100))
    assert first["id"].tolist() == second["id"].tolist()
    assert first["id"].tolist() not in (names, names[::-1], sorted(names))


def test_one_party_learns_and_the_other_gets_nothing() -> None:
    left, right = _align(_table(["a", "b", "b", "c"], 0), _table(["b", "c", "c", "d"], 100), learns="alice")
    assert sorted(left["row"].tolist()) == [1, 2, 3]
    assert right is ABSENT
    left, right = _align(_table(["a", "b", "b", "c"], 0), _table(["b", "c", "c", "d"], 100), learns="bob")
    assert left is ABSENT
    assert sorted(right["row"].tolist()) == [100, 101, 102]


@pytest.mark.parametrize(("a", "b"), [([], []), (["a"], []), ([], ["a"]), (["a"], ["b"])])
def test_nothing_in_common(a: list[str], b: list[str]) -> None:
    for side in _align(_table(a, 0), _table(b, 100)):
        assert len(side) == 0
        assert side.columns == ("id", "row")


@pytest.mark.parametrize("how", ["inner", "left", "right", "full", "semi", "anti"])
@pytest.mark.parametrize("learns", ["both", "alice", "bob"])
@pytest.mark.parametrize("common", [0, 1, 5])
def test_the_declared_cost_is_exact(monkeypatch: pytest.MonkeyPatch, how: str, learns: str, common: int) -> None:
    monkeypatch.setattr(rows, "COUNTS_AT_ONCE", 2)
    a, b = [f"{i}" for i in range(7)], [f"{i}" for i in range(7 - common, 16 - common)]
    streams, attributes = stream_pair(), _attributes(learns=learns, how=how)
    run_both(streams, *_parts(_table(a, 0), _table(b, 100), attributes))
    for party, stream, sizes in (("alice", streams[0], (7, 9)), ("bob", streams[1], (9, 7))):
        cost = AlignOperation().cost(attributes, [Sizes(*sizes, common)], party=party, left=party == "alice")
        assert cost.bytes_sent == {"me": stream.counters.bytes_sent, "peer": stream.counters.bytes_received}
        assert cost.rounds == stream.counters.rounds


def test_leaks_say_who_learns_what() -> None:
    both = AlignOperation().leaks(_attributes(), PARTIES)
    one = AlignOperation().leaks(_attributes(learns="bob"), PARTIES)
    assert [leak.to for leak in both if "how many rows" in leak.what] == ["alice", "bob"]
    assert not [leak for leak in one if leak.to == "alice" and "which of its own keys" in leak.what]
    assert [leak.to for leak in one if "which of its own keys" in leak.what] == ["bob"]
    assert {leak.to for leak in one if "number of distinct keys" in leak.what} == {"alice", "bob"}


@pytest.mark.parametrize(
    ("left", "error"),
    [
        ({"id": ["a"]}, TableInvalid),
        (Table({"name": ["a"]}), ColumnMissing),
        (Table({"id": [1.5]}), KeyTypeWrong),
        (Table({"id": ["a", ""]}), KeyInvalid),
    ],
)
def test_bad_tables_end_before_anything_is_sent(left: Any, error: type[Exception]) -> None:
    streams = stream_pair()
    raised, _ = run_both(streams, *_parts(left, _table(["a"], 0), _attributes()), errors=True)
    assert isinstance(raised, error)
    assert streams[0].sent == []


def test_a_join_that_explodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROWS", 8)
    assert len(_align(_table(["k"] * 4, 0), _table(["k"] * 2, 0))[0]) == 8
    raised = run_both(stream_pair(), *_parts(_table(["k"] * 3, 0), _table(["k"] * 3, 0), _attributes()), errors=True)
    assert all(isinstance(error, JoinTooLarge) for error in raised)


def test_a_huge_count_of_the_peer_is_refused_before_memory_is_taken() -> None:
    keys = Keys(["a", "b"])
    with pytest.raises(JoinTooLarge):
        joined_rows(keys, np.array([0, 1]), np.array([2**62, 2**62]), left=True)


@pytest.mark.parametrize(
    ("index", "change", "says"),
    [
        (3, lambda m: b"", "how long counts"),
        (3, lambda m: m + m, "how long counts"),
        (3, lambda m: b"\x03", "how long counts"),
        (3, lambda m: b"\x02", "found 1 bytes"),
        (4, lambda m: b"", "found 0 bytes"),
        (4, lambda m: m + m, "found 2 bytes"),
        (4, lambda m: b"\x00", "from 1"),
    ],
)
def test_lies_about_counts_are_named(index: int, change: Callable[[bytes], bytes], says: str) -> None:
    streams = stream_pair()
    streams[1].tamper = lambda i, m: change(m) if i == index else m
    raised, _ = run_both(streams, *_parts(_table(["a"], 0), _table(["a", "a", "b"], 0), _attributes()), errors=True)
    assert isinstance(raised, PsiFrameInvalid)
    assert says in str(raised)


@pytest.mark.parametrize("most", [1, 2, 255, 256, 65_535, 65_536, 2**32])
def test_counts_take_as_many_bytes_as_they_need(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(rows, "COUNTS_AT_ONCE", 3)
    streams, mine, theirs = stream_pair(), np.array([1, 1, most, 1]), np.array([most, 1, 1, 1])
    found = run_both(streams, lambda s: rows.exchange_counts(s, mine), lambda s: rows.exchange_counts(s, theirs))
    np.testing.assert_array_equal(found[0], theirs)
    np.testing.assert_array_equal(found[1], mine)
    width = {1: 0, 2: 1, 255: 1, 256: 2, 65_535: 2, 65_536: 4, 2**32: 8}[most]
    assert [len(message) for message in streams[0].sent] == [1, *([3 * width, width] if width else [])]


def test_only_who_has_duplicates_says_how_many() -> None:
    streams = stream_pair()
    run_both(
        streams,
        lambda s: rows.exchange_counts(s, np.array([1, 1])),
        lambda s: rows.exchange_counts(s, np.array([1, 5])),
    )
    assert [[len(message) for message in stream.sent] for stream in streams] == [[1], [1, 2]]


def test_row_order_is_fixed_for_good() -> None:
    """Programs may save aligned row numbers: the order, that of digests, must not change between versions."""
    names = ["ana", "bo", "cy", "dan"]
    keys = Keys(names)
    assert [names[row] for row in keys.rows] == ["dan", "cy", "bo", "ana"]
