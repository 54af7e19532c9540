# SPDX-License-Identifier: Apache-2.0
"""Tables in files, SQL and Arrow: keys in batches, rows in any order, and errors without cells."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from jali.core.errors import (
    ColumnMissing,
    FileMissing,
    KeyInvalid,
    KeyTypeWrong,
    RowRagged,
    TableInvalid,
    WriteFailed,
)
from jali.psi.keys import Keys
from jali.tables import sources
from jali.tables.sources import FORMATS, Source, name_of

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pa.table({"id": ["a", "Zo\u00eb", "c"], "n": [1, 2, 3], "x": [0.5, None, 1.5]})


def saved(folder: Path, name: str) -> Path:
    path = folder / name
    with Source(TABLE) as source:
        return source.write(np.arange(3), path)


@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_written_can_be_read(tmp_path: Path, ending: str) -> None:
    path = saved(tmp_path, f"table{ending}")
    with Source(str(path)) as source:
        assert source.columns == ("id", "n", "x")
        [batch] = source.keys(["id"])
        kind, strings = batch["id"]
        assert kind == "text"
        assert [strings[i].decode() for i in range(3)] == ["a", "Zo\u00eb", "c"]
        copy = source.write(np.array([2, 0, 2]), tmp_path / "copy.parquet")
    assert pyarrow.parquet.read_table(copy)["id"].to_pylist() == ["c", "a", "c"]
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_rows_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    n = 300_000
    table = pa.table({"id": [f"k{i}" for i in range(n)]})
    rows = np.random.default_rng(0).permutation(n)[: n // 2]
    for source in (table, saved_csv(tmp_path, table)):
        with Source(source) as opened:
            path = opened.write(rows, tmp_path / "out.parquet")
        assert pyarrow.parquet.read_table(path)["id"].to_pylist() == [f"k{i}" for i in rows]


def saved_csv(folder: Path, table: Any) -> str:
    path = folder / "in.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("id\n" + "".join(f"{text}\n" for text in table["id"].to_pylist()))
    return str(path)


def test_rows_of_nothing_are_empty(tmp_path: Path) -> None:
    with Source(TABLE) as source:
        path = source.write(np.array([-1, 1, -1]), tmp_path / "out.csv")
    assert path.read_text("utf-8") == "id,n,x\n,,\nZo\u00eb,2,\n,,\n"


def test_cells_of_csv_files_stay_as_they_are(tmp_path: Path) -> None:
    text = 'id,n,note\n007,1e3,"a, b"\n 8,,"say ""x"""\n'
    (tmp_path / "in.csv").write_text(text)
    with Source(str(tmp_path / "in.csv")) as source:
        assert source.write(np.array([0, 1]), tmp_path / "out.csv").read_text() == text


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([1, 2], pa.int16()), "whole numbers"),
        (pa.array(["a", "b"], pa.large_string()), "text"),
        (pa.array(["a", "b"]).dictionary_encode(), "text"),
        (pa.array([b"a", b"\xff"]), "bytes"),
    ],
)
def test_kinds_of_keys(column: Any, kind: str) -> None:
    with Source(pa.table({"id": column})) as source:
        assert Keys.of_batches(source.keys(["id"]), normalise="exact").kinds == (kind,)


def test_keys_of_a_source_are_those_of_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, several columns, numbers and text."""
    monkeypatch.setattr(sources, "BATCH_ROWS", 2048)
    names, numbers = [f" n{i % 700} " for i in range(5000)], np.arange(5000) % 3
    with Source(pa.table({"name": names, "branch": numbers})) as source:
        found = Keys.of_batches(source.keys(["name", "branch"]), normalise="trimmed")
    wanted = Keys({"name": names, "branch": numbers})
    np.testing.assert_array_equal(found.digests, wanted.digests)
    np.testing.assert_array_equal(found.rows, wanted.rows)


def test_a_query_is_run_once(tmp_path: Path) -> None:
    saved(tmp_path, "t.parquet")
    query = "SELECT upper(id) AS id, random() AS r FROM '{}/t.parquet' WHERE n < 3"
    with Source(query.format(tmp_path)) as source:
        keys = Keys.of_batches(source.keys(["id"]), normalise="exact")
        assert len(keys) == 2
        first = source.write(np.arange(2), tmp_path / "one.parquet")
        second = source.write(np.arange(2), tmp_path / "two.parquet")
    assert pyarrow.parquet.read_table(first).equals(pyarrow.parquet.read_table(second))


def test_a_file_may_be_named_like_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("table.csv", "select.csv", "from.csv"):
        (tmp_path / name).write_text("id\na\n")
        with Source(name) as source:
            assert source.columns == ("id",)


def test_the_text_of_a_query_is_in_no_message() -> None:
    query = "SELECT 'hunter2' AS password FROM nowhere"
    with pytest.raises(TableInvalid) as caught:
        Source(query)
    assert "hunter2" not in str(caught.value)
    assert name_of(query) == "the query"
    assert name_of("table.csv") == "table.csv"


def test_errors_while_writing_hold_no_cell(tmp_path: Path) -> None:
    """A cast that fails when its row is read."""
    query = "SELECT 'id' AS id, CAST(CASE WHEN range < 3 THEN '1' ELSE 'hunter2' END AS INTEGER) AS n FROM range(4)"
    for ending in (".csv", ".arrow"):
        with Source(TABLE) as source:
            source._relation = f"({query})"
            with pytest.raises(WriteFailed) as caught:
                source.write(np.arange(4), tmp_path / f"out{ending}")
        assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,n\n")
    with Source(str(tmp_path / "in.csv")) as source:
        assert len(Keys.of_batches(source.keys(["id"]), normalise="exact")) == 0
        assert source.write(np.zeros(0, np.int64), tmp_path / "out.csv").read_text() == "id,n\n"


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        (pa.table({"id": [1.5]}), KeyTypeWrong, "found double"),
        (pa.table({"id": pa.array([2**63], pa.uint64())}), KeyTypeWrong, "uint64"),
        (pa.table({"idd": ["secret"]}), ColumnMissing, "idd"),
    ],
)
def test_what_is_no_key(table: Any, error: type[Exception], says: str) -> None:
    with Source(table) as source, pytest.raises(error, match=says) as caught:
        list(source.keys(["id"]))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("name", "rows"), [("n", [1, 2]), ("t", [0]), ("b", [0, 2])])
def test_nulls_are_empty_keys(name: str, rows: list[int]) -> None:
    """Of any kind: an empty number too, which is not 0."""
    table = pa.table({"n": [None, 0, 7], "t": ["secret", None, ""], "b": [b"x", None, b"y"]})
    with Source(table) as source:
        found = Keys.of_batches(source.keys([name]), normalise="exact", optional=True)
        assert sorted(found.rows.tolist()) == rows
        with pytest.raises(KeyInvalid, match="empty, the first in row") as caught:
            Keys.of_batches(source.keys([name]), normalise="exact")
        assert "secret" not in str(caught.value)


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no such file"):
        Source(str(tmp_path / "none.csv"))
    for name, content in (("x.parquet", b"secret"), ("x.arrow", b"secret")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableInvalid) as caught:
            Source(str(tmp_path / name))
        assert "secret" not in str(caught.value)
    with pytest.raises(TableInvalid, match="query"):
        Source("SELECT secret FROM nowhere")


def test_a_ragged_file_is_named_without_its_cells(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,n\n" + "a,1\n" * 30_000 + "secret,1,2\n" + "b,1\n" * 10)
    with pytest.raises((RowRagged, TableInvalid)) as caught, Source(str(tmp_path / "x.csv")) as source:
        list(source.keys(["id"]))
    assert "secret" not in str(caught.value)


def test_a_target_that_cannot_be(tmp_path: Path) -> None:
    with Source(TABLE) as source:
        for target in ("out.xls", str(tmp_path / "none" / "out.csv")):
            with pytest.raises(WriteFailed):
                source.write(np.arange(3), target)
        (tmp_path / "out.csv").write_text("before")
        (tmp_path / "out.csv.d").mkdir()
    with Source(TABLE) as source, pytest.raises(WriteFailed):
        source.write(np.arange(3), "/proc/out.csv")


@pytest.mark.parametrize(("mib", "most"), [(8, 1), (512, 1), (1024, 2), (8192, 16)])
def test_no_more_threads_than_there_is_memory_for(tmp_path: Path, mib: int, most: int) -> None:
    """On a machine with many processors each would ask for buffers of its own."""
    (tmp_path / "t.csv").write_text("id\na\n")
    with Source(tmp_path / "t.csv", memory_bytes=mib << 20) as source:
        source._threads = 64
        source._limit(source._memory_bytes // 8)
        [[threads]] = source._connection.execute("SELECT current_setting('threads')").fetchall()
        assert threads == most
