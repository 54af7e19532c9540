# SPDX-License-Identifier: Apache-2.0
"""Rows that are looked up in a program: exact, by key and by number, from one owner and from two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jali
from jali.core.errors import KeyInvalid, ProgramError, PsiFrameInvalid, PsiKeysDiffer, TableInvalid, UnknownParty
from jali.psi.pir.packing import Column, columns_from, columns_of, packed, unpacked

REGISTRY: dict[str, Any] = {
    "phone": ["+1", "+44", "+49", "+91"],
    "name": ["Ana", "Bo", "Çelik 李", ""],
    "limit": [1.5, -2.0, 3e300, 0.0],
    "age": [31, -5, 2**62, 0],
    "good": [True, False, True, True],
}


def _look_up(
    asked: dict[str, Any], table: dict[str, Any], *, on: Any = None, owners: int = 1, by: Any = None
) -> jali.Table:
    with jali.simulate("a", "b", "shop") as fed:
        tables = tuple(fed.plain(owner)(lambda: jali.Table(table))() for owner in ("a", "b")[:owners])
        book = jali.publish(tables[0] if owners == 1 else tables, to="shop", on=on)
        found = book.look_up(fed.plain("shop")(lambda: jali.Table(asked))(), on=by)
        result: jali.Table = jali.reveal(found, to="shop")
        return result


def test_by_key() -> None:
    found = _look_up({"phone": ["+49", "+7", " +1 ", "+49"], "order": [1, 2, 3, 4]}, REGISTRY, on="phone")
    assert found.columns == ("phone", "order", "name", "limit", "age", "good", "found")
    assert found["found"].tolist() == [True, False, True, True]
    assert found["name"].tolist() == ["Çelik 李", "", "Ana", "Çelik 李"]
    assert found["limit"].tolist() == [3e300, 0.0, 1.5, 3e300]
    assert found["age"].tolist() == [2**62, 0, 31, 2**62]
    assert found["good"].tolist() == [True, False, True, True]
    assert found["order"].tolist() == [1, 2, 3, 4]


def test_by_several_columns_of_other_names() -> None:
    table = {"a": [1, 1, 2], "b": ["x", "y", "x"], "v": [10, 20, 30]}
    found = _look_up({"p": [2, 1, 2], "q": ["x", "y", "y"]}, table, on=["a", "b"], by=["p", "q"])
    assert found["v"].tolist() == [30, 20, 0]


@pytest.mark.parametrize("owners", [1, 2])
def test_by_number(owners: int) -> None:
    table = {"v": np.arange(1000) ** 2, "t": [f"row {i}" for i in range(1000)]}
    wanted = np.random.default_rng(1).integers(0, 1000, 600)
    found = _look_up({"place": wanted}, table, owners=owners, by="place")
    assert np.array_equal(found["v"], wanted**2)
    assert found["t"].tolist() == [f"row {i}" for i in wanted]
    assert found["found"].all()


def test_nothing_asked_and_again_and_again() -> None:
    assert len(_look_up({"phone": np.zeros(0, np.str_)}, REGISTRY, on="phone")) == 0
    with jali.simulate("a", "shop", "store") as fed:
        book = jali.publish(fed.plain("a")(lambda: jali.Table(REGISTRY))(), to=["shop", "store"], on="phone")
        for party, phone in (("shop", "+44"), ("store", "+1"), ("shop", "+91")):
            asked = fed.plain(party)(lambda phone=phone: jali.Table({"phone": [phone]}))()
            found = jali.reveal(book.look_up(asked), to=party)
            assert found["age"].tolist() == [REGISTRY["age"][REGISTRY["phone"].index(phone)]]
        text = str(fed.report())
    assert "a learns how many keys shop asks for, and when" in text
    assert "store learns the number of keys of a, and keys and values in the columns that are asked for" in text
    assert "learning with errors" in text


def test_two_owners_must_hold_one_table() -> None:
    def run() -> None:
        with jali.simulate("a", "b", "shop") as fed:
            tables = tuple(fed.plain(p)(lambda p=p: jali.Table({"v": [len(p), ord(p)]}))() for p in ("a", "b"))
            jali.reveal(jali.publish(tables, to="shop").look_up(_numbers(fed), on="place"), to="shop")

    with pytest.raises(TableInvalid, match="different tables"):
        run()


def _numbers(fed: Any, *numbers: int) -> Any:
    return fed.plain("shop")(lambda: jali.Table({"place": list(numbers)}))()


@pytest.mark.parametrize(
    ("table", "asked", "on", "error"),
    [
        ({"k": [1, 1], "v": [1, 2]}, {"k": [1]}, "k", KeyInvalid),
        ({"k": [1, 2]}, {"k": [1]}, "k", TableInvalid),
        ({"k": [1, 2], "v": [1, 2]}, {"k": ["1"]}, "k", PsiKeysDiffer),
        ({"k": [1, 2], "v": [1, 2]}, {"k": [1], "v": [0]}, "k", TableInvalid),
        ({"v": [1, 2]}, {"place": [2]}, None, TableInvalid),
        ({"v": [1, 2]}, {"place": [-1]}, None, TableInvalid),
        ({"v": [1, 2]}, {"place": [0.5]}, None, TableInvalid),
        ({"v": np.zeros(0)}, {"place": [0]}, None, TableInvalid),
    ],
)
def test_tables_that_do_not_fit(table: dict[str, Any], asked: dict[str, Any], on: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        _look_up(asked, table, on=on, by=on or "place")


def test_programs_that_make_no_sense() -> None:
    with jali.simulate("a", "b", "shop") as fed:
        table = fed.plain("a")(lambda: jali.Table(REGISTRY))()
        with pytest.raises(ProgramError, match="none of the owners"):
            jali.publish(table, to="a", on="phone")
        with pytest.raises(ProgramError, match="none of the owners"):
            jali.publish(table, to=[], on="phone")
        with pytest.raises(UnknownParty):
            jali.publish(table, to="shpo", on="phone")
        with pytest.raises(ProgramError, match="same at two"):
            jali.publish((table, table), to="shop")
        book = jali.publish(table, to="shop", on="phone")
        with pytest.raises(ProgramError, match="was not given the book"):
            book.look_up(fed.plain("b")(lambda: jali.Table({"phone": ["+1"]}))())
        with pytest.raises(ProgramError, match="as many columns"):
            book.look_up(_numbers(fed, 1), on=["phone", "name"])


def test_rows_are_packed_and_unpacked() -> None:
    table = jali.Table(REGISTRY)
    columns = columns_of(table, table.columns)
    rows = packed(table, columns)
    assert rows.shape == (4, sum(column.width for column in columns))
    assert jali.Table(unpacked(rows, columns)).equals(table)
    with pytest.raises(PsiFrameInvalid, match="expected text"):
        unpacked(np.full((1, 2), 255, np.uint8), [Column("t", "U", 2)])
    for bad in (b"", b"\xff", b"\x90", b"\x91\x93\xa1a\xa1f\x07", b"\x91\x93\xa1a\xa1O\x08"):
        with pytest.raises(PsiFrameInvalid):
            columns_from(bad)
