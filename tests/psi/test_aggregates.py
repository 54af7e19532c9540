# SPDX-License-Identifier: Apache-2.0
"""Counts and sums over the keys in common: as SQL has them, bounded from below, with noise of both parties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jali
from jali.core.errors import ColumnMissing, KeyInvalid, ProgramError
from jali.psi import aggregates

LEFT = [1, 2, 2, 3, 9]
RIGHT = [2, 3, 3, 4, 2, 2]
AMOUNTS = [10.5, 1.0, 2.25, 50.0, -4.0, 0.5]


def _tables(fed: Any, left: list[int], right: list[int], amounts: list[Any]) -> tuple[Any, Any]:
    return (
        fed.plain("a")(lambda: jali.Table({"id": left}))(),
        fed.plain("b")(lambda: jali.Table({"id": right, "amount": amounts}))(),
    )


def _sum(
    left: list[int], right: list[int], amounts: list[Any], parties: tuple[str, ...] = ("a", "b"), **how: Any
) -> Any:
    with jali.simulate("a", "b", "c") as fed:
        found = jali.sum_common(
            *_tables(fed, left, right, amounts), on="id", of="amount", device=fed.mpc(*parties), **how
        )
        return jali.reveal(found, to="all")


def _by_hand(left: list[int], right: list[int], amounts: list[Any]) -> tuple[float, int, int]:
    pairs = [amount for key in left for other, amount in zip(right, amounts, strict=True) if key == other]
    return sum(pairs), len(pairs), len(set(left) & set(right))


@pytest.mark.parametrize("parties", [("a", "b"), ("a", "b", "c")])
def test_sums_are_those_of_a_join(parties: tuple[str, ...]) -> None:
    found = _sum(LEFT, RIGHT, AMOUNTS, parties)
    total, rows, keys = _by_hand(LEFT, RIGHT, AMOUNTS)
    assert found["sum"] == pytest.approx(total, abs=1e-4)
    assert (found["rows"], found["keys"]) == (rows, keys) == (8, 2)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 6), st.integers(-(2**40), 2**40)), min_size=1, max_size=12),
)
def test_whole_numbers_are_exact(left: list[int], right: list[tuple[int, int]]) -> None:
    keys, amounts = [key for key, _ in right], [amount for _, amount in right]
    found = _sum(left, keys, amounts)
    assert (found["sum"], found["rows"], found["keys"]) == _by_hand(left, keys, amounts)


@pytest.mark.parametrize(("at_least", "shown"), [(0, True), (1, True), (2, True), (3, False)])
def test_too_few_keys_show_nothing(at_least: int, *, shown: bool) -> None:
    found = _sum(LEFT, RIGHT, AMOUNTS, at_least=at_least)
    assert {name: bool(number) for name, number in found.items()} == dict.fromkeys(("sum", "rows", "keys"), shown)
    with jali.simulate("a", "b") as fed:
        count = jali.count_common(
            *_tables(fed, LEFT, RIGHT, AMOUNTS), on="id", device=fed.mpc("a", "b"), at_least=at_least
        )
        assert jali.reveal(count, to="a") == (2 if shown else 0)


def test_both_parties_add_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []

    def noise(epsilon: float) -> int:
        drawn.append(epsilon)
        return -7

    monkeypatch.setattr(aggregates, "discrete_laplace", noise)
    with jali.simulate("a", "b") as fed:
        count = jali.count_common(*_tables(fed, LEFT, RIGHT, AMOUNTS), on="id", device=fed.mpc("a", "b"), epsilon=0.5)
        assert jali.reveal(count, to="b") == 2 - 14
    assert drawn == [0.5, 0.5]


def test_with_hardly_any_privacy_the_number_is_exact() -> None:
    with jali.simulate("a", "b") as fed:
        count = jali.count_common(*_tables(fed, LEFT, RIGHT, AMOUNTS), on="id", device=fed.mpc("a", "b"), epsilon=100)
        assert jali.reveal(count, to="b") == 2


def test_what_makes_no_sense_is_said_before_anything_runs() -> None:
    with jali.simulate("a", "b") as fed:
        tables, mpc = _tables(fed, LEFT, RIGHT, AMOUNTS), fed.mpc("a", "b")
        with pytest.raises(ProgramError, match="name it, device"):
            jali.count_common(*tables, on="id", at_least=3)
        with pytest.raises(ProgramError, match="name it, device"):
            jali.count_common(*tables, on="id", epsilon=1.0)
        with pytest.raises(ProgramError, match="leave out learns"):
            jali.count_common(*tables, on="id", device=mpc, learns="a")
        with pytest.raises(ProgramError, match="expected an epsilon"):
            jali.count_common(*tables, on="id", device=mpc, epsilon=0)
        with pytest.raises(ProgramError, match="expected at_least"):
            jali.sum_common(*tables, on="id", of="amount", device=mpc, at_least=-1)


@pytest.mark.parametrize(("of", "error"), [("amuont", ColumnMissing), ("name", KeyInvalid)])
def test_a_column_that_cannot_be_summed(of: str, error: type[Exception]) -> None:
    def run() -> None:
        with jali.simulate("a", "b") as fed:
            tables = (
                fed.plain("a")(lambda: jali.Table({"id": [1]}))(),
                fed.plain("b")(lambda: jali.Table({"id": [1], "amount": [2.0], "name": ["x"]}))(),
            )
            jali.reveal(jali.sum_common(*tables, on="id", of=of, device=fed.mpc("a", "b"))["sum"], to="a")

    with pytest.raises(error):
        run()
