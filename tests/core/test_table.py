# SPDX-License-Identifier: Apache-2.0
"""Tables: selections, types, errors, and silence about values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jali.core.errors import ColumnMissing, TableInvalid
from jali.core.table import Table


@pytest.fixture
def table() -> Table:
    """Three rows of each type."""
    return Table(
        {"name": ["secret-ann", "bo", "cy"], "age": [31, 45, 5], "rich": [True, False, True], "score": [0.5, np.nan, 2]}
    )


def test_columns_get_one_of_four_types(table: Table) -> None:
    assert table.dtypes == {"name": "<U10", "age": "int64", "rich": "bool", "score": "float64"}
    narrow = Table({"a": np.ones(1, np.float16), "b": np.ones(1, np.uint8), "c": np.array(["x"], object)})
    assert [array.dtype.kind for array in map(narrow.__getitem__, narrow)] == ["f", "i", "U"]
    assert narrow.dtypes["a"] == "float64"
    assert narrow.dtypes["b"] == "int64"


def test_selecting_renaming_adding_and_dropping(table: Table) -> None:
    assert table.select("score", "age").columns == ("score", "age")
    assert table.drop("name", "rich").columns == ("age", "score")
    assert table.rename({"age": "years"}).columns == ("name", "years", "rich", "score")
    wider = table.with_columns({"age": [1, 2, 3], "new": [0.0, 0, 0]})
    assert wider.columns == ("name", "age", "rich", "score", "new")
    assert wider["age"].tolist() == [1, 2, 3]
    assert table["age"].tolist() == [31, 45, 5]


def test_taking_rows(table: Table) -> None:
    assert table.take([2, 0, 2])["age"].tolist() == [5, 31, 5]
    assert table.take(table["rich"])["age"].tolist() == [31, 5]
    assert len(table.take([])) == 0
    for wrong in ([3], [0.5], [True], [[0]]):
        with pytest.raises(TableInvalid):
            table.take(wrong)


def test_numeric_columns_become_one_matrix(table: Table) -> None:
    matrix = table.numeric(["age", "rich"])
    assert matrix.dtype == np.float64
    assert matrix.tolist() == [[31, 1], [45, 0], [5, 1]]
    assert matrix.flags.c_contiguous
    with pytest.raises(TableInvalid, match="'name', found text"):
        table.numeric()


def test_columns_cannot_be_changed(table: Table) -> None:
    with pytest.raises(ValueError, match="read-only"):
        table["age"][0] = 1
    with pytest.raises(TypeError):
        table["age"] = [1, 2, 3]  # type: ignore[index]


def test_no_value_is_ever_shown(table: Table) -> None:
    for text in (repr(table), str(table), table._repr_html_()):
        assert "3 rows" in text
        assert "name" in text
        assert "int64" in text
        assert "secret" not in text
        assert "31" not in text
        assert "45" not in text


def test_names_in_html_are_escaped() -> None:
    assert "<b>" not in Table({"<b>": [1]})._repr_html_()


def test_a_missing_column_names_the_near_miss(table: Table) -> None:
    for attempt in (lambda: table["scores"], lambda: table.select("scores"), lambda: table.drop("scores")):
        with pytest.raises(ColumnMissing, match="did you mean 'score'"):
            attempt()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1, 2], "b": [1]}, "a has 2, b has 1"),
        ({"a": [[1]]}, "shape"),
        ({"a": [[1], [1, 2]]}, "nested lists"),
        ({"a": [object()]}, "found object"),
        ({"a": [1j]}, "complex"),
        ({1: [1]}, "texts as column names, found int"),
        ({"a": np.array([2**63], np.uint64)}, "below 2\\^63"),
    ],
)
def test_columns_that_make_no_table(columns: dict[Any, Any], words: str) -> None:
    with pytest.raises(TableInvalid, match=words):
        Table(columns)


def test_renaming_to_one_name_twice_is_refused(table: Table) -> None:
    with pytest.raises(TableInvalid, match="different names"):
        table.rename({"age": "score"})
