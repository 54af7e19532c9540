# SPDX-License-Identifier: Apache-2.0
"""Bits of whole numbers and division with a remainder: exact, for boundary values and under every protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jali.core.errors import FixedPointRangeError, UnsupportedOperation
from jali.mpc.engine import compile_function, reveal_outputs, share_inputs, type_of
from jali.mpc.program import run_program
from jali.mpc.registry import PROTOCOLS
from jali.mpc.trial import dry_run
from tests.mpc.roles import run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

EDGES = [0, 1, -1, 2, -2, 63, 64, 2**31 - 1, -(2**31), 2**31, 2**61 - 1, -(2**61) + 1]
WORDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=8, max_size=8).map(lambda v: np.array(v, np.int64))
NUMBERS = st.lists(st.integers(-(2**61) + 1, 2**61 - 1), min_size=8, max_size=8).map(lambda v: np.array(v, np.int64))
SHORT = st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=8, max_size=8).map(lambda v: np.array(v, np.int64))


def run(function: Callable[..., Any], *inputs: NDArray[Any], protocol: str = "plain") -> list[NDArray[Any]]:
    types = [type_of(x) for x in inputs]
    program = compile_function(function, types)

    def operation(side: Any) -> Generator[Round, Any, list[Any]]:
        given_ = yield from share_inputs(side, list(inputs) if side.role == 0 else None, owner=0, types=types)
        shares = yield from run_program(program, side, [value.share for value in given_])
        results = [type(given_[0])(share, kind) for share, kind in zip(shares, program.output_types, strict=True)]
        return (yield from reveal_outputs(side, results, to=[0]))

    return list(run_lockstep(protocol, operation)[0])


def logic(x: Any, y: Any) -> Any:
    return x & y, x | y, x ^ y, ~x, x & 0x7F0F, x | -8, x ^ 12345


def divided_by_seven(x: Any) -> Any:
    return x // 7, x % 7, x // -7, x % -7, lax.div(x, jnp.int64(7)), lax.rem(x, jnp.int64(-7))


def divided(x: Any, y: Any) -> Any:
    return x // y, x % y


@settings(max_examples=40, deadline=None)
@given(x=WORDS, y=WORDS)
def test_logic(x: NDArray[np.int64], y: NDArray[np.int64]) -> None:
    for found, right in zip(run(logic, x, y), logic(x, y), strict=True):
        np.testing.assert_array_equal(found, right)


@settings(max_examples=40, deadline=None)
@given(x=WORDS)
def test_counts(x: NDArray[np.int64]) -> None:
    count, zeros, parity = run(lambda v: (lax.population_count(v), lax.clz(v), lax.reduce_xor(v, axes=(0,))), x)
    words = [int(v) % 2**64 for v in x]
    assert count.tolist() == [w.bit_count() for w in words]
    assert zeros.tolist() == [64 - w.bit_length() for w in words]
    assert parity == np.bitwise_xor.reduce(x)


@settings(max_examples=40, deadline=None)
@given(x=WORDS, y=st.lists(st.integers(0, 63), min_size=8, max_size=8))
def test_shifts_by_secret_places(x: NDArray[np.int64], y: list[int]) -> None:
    places = np.array(y, np.int64)
    left, right, logical = run(lambda v, k: ((v & 255) << (k & 31), v >> k, lax.shift_right_logical(v, k)), x, places)
    np.testing.assert_array_equal(left, (x & 255) << (places & 31))
    np.testing.assert_array_equal(right, x >> places)
    np.testing.assert_array_equal(logical, (x.view(np.uint64) >> places.view(np.uint64)).view(np.int64))


@settings(max_examples=40, deadline=None)
@given(x=NUMBERS)
def test_shifts_by_public_places(x: NDArray[np.int64]) -> None:
    a, b, c, d = run(lambda v: (v >> 1, v >> 17, v >> 60, lax.shift_right_logical(v, jnp.int64(9))), x)
    for found, right in ((a, x >> 1), (b, x >> 17), (c, x >> 60)):
        np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(d, (x.view(np.uint64) >> np.uint64(9)).view(np.int64))


def test_narrow_types_keep_their_sign_and_width() -> None:
    x, y = np.array([-7, 5, 100, -128]), np.array([3, 77, -1, 127])

    def narrow(v: Any, w: Any) -> Any:
        a, b = v.astype(jnp.int8), w.astype(jnp.int8)
        return a & b, a ^ b, ~a, lax.population_count(a), lax.clz(a), lax.shift_right_logical(a, jnp.int8(2)) & 63

    a, b = x.astype(np.int8), y.astype(np.int8)
    both, either, none, count, zeros, shifted = run(narrow, x, y)
    np.testing.assert_array_equal(both, a & b)
    np.testing.assert_array_equal(either, a ^ b)
    np.testing.assert_array_equal(none, ~a)
    assert count.tolist() == [(int(v) % 256).bit_count() for v in a]
    assert zeros.tolist() == [8 - (int(v) % 256).bit_length() for v in a]
    assert shifted.tolist() == [(int(v) % 256 >> 2) & 63 for v in a]


@settings(max_examples=60, deadline=None)
@given(x=NUMBERS)
def test_division_by_a_public_number(x: NDArray[np.int64]) -> None:
    down = [x // 7, x % 7, x // -7, x % -7]
    towards = [np.sign(x) * (np.abs(x) // 7), np.sign(x) * (np.abs(x) % 7)]
    for found, right in zip(run(divided_by_seven, x), [*down, *towards], strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("divisor", [1, -1, 2, 3, 10, 64, 65537, 10**9 + 7, 2**31 - 1])
def test_division_of_boundary_values(divisor: int) -> None:
    x = np.array([*EDGES, *(k * divisor + d for k in (1, 2, 1000) for d in (-1, 0, 1))], np.int64)
    found, rest = run(lambda v: (v // divisor, v % divisor), x)
    np.testing.assert_array_equal(found, x // divisor)
    np.testing.assert_array_equal(rest, x % divisor)


@settings(max_examples=60, deadline=None)
@given(x=SHORT, y=SHORT)
def test_division_by_a_secret_number(x: NDArray[np.int64], y: NDArray[np.int64]) -> None:
    y = np.where(y == 0, 1, y)
    for found, right in zip(run(divided, x, y), divided(x, y), strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_all_protocols_divide_and_take_bits(protocol: str) -> None:
    x = np.array([12345, -12345, 2**31 - 1, 0, 7, -(2**30)])
    y = np.array([17, -3, 2, 5, 2**31 - 1, 1])
    for function, truth in ((divided, divided(x, y)), (logic, logic(x, y))):
        for found, right in zip(run(function, x, y, protocol=protocol), truth, strict=True):
            np.testing.assert_array_equal(found, right)
    long = np.array(EDGES, np.int64)
    found, rest = run(lambda v: (v // 1000003, v % 1000003), long, protocol=protocol)
    np.testing.assert_array_equal(found, long // 1000003)
    np.testing.assert_array_equal(rest, long % 1000003)


def test_a_divisor_that_varies_in_a_loop() -> None:
    x = np.array([100, -37, 12, 5])
    (found,) = dry_run(lambda v: lax.fori_loop(1, 4, lambda i, a: a + v // i + (v & i), v), x)
    assert found.absolute == 0


def test_a_public_zero_or_a_large_public_divisor_is_refused() -> None:
    for function, advice in ((lambda v: v // 0, "public zero"), (lambda v: v % 2**40, "shift them first")):
        with pytest.raises(UnsupportedOperation, match=advice):
            run(function, np.array([1, 2]))


def test_numbers_beyond_the_domain_are_loud_in_plain() -> None:
    with pytest.raises(FixedPointRangeError):
        run(divided, np.array([2**45]), np.array([3]))
