# SPDX-License-Identifier: Apache-2.0
"""Sorting: what comes out, what is opened on the way, and that pairs stay within their budget."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import FixedPointRangeError, InternalError, ProtocolAbort
from jali.crypto.prg import Prg
from jali.mpc.cost.estimate import estimate
from jali.mpc.order import sorting
from jali.mpc.order.permutations import KEY_WORDS, Permutation
from jali.mpc.order.radix import sort_by_digits
from jali.mpc.order.schedule import Step, digits_are_cheaper, network, network_is_cheaper, pair_budget, schedule
from jali.mpc.order.sorting import sort_columns
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import lockstep, parallel
from tests.mpc.roles import DEALT, SECURE, dealing_at_once, make_sides, run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

NAMES = PROTOCOLS.names()


def sorted_under(
    protocol: str, *columns: NDArray[np.int64], keys: int, seed: int = 0, by: Callable[..., Part] = sort_columns
) -> list[NDArray[np.int64]]:
    """What role 0 sees of sorted columns of its own."""

    def operation(side: Any) -> Part:
        shares = []
        for column in columns:
            words = column.view(np.uint64) if side.role == 0 else None
            shares.append((yield from side.input(words, 0, column.shape)))
        results = yield from by(side, shares, keys=keys)
        return (yield from parallel(*(side.reveal(result, [0]) for result in results)))

    return [words.view(np.int64) for words in run_lockstep(protocol, operation, seed=seed)[0]]


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("shape", [(1, 0), (0, 3), (1, 1), (2, 1), (1, 2), (5, 3), (3, 64), (2, 500), (1, 2000)])
def test_a_sort_is_stable_and_takes_the_other_columns_along(protocol: str, shape: tuple[int, int]) -> None:
    x = np.random.default_rng(shape[1]).integers(-20, 20, shape)
    places = np.ascontiguousarray(np.broadcast_to(np.arange(shape[1]), shape))
    found = sorted_under(protocol, x, places, keys=1)
    order = np.argsort(x, axis=1, kind="stable")
    np.testing.assert_array_equal(found[1], order)
    np.testing.assert_array_equal(found[0], np.take_along_axis(x, order, axis=1))


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("keys", [1, 2, 3, 4])
def test_several_keys_decide_one_after_the_other(protocol: str, keys: int) -> None:
    columns = [np.random.default_rng(k).integers(-1, 2, (2, 60)) for k in range(4)]
    found = sorted_under(protocol, *columns, keys=keys)
    for row in range(2):
        order = np.lexsort([column[row] for column in columns[:keys]][::-1])
        for column, result in zip(columns, found, strict=True):
            np.testing.assert_array_equal(result[row], column[row][order])


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("shape", [(1, 0), (0, 3), (2, 1), (1, 2), (3, 7), (1, 2000)])
def test_keys_of_one_bit_take_a_pass_each(protocol: str, shape: tuple[int, int]) -> None:
    columns = [np.random.default_rng(k).integers(0, 2, shape) for k in range(2)]
    places = np.ascontiguousarray(np.broadcast_to(np.arange(shape[1]), shape))
    found = sorted_under(protocol, *columns, places, keys=2, by=sort_by_digits)
    for row in range(shape[0]):
        order = np.lexsort([columns[1][row], columns[0][row]])
        for column, result in zip([*columns, places], found, strict=True):
            np.testing.assert_array_equal(result[row], column[row][order])


@pytest.mark.parametrize("protocol", NAMES)
def test_keys_may_take_62_bits(protocol: str) -> None:
    x = np.array([[2**62 - 1, -(2**62), 0, -1, 1, 2**62 - 1, -(2**62)]])
    np.testing.assert_array_equal(sorted_under(protocol, x, keys=1)[0], np.sort(x))


@pytest.mark.parametrize("protocol", NAMES)
def test_small_keys_are_compared_together_with_their_places(protocol: str) -> None:
    x = np.random.default_rng(1).integers(-4, 4, (2, 100)) * 2**52 - 2**54
    places = np.ascontiguousarray(np.broadcast_to(np.arange(100), x.shape))
    order = np.argsort(x, axis=1, kind="stable")
    for bits in (55, 56):  # 7 bits of places fit below 55 bits
        found = sorted_under(protocol, x, places, keys=1, by=partial(sort_columns, bits=bits))
        np.testing.assert_array_equal(found[1], order)


def test_small_keys_cost_less() -> None:
    def operation(side: Any, *, bits: int) -> Part:
        x = yield from side.input(None, 0, (1, 1000))
        return (yield from sort_columns(side, [x], keys=1, bits=bits))

    smallest, small, large = (estimate("m2k", partial(operation, bits=bits)) for bits in (19, 52, 53))
    assert small.offline_bytes < 0.82 * large.offline_bytes
    assert small.rounds < large.rounds
    assert smallest.offline_bytes < 0.5 * small.offline_bytes


def test_keys_that_are_too_large_are_loud_in_plain() -> None:
    with pytest.raises(FixedPointRangeError, match="a sort: 1 of 2 arguments"):
        sorted_under("plain", np.array([[2**62, 0]]), keys=1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62 - 1), min_size=1, max_size=40), st.integers(0, 1000))
def test_any_list_is_sorted(numbers: list[int], seed: int) -> None:
    x = np.array([numbers], np.int64)
    np.testing.assert_array_equal(sorted_under("m2k", x, keys=1, seed=seed)[0], np.sort(x))


# -- what is opened -------------------------------------------------------------------------------------------------


def opened_while_sorting(
    protocol: str, x: NDArray[np.int64], *, seed: int, by: Callable[..., Part] = sort_columns
) -> tuple[int, ...]:
    """Everything that is opened while three numbers are sorted."""
    sides, _ = make_sides(protocol, seed=seed)
    seen: list[NDArray[Any]] = []

    def watched(side: Any) -> Any:
        disclose = side.disclose

        def observed(x: Any) -> Part:
            opened = yield from disclose(x)
            if side.role == 0:
                seen.append(opened)
            return opened

        side.disclose = observed
        return side

    def operation(side: Any) -> Part:
        a = yield from side.input(x.view(np.uint64) if side.role == 0 else None, 0, x.shape)
        return (yield from by(watched(side), [a], keys=1))

    running = {role: operation(side) for role, side in sorted(sides.items(), reverse=True)}
    if protocol in DEALT:
        running[2] = dealing_at_once(running[2], sides[2])
    lockstep(running)
    return tuple(int(item) for opened in seen for item in opened.reshape(-1))


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize(
    ("numbers", "by"),
    [
        ((7, 7, 7), sort_columns),
        ((-1, 5, 2), sort_columns),
        ((0, 0, 1), sort_columns),
        ((1, 1, 1), sort_by_digits),
        ((1, 0, 1), sort_by_digits),
    ],
)
def test_what_is_opened_is_a_uniform_order_whatever_the_numbers_are(
    protocol: str, numbers: tuple[int, ...], by: Callable[..., Part]
) -> None:
    runs = 360
    counts = Counter(opened_while_sorting(protocol, np.array([numbers]), seed=seed, by=by) for seed in range(runs))
    assert len(counts) == 6  # two of the 8 outcomes of three comparisons are no order
    statistic = sum((count - runs / 6) ** 2 / (runs / 6) for count in counts.values())
    assert statistic < 35.9  # exceeded with probability 1e-6 at 5 degrees of freedom


@pytest.mark.parametrize("protocol", SECURE)
def test_messages_have_the_same_sizes_whatever_the_numbers_are(protocol: str) -> None:
    """Also where rows are searched and paired by what was opened; and they are those of the estimate."""
    shape = (1, 600)
    seen: list[list[tuple[int, int, int]]] = []

    def operation(side: Any, x: NDArray[np.uint64] | None = None) -> Part:
        a = yield from side.input(x if side.role == 0 else None, 0, shape)
        return (yield from sort_columns(side, [a], keys=1))

    def observe(rounds: Mapping[int, Round]) -> None:
        seen[-1] += [(i, j, a.size) for i, r in rounds.items() for j, arrays in r.send.items() for a in arrays]

    for x in (np.zeros(shape, np.uint64), np.random.default_rng(0).integers(0, 2**60, shape, np.uint64)):
        seen.append([])
        run_lockstep(protocol, partial(operation, x=x), observe=observe)
    assert seen[0] == seen[1]
    assert 8 * sum(size for _, _, size in seen[0]) == sum(estimate(protocol, operation).bytes_sent.values())


@pytest.mark.parametrize("protocol", SECURE)
def test_a_role_that_lacks_the_order_never_asks_for_it(protocol: str) -> None:
    with pytest.raises(InternalError, match="must not know the order"):
        sorting.known(None)
    lacking = [2] if protocol in DEALT else []

    def operation(side: Any) -> Part:
        return (yield from side.disclose(side.public_bits(np.ones(3, np.bool_))))

    results = run_lockstep(protocol, operation)
    assert [role for role, bits in results.items() if bits is None] == lacking


# -- the schedule ---------------------------------------------------------------------------------------------------


def too_many(rest: int, sample: int, budget: int) -> Fraction:
    """The exact probability that pairs exceed the budget: all ways to part `rest` among `sample` + 1, counted."""
    ways: dict[tuple[int, int], int] = {(0, 0): 1}
    for _ in range(sample + 1):
        longer: Counter[tuple[int, int]] = Counter()
        for (used, pairs), count in ways.items():
            for b in range(rest - used + 1):
                longer[used + b, min(pairs + b * (b - 1) // 2, budget + 1)] += count
        ways = dict(longer)
    return Fraction(ways.get((rest, budget + 1), 0), math.comb(rest + sample, sample))


@pytest.mark.parametrize(("rest", "sample"), [(20, 7), (30, 15)])
def test_the_budget_of_pairs_is_kept_but_for_2_to_the_minus_40(rest: int, sample: int) -> None:
    budget = pair_budget(rest, sample)
    assert too_many(rest, sample, budget) < Fraction(1, 2**40)
    assert budget < rest * (rest - 1) // 2 or too_many(rest, sample, budget - 1) > 0


@pytest.mark.parametrize(("rest", "sample", "batch"), [(67233, 32767, 1), (900, 127, 20), (24576, 8191, 1)])
def test_the_budget_is_near_what_is_needed(rest: int, sample: int, batch: int) -> None:
    random = np.random.default_rng(rest)
    needed = []
    for _ in range(20):
        total = 0
        for _ in range(batch):
            cuts = np.sort(random.choice(rest + sample, sample, replace=False))
            b = np.diff(np.concatenate([[-1], cuts, [rest + sample]])) - 1
            total += int((b * (b - 1) // 2).sum())
        needed.append(total)
    assert max(needed) <= pair_budget(rest, sample, batch=batch) < 1.6 * float(np.mean(needed))


@pytest.mark.parametrize(
    ("count", "batch", "most"),
    [(2, 1, 1), (500, 1, 50_000), (1000, 30, 500_000), (100_000, 1, 1_900_000), (1_000_000, 1, 21_000_000)],
)
def test_a_schedule_compares_little_more_than_is_needed(count: int, batch: int, most: int) -> None:
    compared = 0
    while (step := schedule(count, batch)).sample:
        assert step.sample == step.radix**step.levels - 1 < count
        compared += batch * (count - step.sample) * (step.radix - 1) * step.levels + step.pairs
        count = step.sample
    assert step.pairs == batch * count * (count - 1) // 2
    assert compared + step.pairs <= most


@pytest.mark.parametrize("count", [100, 10_000, 100_000])
def test_the_page_has_what_a_sort_costs(count: int) -> None:
    page = Path(__file__).resolve().parents[2] / "docs/explanation/order-and-places.md"
    rows = [line.strip("| ").replace(",", "").split(" | ") for line in page.read_text("utf-8").splitlines()]
    (row,) = [[int(cell) for cell in row] for row in rows if row[0] == str(count)]
    found: list[int] = []
    for protocol in ("m2k", "rep3", "aby3"):
        given: dict[int, Any] = {}

        def sharing(side: Any, given: dict[int, Any] = given) -> Part:
            given[side.role] = yield from side.input(None, 0, (1, count))

        def sorting_it(side: Any, given: dict[int, Any] = given) -> Part:
            return (yield from sort_columns(side, [given[side.role]], keys=1))

        estimate(protocol, sharing)
        cost = estimate(protocol, sorting_it)
        dealt = [round(cost.offline_bytes / count)] if protocol == "m2k" else []
        found += [cost.rounds, round(sum(cost.bytes_sent.values()) / count), *dealt]
    assert row[1:] == found


def test_too_many_pairs_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "schedule", lambda *_: Step(1, 2, 1, 3))
    with pytest.raises(ProtocolAbort, match=r"may compare 3.*run the program again"):
        sorted_under("m2k", np.arange(40).reshape(1, 40), keys=1)


@pytest.mark.parametrize("count", range(1, 17))
def test_networks_sort_all_zeros_and_ones(count: int) -> None:
    """By the zero-one principle they then sort everything."""
    rows = np.array(list(itertools.product([0, 1], repeat=count)))
    for level in network(count):
        assert len({place for pair in level for place in pair}) == 2 * len(level)
        for i, j in level:
            rows[:, [i, j]] = np.sort(rows[:, [i, j]], axis=1)
    assert bool(np.all(rows[:, :-1] <= rows[:, 1:]))


def test_a_network_is_for_very_few_elements() -> None:
    assert network_is_cheaper(2, 1)
    assert network_is_cheaper(8, 100_000)
    assert not network_is_cheaper(8, 1)
    assert not network_is_cheaper(1000, 1000)


def test_permutations_are_uniform_and_settle_ties_by_their_second_word() -> None:
    runs = 2400
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(runs):
        pi = Permutation(lambda seed=seed: Prg(seed.to_bytes(16, "little")).words(0, (KEY_WORDS, 1, 4)))  # type: ignore[misc]
        counts[tuple(int(k) for k in pi(np.arange(4, dtype=np.uint64).reshape(1, 4))[0])] += 1
    assert len(counts) == 24
    assert sum((count - runs / 24) ** 2 / (runs / 24) for count in counts.values()) < 72.0  # 1e-6 at 23
    words = np.array([[[5, 5, 1]], [[2, 1, 9]]], np.uint64)
    np.testing.assert_array_equal(Permutation(lambda: words)(np.array([[0, 1, 2]], np.uint64)), [[2, 1, 0]])


# -- by digits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("shape", [(1, 0), (0, 3), (2, 1), (1, 2), (3, 7), (1, 2000)])
@pytest.mark.parametrize("bits", [1, 2, 4, 9, 40, 62])
def test_a_sort_by_digits_is_stable_for_all_that_fits(protocol: str, shape: tuple[int, int], bits: int) -> None:
    if bits > 9 and shape[1] > 7:
        shape = (1, 150)
    most = 2**bits - (1 if bits == 62 else 0)
    x = np.random.default_rng(bits).integers(-most, most, shape)
    x.reshape(-1)[: min(4, x.size)] = np.array([0, most - 1, -most, -1])[: min(4, x.size)]
    x.reshape(-1)[5::3] = x.reshape(-1)[4:-1:3][: x.reshape(-1)[5::3].size]
    places = np.ascontiguousarray(np.broadcast_to(np.arange(shape[1]), shape))
    found = sorted_under(protocol, x, places, keys=1, by=partial(sort_by_digits, bits=bits))
    order = np.argsort(x, axis=1, kind="stable")
    np.testing.assert_array_equal(found[1], order)
    np.testing.assert_array_equal(found[0], np.take_along_axis(x, order, axis=1))


@pytest.mark.parametrize("protocol", NAMES)
def test_several_keys_are_sorted_by_digits(protocol: str) -> None:
    columns = [np.random.default_rng(k).integers(-4, 4, (2, 90)) for k in range(3)]
    found = sorted_under(protocol, *columns, keys=2, by=partial(sort_by_digits, bits=2))
    for row in range(2):
        order = np.lexsort([columns[1][row], columns[0][row]])
        for column, result in zip(columns, found, strict=True):
            np.testing.assert_array_equal(result[row], column[row][order])


def test_a_hundred_thousand_rows_are_sorted_by_digits() -> None:
    x = np.random.default_rng(5).integers(-(2**21), 2**21, (1, 100_000))
    (found,) = sorted_under("rep3", x, keys=1, by=partial(sort_by_digits, bits=21))
    np.testing.assert_array_equal(found, np.sort(x))


@pytest.mark.parametrize("count", [100, 300, 1000, 10_000, 100_000])
@pytest.mark.parametrize("keys", [1, 2])
def test_digits_are_taken_where_they_cost_less(count: int, keys: int) -> None:
    """A round counts as much as 120 KB; what costs up to a third more than the other may be taken as well."""
    for bits in (1, 2, 3, 5, 7, 10):
        chosen = digits_are_cheaper(count, 1, keys=keys, bits=bits)
        for protocol in ("m2k", "rep3"):
            prices = [_price(protocol, by, count, keys, bits) for by in (sort_by_digits, sort_columns)]
            ratio = prices[0] / prices[1]
            assert ratio < 1.34 if chosen else ratio > 0.6, (bits, protocol, ratio)


def _price(protocol: str, by: Callable[..., Part], count: int, keys: int, bits: int) -> float:
    shares: dict[int, list[Any]] = {}

    def sharing(side: Any) -> Part:
        shares[side.role] = []
        for _ in range(2):
            shares[side.role].append((yield from side.input(None, 0, (1, count))))

    estimate(protocol, sharing)
    cost = estimate(protocol, lambda side: by(side, shares[side.role], keys=keys, bits=bits))
    return sum(cost.bytes_sent.values()) + cost.offline_bytes + 120_000 * cost.rounds
