# SPDX-License-Identifier: Apache-2.0
"""Every kind of join, on one key and on several in turn, for programs and files, against plain dictionaries."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jali.core.errors import InputError, PsiKeysDiffer, TableInvalid
from jali.core.table import Table
from jali.graph.operation import ABSENT
from jali.psi import intersection
from jali.psi.files import prepare, run
from jali.psi.folder import Job, RunFolder
from jali.psi.join import AlignOperation
from jali.psi.kinds import JOINS, join_leaks, require_join
from jali.psi.rounds import Sizes
from tests.psi.pairs import Context, quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.psi.pairs import PairStream

Row = tuple[str, str, str]
Columns = tuple[str, ...]
Pair = tuple[int | None, int | None]

PARTIES = ("alice", "bob")
NAMES = ("id", "phone", "name")
KEYS: list[tuple[Columns, ...]] = [
    (("id",),),
    (("id", "name"),),
    (("id",), ("phone",)),
    (("id",), ("phone",), ("id", "name")),
]
CELLS = st.sampled_from(["", "a", "b", "c"])
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=7)


def key_of(row: Row, columns: Columns) -> Row | None:
    """The cells of a key; None if one is missing."""
    cells = tuple(row[NAMES.index(name)] for name in columns)
    return cells if all(cells) else None  # type: ignore[return-value]


def matches(a: list[Row], b: list[Row], keys: tuple[Columns, ...], *, learns: str) -> list[list[tuple[int, int]]]:
    """The pairs of rows that each key matches; rows of whoever learns leave when they have matched."""
    left, right = set(range(len(a))), set(range(len(b)))
    found = []
    for columns in keys:
        rows: dict[Row, list[int]] = {}
        for j in sorted(right):
            key = key_of(b[j], columns)
            if key is not None:
                rows.setdefault(key, []).append(j)
        pairs = [(i, j) for i in sorted(left) for j in rows.get(key_of(a[i], columns) or ("", "", ""), [])]
        left -= {i for i, _ in pairs} if learns != "bob" else set()
        right -= {j for _, j in pairs} if learns != "alice" else set()
        found.append(pairs)
    return found


def wanted_of_both(
    a: list[Row], b: list[Row], pairs: list[list[tuple[int, int]]], how: str
) -> tuple[list[Counter[Pair]], Any]:
    """What both parties' rows must be: of an aligned join the pairs by part, in their order; else each side's rows."""
    with_match = ({i for part in pairs for i, _ in part}, {j for part in pairs for _, j in part})
    if how in {"semi", "anti"}:
        sides = zip((a, b), with_match, strict=True)
        return [], [[i for i in range(len(rows)) if (i in found) == (how == "semi")] for rows, found in sides]
    parts: list[Counter[Pair]] = [Counter(part) for part in pairs]
    if how in {"left", "full"}:
        parts.append(Counter((i, None) for i in range(len(a)) if i not in with_match[0]))
    if how in {"right", "full"}:
        parts.append(Counter((None, j) for j in range(len(b)) if j not in with_match[1]))
    return parts, None


def check_both(rows: list[list[int | None]], a: list[Row], b: list[Row], keys: tuple[Columns, ...], how: str) -> None:
    parts, sides = wanted_of_both(a, b, matches(a, b, keys, learns="both"), how)
    if sides is not None:
        assert rows == sides
        return
    pairs, start = list(zip(*rows, strict=True)), 0
    for part in parts:
        end = start + part.total()
        assert Counter(pairs[start:end]) == part
        start = end
    assert start == len(pairs)


def check_one(rows: list[int | None], matched: Any, a: list[Row], pairs: list[list[int]], how: str) -> None:
    """The learner's own rows: `pairs` are those that each key matched."""
    found = {i for part in pairs for i in part}
    if how == "inner":
        start = 0
        for part in pairs:
            assert sorted(rows[start : start + len(set(part))], key=str) == sorted(set(part), key=str)
            start += len(set(part))
        assert start == len(rows)
    elif how in {"semi", "anti"}:
        assert rows == [i for i in range(len(a)) if (i in found) == (how == "semi")]
    else:
        assert rows == list(range(len(a)))
        assert matched == [i in found for i in range(len(a))]


# Programs


def table_of(rows: list[Row]) -> Table:
    columns = {name: np.array([row[i] for row in rows], np.str_) for i, name in enumerate(NAMES)}
    numbers = np.arange(len(rows))
    return Table({**columns, "row": numbers, "share": numbers + 0.5, "kept": np.ones(len(rows), np.bool_)})


def attributes_of(keys: tuple[Columns, ...], **changes: Any) -> dict[str, Any]:
    usual = {"on": keys[0], "otherwise": keys[1:], "how": "inner", "learns": "both", "protocol": "ecdh"}
    return {**usual, "normalise": "trimmed", "network": "lan", **changes}


def align(
    a: Table, b: Table, attributes: dict[str, Any], streams: tuple[PairStream, PairStream] | None = None
) -> tuple[Any, Any]:
    inputs = {"alice": (a, ABSENT), "bob": (ABSENT, b)}
    parts = [
        lambda stream, me=me: AlignOperation().run(Context(me, PARTIES, stream), inputs[me], attributes)
        for me in PARTIES
    ]
    return run_both(streams or stream_pair(), *parts)


def numbers_of(table: Table) -> list[int | None]:
    """The row numbers of a result, None where a row is absent, which then has nothing in any column."""
    if "present" not in table:
        return list(table["row"].tolist())
    absent = table.take(~table["present"])
    for name in absent:
        assert not any(absent[name].tolist()), "rows of zeros, empty text and False"
    assert np.all(table.take(table["present"])["kept"])
    return [row if there else None for row, there in zip(table["row"].tolist(), table["present"], strict=True)]


@settings(max_examples=120, deadline=None)
@given(ROWS, ROWS, st.sampled_from(KEYS), st.sampled_from(sorted(JOINS)))
def test_programs_where_both_learn(a: list[Row], b: list[Row], keys: tuple[Columns, ...], how: str) -> None:
    a, b = _with_keys(a, keys), _with_keys(b, keys)
    results = align(table_of(a), table_of(b), attributes_of(keys, how=how))
    assert [("present" in result) for result in results] == [how in {"left", "right", "full"}] * 2
    check_both([numbers_of(result) for result in results], a, b, keys, how)


@settings(max_examples=120, deadline=None)
@given(ROWS, ROWS, st.sampled_from(KEYS), st.sampled_from(["inner", "semi", "anti", "own"]), st.sampled_from(PARTIES))
def test_programs_where_one_learns(
    a: list[Row], b: list[Row], keys: tuple[Columns, ...], how: str, learns: str
) -> None:
    a, b = _with_keys(a, keys), _with_keys(b, keys)
    side = PARTIES.index(learns)
    how = ("left", "right")[side] if how == "own" else how
    results = align(table_of(a), table_of(b), attributes_of(keys, how=how, learns=learns))
    assert results[1 - side] is ABSENT
    result = results[side]
    matched = result["matched"].tolist() if "matched" in result else None
    pairs = [[pair[side] for pair in part] for part in matches(a, b, keys, learns=learns)]
    check_one(result["row"].tolist(), matched, (a, b)[side], pairs, how)


def _with_keys(rows: list[Row], keys: tuple[Columns, ...]) -> list[Row]:
    """Where there is no other key, only rows that have theirs."""
    return rows if len(keys) > 1 else [row for row in rows if key_of(row, keys[0])]


# Files


def job_of(folder: Path, me: str, keys: tuple[Columns, ...], **changes: Any) -> Job:
    usual = {"federation": "", "me": me, "peer": PARTIES[me == "alice"], "source": "given", "protocol": "ecdh"}
    where = {"target": str(folder / f"{me}.parquet"), "on": keys[0], "otherwise": keys[1:]}
    return Job(**{**usual, **where, **changes})


def join_files(folder: Path, a: Any, b: Any, keys: tuple[Columns, ...], **changes: Any) -> None:
    ready = [
        prepare(job_of(folder, me, keys, **changes), left=me == "alice", given=table)
        for me, table in zip(PARTIES, (a, b), strict=True)
    ]
    run_both(stream_pair(), *[lambda stream, side=side: run(ready[side], stream, progress=quiet) for side in (0, 1)])


def arrow_of(rows: list[Row]) -> Any:
    """Missing cells are nulls in one column and empty text in the others."""
    columns = {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(NAMES)}
    columns["phone"] = pa.array([row[1] or None for row in rows], pa.string())
    return pa.table({**columns, "row": pa.array(range(len(rows)), pa.int64())})


def written(folder: Path, me: str, column: str = "row") -> list[Any]:
    found: list[Any] = pyarrow.parquet.read_table(folder / f"{me}.parquet")[column].to_pylist()
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, ROWS, st.sampled_from(KEYS), st.sampled_from(sorted(JOINS)))
def test_files_where_both_learn(
    tmp_path: Path, a: list[Row], b: list[Row], keys: tuple[Columns, ...], how: str
) -> None:
    a, b = _with_keys(a, keys), _with_keys(b, keys)
    join_files(tmp_path, arrow_of(a), arrow_of(b), keys, how=how)
    check_both([written(tmp_path, me) for me in PARTIES], a, b, keys, how)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, ROWS, st.sampled_from(KEYS), st.sampled_from(["inner", "semi", "anti", "own"]), st.sampled_from(PARTIES))
def test_files_where_one_learns(
    tmp_path: Path, a: list[Row], b: list[Row], keys: tuple[Columns, ...], how: str, learns: str
) -> None:
    a, b = _with_keys(a, keys), _with_keys(b, keys)
    side = PARTIES.index(learns)
    how = ("left", "right")[side] if how == "own" else how
    join_files(tmp_path, arrow_of(a), arrow_of(b), keys, how=how, learns=learns)
    pairs = [[pair[side] for pair in part] for part in matches(a, b, keys, learns=learns)]
    matched = written(tmp_path, learns, "matched") if how in {"left", "right"} else None
    check_one(written(tmp_path, learns), matched, (a, b)[side], pairs, how)


# What fallback means


def test_rows_of_who_does_not_learn_stay_in() -> None:
    """bob's one row matches alice's first by id. If bob learns that too, it leaves, and the phone finds nothing."""
    a, b = [("1", "p", ""), ("2", "q", "")], [("1", "q", "")]
    keys = (("id",), ("phone",))
    found = {
        learns: align(table_of(a), table_of(b), attributes_of(keys, learns=learns))[0] for learns in ("both", "alice")
    }
    assert found["both"]["row"].tolist() == [0]
    assert found["alice"]["row"].tolist() == [0, 1]


@pytest.mark.parametrize("protocol", ["ecdh", "vole"])
def test_who_does_not_learn_sees_no_number_of_matches(protocol: str) -> None:
    """All messages have the same sizes whether all of alice's keys match, or none."""
    keys, sizes = (("id",), ("phone",)), []
    theirs = [(f"{i}", f"{i}", "") for i in range(20)]
    for first in (0, 100):
        streams = stream_pair()
        ours = [(f"{first + i}", f"{i}", "") for i in range(20)]
        left, _ = align(
            table_of(ours), table_of(theirs), attributes_of(keys, learns="alice", protocol=protocol), streams
        )
        assert len(left) == 20
        sizes.append([[len(message) for message in stream.sent] for stream in streams])
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("learns", ["both", "alice"])
def test_a_run_goes_on_in_its_second_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learns: str) -> None:
    """Also where random keys fill a set up: what was found is kept by its real keys."""
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 50)
    a = [(f"{i}" if i % 3 else "", f"{i}", "") for i in range(300)]
    b = [(f"{i}" if i < 150 else f"x{i}", f"{i}" if i < 250 else f"x{i}", "") for i in range(300)]
    keys, folders, sent = (("id",), ("phone",)), [tmp_path / f"{me}.psi" for me in PARTIES], []

    def stop(done: float, what: str) -> None:
        if "key 2 of 2, ecdh: bucket 3 of" in what:
            raise KeyboardInterrupt

    for progress in (stop, quiet):
        ready = [
            prepare(job_of(tmp_path, me, keys, learns=learns), left=me == "alice", given=arrow_of(rows))
            for me, rows in zip(PARTIES, (a, b), strict=True)
        ]
        for side in ready if progress is stop else ():
            RunFolder.create(folders[not side.left], side.job)
        parts = [
            lambda stream, side=side, folder=folder, progress=progress if side.left else quiet: run(
                side, stream, folder=RunFolder(folder), progress=progress
            )
            for side, folder in zip(ready, folders, strict=True)
        ]
        streams = stream_pair()
        raised = run_both(streams, *parts, errors=True)
        assert isinstance(raised[0], KeyboardInterrupt) == (progress is stop)
        sent.append(streams[0].counters.bytes_sent)
    assert raised == (None, None)
    assert sent[1] < 0.7 * sent[0], "less than all of it is done again"
    found = [part for rows in matches(a, b, keys, learns=learns) for part in rows]
    assert sorted(written(tmp_path, "alice")) == sorted(i for i, _ in found)
    if learns == "both":
        assert sorted(zip(*(written(tmp_path, me) for me in PARTIES), strict=True)) == sorted(found)


def test_a_missing_number_does_not_exist_and_a_missing_null_does(tmp_path: Path) -> None:
    """0 is a number as any other, a null is none."""
    a = pa.table({"id": pa.array([0, None, 2]), "phone": ["p", "q", "r"], "name": ["", "", ""], "row": [0, 1, 2]})
    b = pa.table({"id": pa.array([None, 0]), "phone": ["q", "x"], "name": ["", ""], "row": [0, 1]})
    join_files(tmp_path, a, b, (("id",), ("phone",)))
    assert [written(tmp_path, me) for me in PARTIES] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("how", ["inner", "left", "full", "anti"])
@pytest.mark.parametrize("learns", ["both", "alice"])
@pytest.mark.parametrize("protocol", ["ecdh", "vole"])
def test_the_cost_of_several_keys_is_exact(how: str, learns: str, protocol: str) -> None:
    """Ids 0 to 5 of ten, then phones of 6 and 7; one id is missing at alice, and its phone matches."""
    if (how, learns) == ("full", "alice"):
        how = "semi"
    a = [(f"{i}" if i != 5 else "", f"{i}", "") for i in range(10)]
    b = [(f"{i}" if i < 6 else f"x{i}", f"{i}" if i < 8 else f"x{i}", "") for i in range(12)]
    rounds = [Sizes(9, 12, 5), Sizes(5, 7, 3)] if learns == "both" else [Sizes(9, 12, 5), Sizes(10, 12, 3)]
    streams, attributes = stream_pair(), attributes_of((("id",), ("phone",)), how=how, learns=learns, protocol=protocol)
    align(table_of(a), table_of(b), attributes, streams)
    others = [Sizes(sizes.theirs, sizes.mine, sizes.common) for sizes in rounds]
    for party, stream, sizes in zip(PARTIES, streams, (rounds, others), strict=True):
        cost = AlignOperation().cost(attributes, sizes, party=party, left=party == "alice")
        assert cost.bytes_sent == {"me": stream.counters.bytes_sent, "peer": stream.counters.bytes_received}
        assert cost.rounds == stream.counters.rounds
        bound = AlignOperation().cost(
            attributes,
            [Sizes(sizes[0].mine + (party == "alice"), sizes[0].theirs + (party == "bob"), 10)] * 2,
            party=party,
            left=party == "alice",
        )
        assert all(size <= bound.bytes_sent[role] for role, size in cost.bytes_sent.items()), "a plan is an upper bound"
        assert cost.rounds <= bound.rounds


# Errors, and what is told


def test_tables_that_have_the_column_already() -> None:
    table = table_of([("a", "", "")])
    for how, learns, name in (("left", "both", "present"), ("full", "both", "present"), ("left", "alice", "matched")):
        taken = table.with_columns({name: [1]})
        with pytest.raises(TableInvalid, match=f"'alice' has a column '{name}'"):
            align(taken, table, attributes_of(KEYS[0], how=how, learns=learns))
        kept, _ = align(taken, table, attributes_of(KEYS[0]))
        assert kept.columns == taken.columns


def test_a_file_that_has_the_column_already(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "matched": ["x"]})
    with pytest.raises(TableInvalid, match="rename it"):
        join_files(tmp_path, table, table, KEYS[0], how="left", learns="alice")
    join_files(tmp_path, table, table, KEYS[0], how="left")
    assert written(tmp_path, "alice", "matched") == ["x"]


def test_joins_that_differ_are_named(tmp_path: Path) -> None:
    ways: list[dict[str, Any]] = [{"how": "left"}, {"otherwise": (("phone",),)}]
    ready = []
    for me, changes in zip(PARTIES, ways, strict=True):
        job = job_of(tmp_path, me, KEYS[0], **changes)
        ready.append(prepare(job, left=me == "alice", given=pa.table({"id": ["a"], "phone": ["b"]})))
    parts = [lambda stream, side=side: run(ready[side], stream, progress=quiet) for side in (0, 1)]
    raised = run_both(stream_pair(), *parts, errors=True)
    assert all(isinstance(error, PsiKeysDiffer) and "asks for how = " in str(error) for error in raised)


def test_rows_of_who_does_not_learn_cannot_be_kept() -> None:
    for how, learner, own in (("right", "alice", "left"), ("full", "alice", "left"), ("left", "bob", "right")):
        with pytest.raises(InputError, match=f"write 'inner' or 'semi' .* '{own}' for all"):
            require_join(how, learners=(learner,), owners=("alice", "bob"), error=InputError)
        require_join(how, learners=("alice", "bob"), owners=("alice", "bob"))
        require_join(own, learners=(learner,), owners=("alice", "bob"))


def told(how: str, learners: Sequence[str], **more: int) -> set[tuple[str, str]]:
    leaks = join_leaks(how, learners=tuple(learners), owners=("alice", "bob"), **more)
    return {(leak.to, leak.what) for leak in leaks}


@pytest.mark.parametrize("how", sorted(JOINS))
def test_leaks_of_each_kind(how: str) -> None:
    counts = {
        ("alice", "in how many rows bob has each common key"),
        ("bob", "in how many rows alice has each common key"),
    }
    of_left, of_right = ("bob", "how many rows of alice have no match"), ("alice", "how many rows of bob have no match")
    wanted = {
        "inner": counts,
        "left": {*counts, of_left},
        "right": {*counts, of_right},
        "full": {*counts, of_left, of_right},
        "semi": set(),
        "anti": set(),
    }
    assert told(how, PARTIES) == wanted[how]
    assert told(how, ["alice"]) == set()


def test_leaks_of_several_keys() -> None:
    both, one = told("semi", PARTIES, otherwise=1), told("semi", ["bob"], otherwise=2)
    assert {to for to, _ in both} == {to for to, _ in one} == set(PARTIES)
    assert all(what.endswith("among its rows that no key before has matched") for _, what in both)
    assert all(what.endswith("among all of its rows") for _, what in one)
