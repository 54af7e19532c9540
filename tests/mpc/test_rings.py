# SPDX-License-Identifier: Apache-2.0
"""Rings of other sizes than 64 bits: their arithmetic, and where a plan takes them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from jax import lax

from jali.core.errors import FixedPointRangeError, RangesUnsafe
from jali.core.tree import flatten, unflatten
from jali.mpc import wide
from jali.mpc.engine import SecretArray, compile_function, type_of
from jali.mpc.ir import ValueType
from jali.mpc.numbers import Numbers
from jali.mpc.prepare import prepare
from jali.mpc.ranges.intervals import point
from jali.mpc.rings import Ring, add, from_lanes, smallest, subtract, to_lanes, words_of
from tests.mpc.corpus import PROGRAMS, agree, run_program_under
from tests.mpc.roles import run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.ir import Op, Program
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]


def drawn(shape: tuple[int, ...], seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(0, 2**64, shape, dtype=np.uint64)


def numbers(pair: Words) -> NDArray[np.object_]:
    """Elements of Z_2^128 as whole numbers."""
    low, high = pair.astype(object)
    return np.asarray(low + high * 2**64, dtype=object)


# -- arithmetic -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ring", [Ring.LANES_16, Ring.LANES_32])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,), (5, 7), (0,)])
def test_lanes_add_and_subtract_without_carries_between_them(ring: Ring, shape: tuple[int, ...]) -> None:
    x, y = drawn(shape, 1), drawn(shape, 2)
    packed, other = to_lanes(np.asarray(x), ring), to_lanes(np.asarray(y), ring)
    assert packed.shape == words_of(shape, ring)
    modulus = np.uint64(2**ring - 1)
    np.testing.assert_array_equal(from_lanes(add(packed, other, ring), shape, ring), (x + y) & modulus)
    np.testing.assert_array_equal(from_lanes(subtract(packed, other, ring), shape, ring), (x - y) & modulus)


@pytest.mark.parametrize("magnitude", [0, 2**15 - 1, 2**15, 2**31 - 1, 2**31, 2**62])
def test_the_smallest_ring_holds_both_signs(magnitude: int) -> None:
    bits = smallest(magnitude)
    assert magnitude <= 2 ** (bits - 1) - 1
    assert bits == 16 or magnitude > 2 ** (bits // 2 - 1) - 1


def test_numbers_of_two_words() -> None:
    x, y = drawn((2, 50), 3), drawn((2, 50), 4)
    x[:, :4] = np.array([[0, 2**64 - 1, 0, 1], [0, 2**64 - 1, 2**63, 0]], np.uint64)
    for found, truth in (
        (add(x, y, Ring.WIDE), numbers(x) + numbers(y)),
        (subtract(x, y, Ring.WIDE), numbers(x) - numbers(y)),
        (wide.multiply(x, y), numbers(x) * numbers(y)),
    ):
        np.testing.assert_array_equal(numbers(found), truth % 2**128)
    for bits in (1, 18, 46, 63, 64):
        np.testing.assert_array_equal(wide.shifted(x, bits), ((numbers(x) >> bits) % 2**64).astype(np.uint64))
    words = drawn((9,), 5)
    np.testing.assert_array_equal(numbers(wide.signed(words)), words.view(np.int64).astype(object) % 2**128)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 2)), ((2, 3, 5), (2, 5, 1)), ((1, 300), (300, 1)), ((2, 0), (0, 3))])
def test_matrix_products_of_two_words(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, y = drawn((2, *shapes[0]), 6), drawn((2, *shapes[1]), 7)
    np.testing.assert_array_equal(numbers(wide.dot(x, y)), (numbers(x) @ numbers(y)) % 2**128)


def test_matrix_products_of_two_words_in_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide, "_MOST_DEPTH", 7)
    x, y = drawn((2, 2, 20), 8), drawn((2, 20, 3), 9)
    np.testing.assert_array_equal(numbers(wide.dot(x, y)), (numbers(x) @ numbers(y)) % 2**128)


def test_limbs_do_not_overflow_at_the_greatest_depth() -> None:
    depth = wide._MOST_DEPTH
    ones = np.full((2, 1, depth), 2**64 - 1, np.uint64)
    assert numbers(wide.dot(ones, ones.reshape(2, depth, 1)))[0, 0] == depth  # (-1)^2, so often


# -- what a plan chooses --------------------------------------------------------------------------------------------


def spec(bound: float | None, shape: tuple[int, ...] = (4,)) -> ValueType:
    return ValueType(shape=shape, kind="fixed", fraction=18, bound=None if bound is None else (-bound, bound))


def prepared(function: Callable[..., Any], *specs: ValueType, **options: Any) -> Program:
    return prepare(function, specs, keywords={}, numbers=Numbers(**options)).program


def ops_of(program: Program, *kinds: str) -> list[Op]:
    bodies = [op.body for op in program.ops if op.body is not None]
    return [*(op for op in program.ops if op.kind in kinds), *(op for body in bodies for op in ops_of(body, *kinds))]


def widths(program: Program) -> list[int]:
    found = ops_of(program, "less", "equal", "one_hot", "maximum")
    return [int(str(op.attributes.get("width", 64))) for op in found]


def test_comparisons_are_as_narrow_as_bounds_allow() -> None:
    def function(x: Any) -> Any:
        return x < 1.0

    for bound, bits in ((0.06, 32), (8190.0, 32), (8192.0, 64), (None, 64)):
        assert widths(prepared(function, spec(bound))) == [bits]
    assert widths(prepared(function, spec(8.0), ring=64)) == [64]
    assert widths(prepared(function, spec(8.0), ranges="unchecked")) == [64]
    ages = ValueType(shape=(4,), kind="int", bound=(0, 120))
    assert widths(prepared(lambda x: (x == 7, x > 65, jnp.max(x)), ages)) == [16, 16, 16]


def test_results_that_are_small_by_themselves_are_compared_in_few_bits() -> None:
    assert widths(prepared(lambda x: 1 / (1 + jnp.exp(-x)) > 0.5, spec(None))) == [32]
    assert widths(prepared(lambda x: jnp.clip(x, -1, 1) > 0.5, spec(None)))[-1] == 32


def test_what_owners_are_held_to_counts_as_declared() -> None:
    """The product holds the input to 6889; y has no part in it, and may be anything."""

    def function(x: Any, y: Any) -> Any:
        return x * x, x < 0.5, y < 0.5, x < y

    assert widths(prepared(function, spec(None), spec(None))) == [32, 64, 64]
    assert widths(prepared(function, spec(None), spec(1000.0))) == [32, 32, 32]
    assert widths(prepared(function, spec(None), spec(None), ranges="unchecked")) == [64, 64, 64]


def test_an_index_is_compared_with_its_places_in_16_bits() -> None:
    index = ValueType(shape=(3,), kind="int", bound=(0, 9))
    assert 16 in widths(prepared(lambda x, i: x[i], spec(1.0, (10,)), index))


def test_a_loop_is_compared_in_what_all_its_iterations_need() -> None:
    def counted(x: Any) -> Any:
        return lax.fori_loop(0, 50, lambda _, s: jnp.where(s > 3.0, s + 100.0, s + 1.0), x)

    assert widths(prepared(counted, spec(8.0))) == [32]
    assert widths(
        prepared(lambda x: lax.fori_loop(0, 500, lambda _, s: jnp.where(s > 3.0, s + 100.0, s), x), spec(8.0))
    ) == [64]


def test_keys_that_are_small_are_sorted_in_few_bits() -> None:
    ages = ValueType(shape=(40,), kind="int", bound=(0, 120))
    (op,) = ops_of(prepared(jnp.sort, ages), "sort")
    assert op.attributes["bits"] == 7


def test_products_are_widened_only_where_they_must_be() -> None:
    def function(x: Any, y: Any) -> Any:
        return x * x + y * y, jnp.dot(x, y), x * 0.3

    program = prepared(function, spec(1e6), spec(1.0))
    assert [(op.kind, bool(op.attributes.get("wide"))) for op in ops_of(program, "mul", "dot")] == [
        ("mul", True),
        ("mul", False),
        ("dot", False),
        ("mul", False),
    ]
    same = compile_function(function, [spec(1.0), spec(1.0)])
    assert prepared(function, spec(1.0), spec(1.0), ring=64) is same


def test_the_plan_of_an_undeclared_input_is_not_widened() -> None:
    assert not any(op.attributes.get("wide") for op in ops_of(prepared(lambda x: x * x, spec(None)), "mul"))


def test_what_no_ring_holds_is_refused() -> None:
    with pytest.raises(RangesUnsafe, match=r"a product, truncated, .* can reach"):
        prepared(lambda x: x * x, spec(1e7))
    with pytest.raises(RangesUnsafe, match="a product"):
        prepared(lambda x: x * x, spec(1e6), ring=64)


def test_products_in_loops_are_widened_too() -> None:
    program = prepared(lambda x: lax.fori_loop(0, 3, lambda _, s: s + x * x, x), spec(1e5))
    assert [op.attributes.get("wide") for op in ops_of(program, "mul")] == [1]


def test_a_claim_that_does_not_hold_is_loud_in_plain() -> None:
    def operation(side: Any) -> Generator[Round, Any, Any]:
        x = yield from side.input(np.array([2**15], np.uint64), 0, (1,))
        return (yield from side.sign(x, bits=16))

    with pytest.raises(FixedPointRangeError, match="a comparison of 16 bits"):
        run_lockstep("plain", operation)


def test_a_truncated_product_that_leaves_the_ring_is_loud_in_plain() -> None:
    def operation(side: Any) -> Generator[Round, Any, Any]:
        x = yield from side.input(np.array([2**45], np.uint64), 0, (1,))
        return (yield from side.mul(x, x, shift=18, wide=True))

    with pytest.raises(FixedPointRangeError, match="a product, truncated"):
        run_lockstep("plain", operation)


# -- the corpus with declared bounds --------------------------------------------------------------------------------


@cache
def in_chosen_rings(name: str) -> Program | None:
    """A program of the corpus whose inputs are declared to be as large as they are; None if it is refused."""
    leaves, structure = flatten(list(PROGRAMS[name].inputs))
    kinds = [type_of(leaf) for leaf in leaves]
    declared = [
        kind if kind.kind == "bool" or not np.size(x) else msgspec.structs.replace(kind, bound=ends(x))
        for kind, x in zip(kinds, leaves, strict=True)
    ]
    try:
        return prepare(PROGRAMS[name].function, unflatten(structure, declared), keywords={}, numbers=Numbers()).program
    except RangesUnsafe:
        return None


def ends(x: Any) -> tuple[float, float]:
    array = np.asarray(x, np.float64)
    return float(array.min()) - 1e-5, float(array.max()) + 1e-5


def changed(program: Program | None) -> bool:
    everything = ("less", "equal", "one_hot", "maximum", "mul", "dot")
    return program is not None and any(op.attributes.keys() & {"wide", "width"} for op in ops_of(program, *everything))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_in_the_rings_that_its_data_need_agrees_with_jax(name: str) -> None:
    """In clear, where every claim is checked."""
    program = in_chosen_rings(name)
    if program is not None:
        agree(name, run_program_under("plain", name, program=program))


@pytest.mark.parametrize(
    ("name", "protocol"), [(n, ("m2k", "rep3", "aby3")[k % 3]) for k, n in enumerate(PROGRAMS)][::3]
)
def test_a_program_in_chosen_rings_agrees_with_jax_under_protocols(name: str, protocol: str) -> None:
    program = in_chosen_rings(name)
    if changed(program):
        agree(name, run_program_under(protocol, name, program=program))


def test_most_programs_of_the_corpus_compare_in_smaller_rings() -> None:
    programs = {name: in_chosen_rings(name) for name in PROGRAMS}
    assert sum(program is None for program in programs.values()) < len(programs) / 10
    assert sum(map(changed, programs.values())) > len(programs) / 4


def test_values_that_no_owner_compares_with_its_limit_are_compared_in_full() -> None:
    """Loaded values, and those of other devices: that a product holds them to 6889 is not known of them."""

    def function(x: Any) -> Any:
        return x * x, x < 0.5

    def chosen(*, held: bool, **options: Any) -> list[int]:
        x = SecretArray(None, spec(None), held=held)
        return widths(prepare(function, [x], keywords={}, numbers=Numbers(), **options).program)

    assert chosen(held=True) == [32]
    assert chosen(held=False) == [64]
    assert chosen(held=True, beforehand=True) == [64]


def test_a_program_that_is_dealt_beforehand_follows_from_types_alone() -> None:
    small = SecretArray(None, spec(None), intervals=(point(-4.0, 4.0),) * 2)
    now, before = (
        prepare(lambda x: x < 0.5, [small], keywords={}, numbers=Numbers(), beforehand=early) for early in (False, True)
    )
    assert [widths(now.program), widths(before.program)] == [[32], [64]]  # 4 and 0.5 in units of the last place
