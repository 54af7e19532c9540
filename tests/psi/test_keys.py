# SPDX-License-Identifier: Apache-2.0
"""Keys: digests that are equal exactly when the identifiers are, and loud errors for what is none."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import KeyInvalid, KeyTypeWrong, UnknownName
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.psi import keys as module
from jali.psi.keys import Keys
from jali.psi.normalise import PRESETS, STEPS, canonical, mark_of, normalised, preset_of, spelled, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = st.text(min_size=1, max_size=4).filter(lambda text: text.strip() != "")


def _texts(*values: str) -> np.ndarray[Any, Any]:
    return np.array(values, np.str_)


def _digest(kind: str, content: bytes) -> bytes:
    return hashlib.sha512(encode_parts("jali.psi.key.v1", kind) + content).digest()[:16]


def _rows_of(keys: Keys) -> dict[bytes, list[int]]:
    return {
        digest.tobytes(): keys.rows[keys.starts[i] : keys.starts[i + 1]].tolist()
        for i, digest in enumerate(keys.digests)
    }


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers(values: list[int]) -> None:
    keys = Keys(np.array(values, np.int64))
    wanted = {_digest("whole numbers", value.to_bytes(8, "little", signed=True)) for value in values}
    assert [digest.tobytes() for digest in keys.digests] == sorted(wanted)


@given(st.lists(st.binary(min_size=1, max_size=3)))
def test_rows_of_each_key(values: list[bytes]) -> None:
    keys = Keys(values)
    assert _rows_of(keys) == {
        _digest("bytes", value): [row for row, other in enumerate(values) if other == value] for value in values
    }
    assert keys.counts.tolist() == [len(rows) for rows in _rows_of(keys).values()]


def test_digests_that_differ_late_are_told_apart() -> None:
    """Eight equal bytes first: the second word decides, and rows keep their order within a key."""
    digests = np.zeros((6, 16), np.uint8)
    digests[:, 15] = [3, 1, 3, 2, 1, 3]
    rows, starts = module._grouped(digests)
    assert rows.tolist() == [1, 4, 3, 0, 2, 5]
    assert starts.tolist() == [0, 2, 3, 6]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1))
def test_keys_of_several_columns(values: list[tuple[str, int]]) -> None:
    keys = Keys({"name": _texts(*(name for name, _ in values)), "branch": np.array([n for _, n in values])})
    assert sorted(_rows_of(keys).values()) == sorted(
        [row for row, other in enumerate(values) if other == value] for value in set(values)
    )
    assert keys.kinds == ("text", "whole numbers")


def test_columns_of_a_key_are_told_apart() -> None:
    """("ab", "c") is not ("a", "bc"), nor ("c", "ab")."""
    keys = Keys({"x": ["ab", "a", "c"], "y": ["c", "bc", "ab"]})
    assert len(keys) == 3
    with pytest.raises(KeyTypeWrong, match="one length"):
        Keys({"x": ["a"], "y": ["a", "b"]})
    with pytest.raises(KeyTypeWrong, match="found 0"):
        Keys({})


LETTERS = st.text("aAzZ0-+ \t\x1f\x0b\xa0\u0665\u00b2\u00eb\u0308\u2003\u00df\ufb01\U0001f600", max_size=6)


def _trimmed(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


OF_NAMES: dict[str, Callable[[str], str]] = {
    "trimmed": _trimmed,
    "exact": lambda text: text,
    "folded": lambda text: _trimmed(unicodedata.normalize("NFKD", text).casefold()),
}


def _normalised(values: list[str], normalise: str) -> list[str]:
    texts = normalised(ByteStrings.of([value.encode() for value in values]), normalise)
    return [texts[i].decode() for i in range(len(values))]


@given(st.lists(LETTERS), st.sampled_from(sorted(PRESETS)))
def test_normal_forms_are_those_of_each_text(values: list[str], name: str) -> None:
    assert _normalised(values, name) == [OF_NAMES[name](value) for value in values]


@given(st.lists(LETTERS), st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4))
def test_steps_are_done_in_order(values: list[str], steps: list[str]) -> None:
    assert _normalised(values, ",".join(steps)) == [reduce(lambda x, step: STEPS[step](x), steps, y) for y in values]


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        ("digits", ["+49 (30) 123-45", "493012345", "\u0664\u0669 30 123 45"]),
        ("fold,alnum", ["DE89 3704-0044", "de8937040044", "De89 3704 0044 "]),
        ("nfkd,fold,alnum", ["Zo\u00eb M\u00fcller", "ZOE MULLER", "zoe-m\uff35ller"]),
    ],
)
def test_what_is_written_in_many_ways_is_one_key(steps: str, values: list[str]) -> None:
    assert len(Keys(values, normalise=steps)) == 1
    with pytest.raises(KeyInvalid, match="row 1 "):
        Keys(["1", " - "], normalise=steps)


def test_the_order_of_steps_matters() -> None:
    """Decomposing gives a space at the front (of the diaeresis alone), which only a later trim takes away."""
    assert _normalised(["\u00a8x"], "nfkd,trim") != _normalised(["\u00a8x"], "trim,nfkd")


def test_a_normalisation_has_one_name() -> None:
    assert canonical(" nfc , trim") == canonical("trimmed") == "trimmed"
    assert canonical("nfkd,fold,nfc,trim") == "folded"
    assert canonical("trim, nfc") == "trim,nfc"
    assert Keys(["a"], normalise="nfc,trim").normalise == "trimmed"
    assert (steps_of("exact"), spelled("exact")) == ((), "normalise = 'exact': nothing is done")


def test_marks_are_of_the_steps_in_their_order() -> None:
    marks = {name: mark_of(name) for name in (*PRESETS, "trim,nfc", "nfc", "trim")}
    assert len(set(marks.values())) == len(marks)
    assert {name: preset_of(mark) for name, mark in marks.items()} == {
        name: name if name in PRESETS else "" for name in marks
    }


@pytest.mark.parametrize(
    ("normalise", "near"),
    [("trimed", "'trimmed'"), ("nfcc,trim", "'nfc'"), ("trim,folded", "'fold'"), ("", "known"), ("nfc,,trim", "known")],
)
def test_an_unknown_step_names_the_near_ones(normalise: str, near: str) -> None:
    with pytest.raises(UnknownName, match=near):
        Keys(["a"], normalise=normalise)


@pytest.mark.parametrize("n", [1, 70_000])
def test_arrays_of_text_are_lists_of_text(n: int) -> None:
    """In chunks: some are plain ASCII, one is not."""
    values = [f" id {i}" if i % 7 else str(i) for i in range(n)]
    values[n // 9] = "Zo\u00eb"
    ours, theirs = Keys(_texts(*values)), Keys(values)
    np.testing.assert_array_equal(ours.digests, theirs.digests)
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    swapped = Keys(_texts(*values[:50]).astype(">U9"))
    np.testing.assert_array_equal(swapped.digests, Keys(values[:50]).digests)


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


def _same(*all_keys: Keys) -> bool:
    return len({keys.digests.tobytes() for keys in all_keys}) == 1


def test_kinds_are_told_apart() -> None:
    kinds = [Keys(column) for column in (np.array([49]), _texts("1"), [b"1"])]
    assert [keys.kinds for keys in kinds] == [("whole numbers",), ("text",), ("bytes",)]
    assert len({keys.digests.tobytes() for keys in kinds}) == 3
    assert _same(Keys(np.array([1, 2], np.int32)), Keys(np.array([1, 2], np.uint64)))
    assert _same(Keys(["a", "b"]), Keys(np.array(["a", "b"], object)), Keys(_texts("a", "b")))


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


def test_rows_with_an_empty_cell_have_no_key() -> None:
    keys = Keys({"x": ["a", "", "b", "a"], "y": ["1", "1", " ", "1"]}, optional=True)
    assert _rows_of(keys) == {Keys({"x": ["a"], "y": ["1"]}).digests[0].tobytes(): [0, 3]}
    assert len(Keys(["", " "], optional=True)) == 0
    assert len(Keys(np.array([0, 1]), optional=True)) == 2, "a number is never missing"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_rows_that_are_gone_take_their_keys_with_them(values: list[tuple[str, bool]]) -> None:
    gone = np.array([out for _, out in values], np.bool_)
    left = Keys([name for name, _ in values]).without(gone)
    wanted = {
        Keys([letter]).digests[0].tobytes(): [i for i, value in enumerate(values) if value == (letter, False)]
        for letter in "abc"
    }
    assert _rows_of(left) == {digest: rows for digest, rows in wanted.items() if rows}
    assert [digest.tobytes() for digest in left.digests] == sorted(_rows_of(left))


def test_no_identifier_is_shown() -> None:
    assert repr(Keys(["secret", "secret", "b"])) == "<Keys: 2 distinct in 3 rows, text, trimmed>"
