# SPDX-License-Identifier: Apache-2.0
"""Joins on an mpc device: exact, for devices of two and three parties, with owners in and outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jali
from jali.core.errors import JaliError, KeyInvalid, ProgramError, PsiKeysDiffer, WouldDisclose

DEVICES = [("a", "b"), ("a", "b", "c"), ("b", "c"), ("c", "d")]


def _table(**columns: Any) -> jali.Table:
    return jali.Table(columns)


def _join(fed: Any, left: jali.Table, right: jali.Table, parties: tuple[str, ...], **how: Any) -> Any:
    tables = fed.plain("a")(lambda: left)(), fed.plain("b")(lambda: right)()
    return jali.align_secret(*tables, on="id", device=fed.mpc(*parties), **how)


@pytest.mark.parametrize("parties", DEVICES)
def test_numbers_come_along_and_nothing_else_does(parties: tuple[str, ...]) -> None:
    left = _table(id=["ana", "bo", "cy", "dan"], x=[1.5, -2.5, 3.5, 4.5], name=["p", "q", "r", "s"])
    right = _table(id=["cy", "eve", "ana "], y=[10, 20, -(2**62)], f=[0.5, 0.25, -0.125], t=[True, False, True])
    with jali.simulate("a", "b", "c", "d") as fed:
        mine, theirs, member = (jali.reveal(x, to="all") for x in _join(fed, left, right, parties))
    assert sorted(mine) == ["x"]
    assert sorted(theirs) == ["f", "t", "y"]
    assert sorted(mine["x"][mine["x"] != 0].tolist()) == [-2.5, 1.5, 3.5, 4.5]
    rows = {x: (y, f, t) for x, y, f, t in zip(mine["x"], theirs["y"], theirs["f"], theirs["t"], strict=True) if x}
    assert rows == {1.5: (-(2**62), -0.125, 1), -2.5: (0, 0, 0), 3.5: (10, 0.5, 1), 4.5: (0, 0, 0)}
    assert member.dtype == np.bool_
    assert sorted(mine["x"][member].tolist()) == [1.5, 3.5]
    assert not np.any(theirs["y"][~member])


def test_a_joint_function_takes_what_matches() -> None:
    left, right = _table(id=[1, 2, 3], x=[1.0, 2.0, 3.0]), _table(id=[3, 4, 2], w=[0.5, 7.0, 0.25])
    with jali.simulate("a", "b") as fed:
        a, b, member = _join(fed, left, right, ("a", "b"))
        total = fed.mpc("a", "b")(lambda a, b, m: (m * a["x"] * b["w"]).sum())(a, b, member)
        assert jali.reveal(total, to="a") == pytest.approx(2 * 0.25 + 3 * 0.5, abs=1e-4)
        text = str(fed.report())
    assert "secret join of a and b: semi-honest" in text
    assert "b learns the number of distinct keys of a" in text
    assert "has too" not in text


def test_one_side_without_numbers_or_rows() -> None:
    with jali.simulate("a", "b") as fed:
        a, b, member = _join(fed, _table(id=["x", "y"]), _table(id=np.zeros(0, np.str_)), ("a", "b"))
        assert not jali.reveal(member, to="a").any()
        assert jali.reveal(a, to="a") == jali.reveal(b, to="a") == {}


def test_a_repeated_key_is_refused_with_a_way_out() -> None:
    with pytest.raises(KeyInvalid, match="1 of 2 in several: sum up"), jali.simulate("a", "b") as fed:
        jali.reveal(_join(fed, _table(id=[1, 1, 2]), _table(id=[1]), ("a", "b"))[2], to="a")


def test_other_kinds_of_keys_are_told_to_all() -> None:
    with pytest.raises(PsiKeysDiffer), jali.simulate("a", "b", "c") as fed:
        jali.reveal(_join(fed, _table(id=[1, 2]), _table(id=["1"]), ("a", "b", "c"))[2], to="c")


def test_a_device_that_is_none_or_in_the_clear() -> None:
    with jali.simulate("a", "b") as fed:
        handle = fed.plain("a")(lambda: _table(id=[1]))(), fed.plain("b")(lambda: _table(id=[1]))()
        with pytest.raises(ProgramError, match="expected an mpc device"):
            jali.align_secret(*handle, on="id", device=fed.plain("a"))  # type: ignore[arg-type]
        with pytest.raises(WouldDisclose, match="in the clear"):
            jali.align_secret(*handle, on="id", device=fed.mpc("a"))
        with pytest.raises(JaliError):
            jali.align_secret(*handle, on="id", device=fed.mpc("a", "b"), normalise="trimed")


@pytest.mark.parametrize("parties", DEVICES)
def test_bytes_are_known_before(parties: tuple[str, ...]) -> None:
    def job(fed: Any) -> None:
        left = {"id": jali.Spec((30,), "int64"), "x": jali.Spec((30,)), "t": jali.Spec((30,), "int64")}
        right = {"id": jali.Spec((20,), "int64"), "y": jali.Spec((20,))}
        tables = (
            fed.plain("a")(lambda: _table(id=np.arange(30), x=np.ones(30), t=np.ones(30) > 0), returns=left)(),
            fed.plain("b")(lambda: _table(id=np.arange(10, 30), y=np.ones(20)), returns=right)(),
        )
        jali.align_secret(*tables, on="id", device=fed.mpc(*parties))

    everybody = ["a", "b", "c", "d"]
    planned = next(row for row in jali.explain(job, everybody).rows if row.text.startswith("join"))
    with jali.simulate(*everybody) as fed:
        job(fed)
        done = next(row for row in fed.report().rows if row.text.startswith("join"))
    assert planned.predicted is not None
    assert done.bytes_sent == sum(planned.predicted.bytes_sent.values())
    assert done.rounds == planned.predicted.rounds
