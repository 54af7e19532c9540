# SPDX-License-Identifier: Apache-2.0
"""CSV files: types, missing values, and an error that shows the line and never the cell."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core import errors
from jali.core.table import Table
from jali.tables.csv import read_csv, write_csv

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = 'id,age,income,member,town\n007,31,1200.5,true,"Ulm, old"\n008,45,,false,\n009,5,NA,true,Köln\n'


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Three people, with gaps."""
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def test_types_are_inferred(people: Path) -> None:
    table = read_csv(people, key="id")
    assert table.dtypes == {"id": "<U3", "age": "int64", "income": "float64", "member": "bool", "town": "<U8"}
    assert table["id"].tolist() == ["007", "008", "009"]
    assert np.isnan(table["income"]).tolist() == [False, True, True]
    assert table["town"].tolist() == ["Ulm, old", "", "Köln"]
    assert table["member"].tolist() == [True, False, True]


def test_whole_numbers_with_gaps_become_floats(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n\n2\n")
    assert read_csv(tmp_path / "a.csv")["n"].tolist() == [1, 2], "blank lines are no rows"
    (tmp_path / "b.csv").write_text("n,m\n1,1\n,2\n")
    assert read_csv(tmp_path / "b.csv").dtypes == {"n": "float64", "m": "int64"}


def test_columns_are_chosen_and_typed(people: Path) -> None:
    table = read_csv(people, columns=["town", "age"], key="id", dtypes={"age": float})
    assert table.columns == ("town", "age", "id")
    assert table.dtypes["age"] == "float64"
    assert read_csv(people, dtypes={"age": "str"})["age"].tolist() == ["31", "45", "5"]
    assert read_csv(people).dtypes["id"] == "int64"


def test_numbers_too_large_become_floats_and_underscores_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("big,code\n99999999999999999999,1_0\n1,2_0\n")
    assert read_csv(path).dtypes == {"big": "float64", "code": "<U3"}


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert read_csv(path).columns == ("a", "b")


@pytest.mark.parametrize(
    ("content", "options", "error", "words"),
    [
        (b"", {}, errors.FileEmpty, "is empty"),
        (b"a,b\n", {}, errors.FileEmpty, "a header and no row"),
        (b"a,b\n", {"columns": []}, errors.FileEmpty, "a header and no row"),
        (b"a,b\n\n\n", {}, errors.FileEmpty, "a header and no row"),
        (b"a,a\n1,2\n", {}, errors.TableInvalid, "line 1.*'a' twice"),
        (b"a,\n1,2\n", {}, errors.TableInvalid, "none for column 2"),
        (b"a,b\n1,2\n", {"columns": ["aa"]}, errors.ColumnMissing, "no column 'aa'.*known: a, b"),
        (b"age,b\n1,2\n", {"key": "agee"}, errors.ColumnMissing, "did you mean 'age'"),
        (b"a,b\n1,2\n", {"dtypes": {"c": int}}, errors.ColumnMissing, "no column 'c'"),
        (b"a,b\n1,2\n", {"dtypes": {"a": "complex"}}, errors.UnknownName, "type 'complex'"),
        (b"a,b\n1,2\nsecret,2\n", {"dtypes": {"a": int}}, errors.CellTypeWrong, "column 'a', line 3: expected a whole"),
        (b"a,b\n1,2\nsecret,2\n", {"dtypes": {"a": float}}, errors.CellTypeWrong, "line 3: expected a number"),
        (b"a,b\nyes,2\nsecret,2\n", {"dtypes": {"a": bool}}, errors.CellTypeWrong, "line 3: expected true or false"),
        (
            b'a,b\n"x\ny",2\n,2\n',
            {"dtypes": {"b": int}, "key": "a"},
            errors.KeyInvalid,
            "empty identifiers: 1, .*line 4",
        ),
        (b"a,b\n1,2\n1\n", {}, errors.RowRagged, "line 3: expected 2 cells.*found 1"),
        (b"a,b\n1,2,3\n", {}, errors.RowRagged, "line 2: expected 2 cells.*found 3"),
        (b'a,b\n1,"2\n', {}, errors.RowRagged, "not valid CSV"),
        (b"a,b\n1,\xff\n", {}, errors.EncodingWrong, "expected UTF-8"),
        (
            b"id\na\nsecret\n b\nsecret \n",
            {"key": "id"},
            errors.KeyInvalid,
            "repeated identifiers: 1; line 5 has that of line 3",
        ),
        (b"id,x\na,1\n ,2\n,3\n", {"key": "id"}, errors.KeyInvalid, "empty identifiers: 2, the first on line 3"),
    ],
)
def test_each_bad_file_has_its_error(
    tmp_path: Path, content: bytes, options: dict[str, Any], error: type[errors.JaliError], words: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        read_csv(path, **options)
    assert "bad.csv" in str(caught.value) or error is errors.UnknownName
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.FileMissing, match=r"nobody\.csv.*No such file"):
        read_csv(tmp_path / "nobody.csv")
    with pytest.raises(errors.FileMissing, match="directory"):
        read_csv(tmp_path)


def test_a_type_that_changes_late_in_a_long_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    rows = [f"{n},{n},true,{n}" for n in range(5000)]
    rows[4500] = "4500,0.5,maybe,x"
    path.write_text("a,b,c,d\n" + "\n".join(rows))
    assert read_csv(path).dtypes == {"a": "int64", "b": "float64", "c": "<U5", "d": "<U4"}
    with pytest.raises(errors.CellTypeWrong, match=r"column 'd', line 4502: .*\(1 cells\)"):
        read_csv(path, dtypes={"d": int})


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(
    st.lists(st.tuples(st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans(), words), min_size=1, max_size=20)
)
@settings(deadline=None, max_examples=60)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    table = Table(dict(zip("xnbt", map(list, zip(*rows, strict=True)), strict=True)))
    assert write_csv(table, path) == path
    assert read_csv(path, dtypes={"x": float, "t": str}).equals(table)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.WriteFailed, match="No space left"):
        write_csv(Table({"a": [1]}), tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
