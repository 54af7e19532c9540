# SPDX-License-Identifier: Apache-2.0
"""Keys: canonical bytes that are equal exactly when the identifiers are, and loud errors for what is none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import KeyInvalid, KeyTypeWrong, UnknownName
from jali.psi.keys import Keys

TEXT = st.text(min_size=1, max_size=4).filter(lambda text: text.strip() != "")


def _texts(*values: str) -> np.ndarray[Any, Any]:
    return np.array(values, np.str_)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers(values: list[int]) -> None:
    keys = Keys(np.array(values, np.int64))
    assert sorted(int.from_bytes(key[1:], "little", signed=True) for key in keys.distinct) == sorted(set(values))


@given(st.lists(st.binary(min_size=1, max_size=3)))
def test_rows_of_each_key(values: list[bytes]) -> None:
    keys = Keys(values)
    found = {key[1:]: keys.rows[keys.starts[i] : keys.starts[i + 1]].tolist() for i, key in enumerate(keys.distinct)}
    assert found == {value: [row for row, other in enumerate(values) if other == value] for value in values}
    assert dict(zip(keys.distinct, keys.counts.tolist(), strict=True)) == {
        b"b" + value: count for value, count in Counter(values).items()
    }


@given(st.lists(TEXT))
def test_exact_text_is_told_apart_exactly(values: list[str]) -> None:
    assert len(Keys(values, normalise="exact")) == len(set(values))


@pytest.mark.parametrize(
    ("normalise", "distinct"),
    [("exact", 7), ("trimmed", 4), ("folded", 2)],
)
def test_normalisation(normalise: str, distinct: int) -> None:
    column = _texts("Zo\u00eb", "Zoe\u0308", " Zo\u00eb\u00a0", "ZO\u00cb", "stra\u00dfe", "STRASSE ", "\u2003STRASSE")
    assert len(Keys(column, normalise=normalise)) == distinct


def test_kinds_are_told_apart() -> None:
    kinds = [Keys(column) for column in (np.array([49]), _texts("1"), [b"1"])]
    assert [keys.kind for keys in kinds] == ["whole numbers", "text", "bytes"]
    assert len({key for keys in kinds for key in keys.distinct}) == 3
    assert Keys(np.array([1, 2], np.int32)).distinct == Keys(np.array([1, 2], np.uint64)).distinct
    assert Keys(["a", "b"]).distinct == Keys(np.array(["a", "b"], object)).distinct == Keys(_texts("a", "b")).distinct


@pytest.mark.parametrize("column", [[], np.zeros(0), np.zeros(0, np.int64), _texts()])
def test_no_rows(column: Any) -> None:
    keys = Keys(column)
    assert len(keys) == len(keys.rows) == len(keys.counts) == 0


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, 2.0]),
        np.array([True]),
        ["a", 1],
        [b"a", "a"],
        [None, "a"],
        np.array([[1, 2]]),
        np.array([2**63], np.uint64),
        [2**70],
    ],
    ids=str,
)
def test_what_is_no_key(column: Any) -> None:
    with pytest.raises(KeyTypeWrong, match="column 'customer'"):
        Keys(column, name="customer")


@pytest.mark.parametrize("empty", ["", "  ", "\u00a0"])
def test_empty_text_is_refused_with_its_row(empty: str) -> None:
    with pytest.raises(KeyInvalid, match=r"'id', found 2 empty, the first in row 1 "):
        Keys(["secret-a", empty, "secret-b", empty], name="id")
    with pytest.raises(KeyInvalid, match="row 0"):
        Keys([b"", b"x"])


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(KeyInvalid, match="surrogate"):
        Keys(["\ud800"])


def test_an_unknown_normalisation_names_the_near_one() -> None:
    with pytest.raises(UnknownName, match="trimmed"):
        Keys(["a"], normalise="trimed")


def test_no_identifier_is_shown() -> None:
    assert repr(Keys(["secret", "secret", "b"])) == "<Keys: 2 distinct in 3 rows, text, trimmed>"
