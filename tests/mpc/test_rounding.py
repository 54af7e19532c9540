# SPDX-License-Identifier: Apache-2.0
"""Revealed results are rounded to nearest, whatever the truncation before made of them, at the cost that is planned."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jali
from jali.core.errors import JaliError
from jali.mpc.cost.estimate import estimate
from jali.mpc.engine import compile_function, estimate_program
from jali.mpc.ir import ValueType
from jali.mpc.rounding import Whole, rounded, with_wholes
from tests.mpc.roles import SECURE, run_lockstep

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

N = 640
FIXED = ValueType(shape=(2, 3), kind="fixed", fraction=18)
ALL = ("plain", *SECURE)


def nearest(z: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """floor(z / 2^shift + 1/2), in whole numbers."""
    return np.array([(int(number) + (1 << (shift - 1))) >> shift for number in z.flat], np.int64).reshape(z.shape)


def opened(protocol: str, z: NDArray[np.int64], y: NDArray[np.int64], *, shift: int) -> NDArray[np.int64]:
    def operation(side: Any) -> Generator[Round, Any, Any]:
        whole = yield from side.input(z.view(np.uint64) if side.role == 0 else None, 0, z.shape)
        near = yield from side.input(y.view(np.uint64) if side.role == 0 else None, 0, y.shape)
        return (yield from side.reveal((yield from rounded(side, near, Whole(whole, shift))), [0]))

    found: NDArray[np.uint64] = run_lockstep(protocol, operation)[0]
    return found.view(np.int64)


@pytest.mark.parametrize("protocol", ALL)
@settings(max_examples=15, deadline=None)
@given(numbers=st.lists(st.integers(-(2**62), 2**62 - 1), min_size=1, max_size=70), shift=st.integers(1, 40))
def test_both_truncations_become_the_nearest(protocol: str, numbers: list[int], shift: int) -> None:
    ties = [k << (shift - 1) for k in (-3, -2, -1, 0, 1, 2, 3)]
    z = np.array([*numbers, *ties, *(t + 1 for t in ties), *(t - 1 for t in ties)], np.int64)
    for e in (0, 1):
        np.testing.assert_array_equal(opened(protocol, z, (z >> shift) + e, shift=shift), nearest(z, shift))


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4), (0, 2)])
def test_arrays_of_any_shape(protocol: str, shape: tuple[int, ...]) -> None:
    z = np.random.default_rng(3).integers(-(2**40), 2**40, shape, dtype=np.int64)
    np.testing.assert_array_equal(opened(protocol, z, z >> 18, shift=18).reshape(shape), nearest(z, 18))


@pytest.mark.parametrize("protocol", SECURE)
def test_what_is_opened_says_nothing_of_the_chance_in_a_truncation(protocol: str) -> None:
    """One secret, many runs: the truncations differ with the masks, the rounded number never does."""
    z = np.full(40, (5 << 18) + (1 << 16), np.int64)

    def operation(side: Any, *, exact: bool) -> Generator[Round, Any, Any]:
        whole = yield from side.input(z.view(np.uint64) if side.role == 0 else None, 0, z.shape)
        near = yield from side.truncate(whole, 18)
        return (yield from side.reveal((yield from rounded(side, near, Whole(whole, 18))) if exact else near, [0]))

    seen = {
        exact: {
            int(word)
            for seed in range(5)
            for word in run_lockstep(protocol, partial(operation, exact=exact), seed=seed)[0]
        }
        for exact in (True, False)
    }
    assert seen == {True: {5}, False: {5, 6}}


# -- which outputs --------------------------------------------------------------------------------------------------


def test_outputs_that_come_out_of_a_truncation_keep_what_they_were() -> None:
    def function(x: Any, y: Any) -> Any:
        product = x * y
        several = (product + 1, 0.25 - product, y - product, -product, product + y * y)
        return product, (x @ y.T).T[0], x * 0.3, x + y, x < y, jnp.sum(x * y), x * 4, several

    program = compile_function(function, [FIXED, FIXED])
    kept = with_wholes(program)
    assert [place is not None for place in kept.places] == [
        *(True, True, True, False, False, True, False),
        *(True, True, True, True, False),
    ]
    for place, shift, value in zip(kept.places, kept.shifts, program.outputs, strict=True):
        if place is not None:
            whole, kind = kept.program.types[kept.program.outputs[place]], program.types[value]
            assert whole == msgspec.structs.replace(kind, fraction=kind.fraction + shift)


@pytest.mark.parametrize("protocol", SECURE)
def test_keeping_it_costs_nothing_or_one_round_of_rep3(protocol: str) -> None:
    program = compile_function(lambda x, y: x * y, [FIXED, FIXED])
    plain, kept = (estimate_program(p, protocol) for p in (program, with_wholes(program).program))
    if protocol != "rep3":
        assert kept == plain
        return
    assert kept.rounds == plain.rounds + 1
    extra = {role: kept.bytes_sent[role] - plain.bytes_sent[role] for role in plain.bytes_sent}
    assert extra == {"party0": 0, "party1": 0, "party2": 8 * 6}


# Of rounding N numbers: rounds, bytes that each role sends, bytes dealt.
GOLDEN: dict[str, tuple[int, tuple[int, ...], int]] = {
    "m2k": (4, (5920, 5920, 0), 27280),
    "m3k": (4, (5920, 5920, 0), 27280),
    "rep3": (4, (5920, 5920, 27280), 0),
    "aby3": (8, (60160, 24320, 24320), 0),
}


@pytest.mark.parametrize("protocol", SECURE)
def test_rounding_costs_what_is_documented(protocol: str) -> None:
    def product(side: Any) -> Generator[Round, Any, Any]:
        x = yield from side.input(None, 0, (N,))
        whole = yield from side.mul(x, x)
        return whole, (yield from side.truncate(whole, 18))

    def both(side: Any) -> Generator[Round, Any, Any]:
        whole, near = yield from product(side)
        return (yield from rounded(side, near, Whole(whole, 18)))

    before, after = estimate(protocol, product), estimate(protocol, both)
    sent = tuple(after.bytes_sent[role] - before.bytes_sent[role] for role in after.bytes_sent)
    cost = (after.rounds - before.rounds, sent, after.offline_bytes - before.offline_bytes)
    assert cost == GOLDEN[protocol]


# -- on devices -----------------------------------------------------------------------------------------------------


def affine(a: Any, b: Any) -> Any:
    return a * b + 0.5, a - a * b, -(a * b), jnp.dot(a, b), a * 0.3


def test_each_is_the_nearest_of_what_it_was_made_of() -> None:
    x, y = (np.rint(numbers(seed) * 2**18).astype(np.int64) for seed in (1, 2))
    half, third = 1 << 35, round(0.3 * 2**20)
    with jali.simulate("alice", "bob") as fed:
        results = fed.mpc("alice", "bob")(affine)(fed.plain("alice")(numbers)(1), fed.plain("bob")(numbers)(2))
        found = [np.asarray(array) for array in jali.reveal(results, to="bob")]
    exact = [x * y + half, (x << 18) - x * y, -x * y, np.sum(x * y)]
    for array, whole in zip(found, exact, strict=False):
        np.testing.assert_array_equal(array * 2**18, nearest(np.asarray(whole), 18))
    assert np.abs(found[4] * 2**18 - x * third / 2**20).max() <= 0.51


def numbers(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=200)


@pytest.mark.parametrize("parties", [("alice", "bob"), ("alice", "bob", "carol"), ("alice",)])
def test_a_revealed_product_is_the_nearest_number(parties: tuple[str, ...]) -> None:
    """The same in every run, and to everybody."""
    words = [np.rint(numbers(seed) * 2**18).astype(np.int64) for seed in (1, 2)]
    expected = nearest(words[0] * words[1], 18) / 2**18
    with jali.simulate("alice", "bob", "carol") as fed:
        mpc = fed.mpc(*parties)
        x, y = fed.plain("alice")(numbers)(1), fed.plain(parties[-1])(numbers)(2)
        product, total = mpc(lambda a, b: (a * b, a + b), returns=2)(x, y)
        other = "carol" if len(parties) > 1 else "alice"
        np.testing.assert_array_equal(jali.reveal(product, to=other), expected)
        np.testing.assert_array_equal(jali.reveal(product, to=["alice", other]), expected)
        np.testing.assert_array_equal(jali.reveal(total, to="alice"), (words[0] + words[1]) / 2**18)
        rows = fed.report().rows
    roundings = [row for row in rows if row.text.startswith("round ")]
    assert len(roundings) == 2, "a value is rounded once, however often it is revealed"
    assert roundings[1].bytes_sent == 0
    assert roundings[1].rounds == 0
    for row in rows:
        if row.predicted is not None:
            assert row.rounds == row.predicted.rounds, row.text
            assert row.bytes_sent == sum(row.predicted.bytes_sent.values()) + row.predicted.offline_bytes, row.text


def test_probabilistic_rounding_must_be_asked_for_and_costs_less() -> None:
    words = [np.rint(numbers(seed) * 2**18).astype(np.int64) for seed in (1, 2)]
    floor = (words[0] * words[1]) >> 18
    fed = jali.simulate("alice", "bob")
    mpc = fed.mpc("alice", "bob", rounding="probabilistic")
    product = mpc(lambda a, b: a * b)(fed.plain("alice")(numbers)(1), fed.plain("bob")(numbers)(2))
    found = np.rint(np.asarray(jali.reveal(product, to="alice")) * 2**18).astype(np.int64)
    assert set(np.unique(found - floor)) == {0, 1}
    assert not [row for row in fed.report().rows if row.text.startswith("round ")]
    fed.abandon(JaliError("the test is over"))
