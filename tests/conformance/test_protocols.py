# SPDX-License-Identifier: Apache-2.0
"""Every registered protocol computes every operation of the contract as numpy does, on random and boundary values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.mpc.cost.estimate import estimate
from jali.mpc.functions.tables import octaves, pieces
from jali.mpc.registry import PROTOCOLS
from jali.mpc.words import unpacked
from tests.mpc.roles import SECURE, run_lockstep, run_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]
    Body = Callable[[Any, Any, Any], Generator[Round, Any, Any]]

SIZES = (0, 1, 63, 64, 65, 1000)
NAMES = PROTOCOLS.names()

# Anything: all carry chains, signs and both ends.
EDGES = [0, 1, -1, 2, -2, 2**62 - 1, -(2**62), 2**62, -(2**63), 2**63 - 1, 0x5555555555555555, -0x5555555555555556]
EDGES += [sign * 2**k + d for k in (3, 4, 31, 32, 60) for d in (-1, 0, 1) for sign in (1, -1)]


def values(size: int, *, seed: int, bits: int = 64) -> Words:
    """Random words, the first of which are boundary values; with `bits`, of magnitude below 2^bits."""
    words = np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64)
    edges = np.array(EDGES, np.int64).view(np.uint64)
    words[: min(size, edges.size)] = edges[: min(size, edges.size)]
    shift = np.int64(63 - bits)
    return words if bits == 64 else (words.view(np.int64) >> shift).view(np.uint64)


def second_owner(protocol: str) -> int:
    return 1 if protocol in SECURE else 0


def run(protocol: str, body: Body, x: Words, y: Words, *, bits: bool = False) -> list[Any]:
    """What each evaluating role sees of `body` on inputs of two owners, revealed to all who may."""
    to = [0] if protocol == "plain" else [0, 1]

    def operation(side: Any) -> Generator[Round, Any, Any]:
        other = second_owner(protocol)
        a = yield from side.input(x if side.role == 0 else None, 0, x.shape)
        b = yield from side.input(y if side.role == other else None, other, y.shape)
        result = yield from body(side, a, b)
        return (yield from (side.reveal_bits if bits else side.reveal)(result, to))

    results = run_lockstep(protocol, operation, seed=x.size)
    return [results[role] for role in to]


def agree(results: list[Any], expected: NDArray[Any]) -> None:
    for result in results:
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def off_by_one_at_most(results: list[Any], exact: NDArray[np.int64]) -> None:
    for result in results:
        carry = result.view(np.int64) - exact
        assert set(np.unique(carry)) <= {0, 1}


@pytest.fixture(params=NAMES)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("size", SIZES)
def test_input_and_reveal(protocol: str, size: int) -> None:
    x = values(size, seed=1)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        yield from ()
        return a

    agree(run(protocol, body, x, x), x)


@pytest.mark.parametrize("size", SIZES)
def test_bits_come_in_and_go_out(protocol: str, size: int) -> None:
    x, y = values(size, seed=2) % 2 == 1, values(size, seed=3) % 3 == 1
    to = [0] if protocol == "plain" else [0, 1]

    def operation(side: Any) -> Generator[Round, Any, Any]:
        other = second_owner(protocol)
        a = yield from side.input_bits(x if side.role == 0 else None, 0, x.shape)
        b = yield from side.input_bits(y if side.role == other else None, other, y.shape)
        return (yield from side.reveal_bits(side.xor(a, side.invert(b)), to))

    results = run_lockstep(protocol, operation, seed=size)
    agree([results[role] for role in to], x ^ ~y)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fresh", [True, False])
def test_additive_parts_add_up_and_become_shares_again(protocol: str, size: int, *, fresh: bool) -> None:
    """Of inputs, and of shares in the state in which products and comparisons leave them."""
    x, y = values(size, seed=5, bits=30), values(size, seed=6, bits=30)
    made = PROTOCOLS.get(protocol)
    parts: dict[int, tuple[Words, Words]] = {}

    def operation(side: Any) -> Generator[Round, Any, Any]:
        other = second_owner(protocol)
        a = yield from side.input(x if side.role == 0 else None, 0, x.shape)
        b = yield from side.input_bits(y > x if side.role == other else None, other, y.shape)
        if not fresh:
            a, b = (yield from side.mul(a, a, shift=4)), (yield from side.sign(a))
        own = None, None
        if side.role in made.holders:
            own = parts[side.role] = made.additive_part(side.role, a), made.additive_part(side.role, b)
        number = yield from side.from_parts(own[0], x.shape, bits=False)
        bit = yield from side.from_parts(own[1], x.shape, bits=True)
        chosen = yield from side.select(bit, number)
        back = side.linear(np.subtract, number, a, shape=x.shape)
        return (yield from side.reveal(back, [0])), (yield from side.reveal(chosen, [0]))

    (back, chosen) = run_lockstep(protocol, operation, seed=size)[0]
    agree([back], np.zeros(size, np.uint64))
    numbers = sum((part for part, _ in parts.values()), np.zeros(size, np.uint64))
    bits = np.bitwise_xor.reduce([bit for _, bit in parts.values()])
    if fresh:
        agree([numbers], x)
    else:
        off_by_one_at_most([numbers], (x * x).view(np.int64) >> 4)
    flags = (y > x) if fresh else x >> np.uint64(63) != 0
    agree([chosen], np.where(flags, numbers, np.uint64(0)))
    agree([unpacked(bits, (size,))], flags)


@pytest.mark.parametrize("size", SIZES)
def test_linear_maps_and_public_values(protocol: str, size: int) -> None:
    x, y = values(size, seed=1), values(size, seed=2)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        yield from ()
        known = side.public(x)
        total = side.linear(lambda p, q, r: p * np.uint64(3) - q + r[::-1], a, b, known, shape=(size,))
        return side.add_public(total, np.uint64(2**63 + 5))

    agree(run(protocol, body, x, y), x * np.uint64(3) - y + x[::-1] + np.uint64(2**63 + 5))


@pytest.mark.parametrize("size", SIZES)
def test_products_wrap_around(protocol: str, size: int) -> None:
    x, y = values(size, seed=3), values(size, seed=4)
    if protocol == "plain":
        x, y = (values(size, seed=seed, bits=30) for seed in (3, 4))

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        first = yield from side.mul(a, b)
        return side.linear(np.add, first, (yield from side.mul(b, b)), shape=(size,))

    agree(run(protocol, body, x, y), x * y + y * y)


@pytest.mark.parametrize("size", SIZES)
def test_fixed_point_products(protocol: str, size: int) -> None:
    x, y = values(size, seed=5, bits=30), values(size, seed=6, bits=31)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.mul(a, b, shift=18))

    off_by_one_at_most(run(protocol, body, x, y), (x * y).view(np.int64) >> 18)


def exact(words: Words) -> NDArray[np.object_]:
    """Signed numbers that do not overflow."""
    return words.view(np.int64).astype(object)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("shift", "most"), [(1, 31), (18, 39), (46, 53), (64, 61)])
@pytest.mark.parametrize("state", ["given", "squared", "computed"])
def test_products_that_need_more_than_64_bits(protocol: str, size: int, shift: int, most: int, state: str) -> None:
    x, y = values(size, seed=40, bits=most), values(size, seed=41, bits=most)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        if state == "computed":
            a = yield from side.mul(a, side.public(np.ones_like(x)))
        return (yield from side.mul(a, a if state == "squared" else b, shift=shift, wide=True))

    product = exact(x) * exact(x if state == "squared" else y)
    off_by_one_at_most(run(protocol, body, x, y), (product >> shift).astype(np.int64))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("shift", "most"), [(1, 31), (3, 32), (18, 39), (30, 45), (46, 53), (64, 61)])
def test_products_that_need_more_than_64_bits_may_be_rounded(protocol: str, size: int, shift: int, most: int) -> None:
    x, y = values(size, seed=44, bits=most), values(size, seed=45, bits=most)
    x[::5], y[::5] = 1, np.uint64(2**64 - 2 ** (shift - 1) if shift < 62 else 3)  # ties

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.mul(a, b, shift=shift, wide=True, exact=True))

    rounded = (2 * exact(x) * exact(y) + 2**shift) >> (shift + 1)
    agree(run(protocol, body, x, y), rounded.astype(np.int64).view(np.uint64))


@pytest.mark.parametrize(("left", "right"), [((3, 5), (5, 2)), ((2, 3, 4), (2, 4, 1)), ((1, 700), (700, 65))])
@pytest.mark.parametrize("shift", [18, 36])
def test_matrix_products_that_need_more_than_64_bits(
    protocol: str, left: tuple[int, ...], right: tuple[int, ...], shift: int
) -> None:
    most = (61 + shift - 10) // 2
    x = values(int(np.prod(left)), seed=42, bits=most).reshape(left)
    y = values(int(np.prod(right)), seed=43, bits=most).reshape(right)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.dot(a, b, shift=shift, wide=True))

    off_by_one_at_most(run(protocol, body, x, y), ((exact(x) @ exact(y)) >> shift).astype(np.int64))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", [1, 18, 36, 61])
def test_truncation_up_to_its_limits(protocol: str, size: int, bits: int) -> None:
    if protocol == "plain":  # its range check rounds to float64
        x = values(size, seed=7, bits=61)
    else:
        x = values(size, seed=7, bits=62)
        x[: min(size, 4)] = np.array([2**62 - 1, -(2**62), 0, -1], np.int64).view(np.uint64)[:size]

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        masked = yield from side.truncate(a, bits)
        other = side.linear(
            lambda p: p, (yield from side.mul(a, side.public(np.ones(x.shape, np.uint64)))), shape=x.shape
        )
        again = yield from side.truncate(other, bits)
        return side.linear(lambda p, q: np.stack([p, q]), masked, again, shape=(2, size))

    exact = x.view(np.int64) >> bits
    off_by_one_at_most(run(protocol, body, x, x), np.stack([exact, exact]))


SHAPES = [
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((5, 7), (7, 1)),
    ((1, 9), (9, 3)),
    ((2, 0), (0, 3)),
    ((3, 2, 4), (3, 4, 5)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("shift", [0, 18])
def test_matrix_products(protocol: str, left: tuple[int, ...], right: tuple[int, ...], shift: int) -> None:
    x = values(int(np.prod(left)), seed=8, bits=28).reshape(left)
    y = values(int(np.prod(right)), seed=9, bits=28).reshape(right)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.dot(a, b, shift=shift))

    if shift:
        off_by_one_at_most(run(protocol, body, x, y), (x @ y).view(np.int64) >> shift)
    else:
        agree(run(protocol, body, x, y), x @ y)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opened", [True, False])
def test_sign_of_every_ring_element(protocol: str, size: int, *, opened: bool) -> None:
    x, y = values(size, seed=10), values(size, seed=11)
    if protocol == "plain":
        x, y = (values(size, seed=seed, bits=30) for seed in (10, 11))

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.sign(a if opened else (yield from side.mul(a, b))))

    agree(run(protocol, body, x, y, bits=True), (x if opened else x * y) >> np.uint64(63) != 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("state", ["given", "opened", "computed"])
def test_comparisons_of_numbers_that_are_known_to_be_small(protocol: str, size: int, width: int, state: str) -> None:
    words = np.random.default_rng(width).integers(-(2 ** (width - 1)), 2 ** (width - 1), size)
    edges = [0, 1, -1, 2 ** (width - 1) - 1, -(2 ** (width - 1)) + 1, 15, -16, 2 ** (width // 2), 0]
    words[: min(size, len(edges))] = edges[: min(size, len(edges))]
    words[9::3] %= 2
    x = words.view(np.uint64)
    zeros = np.zeros_like(x)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        if state == "computed":
            a = yield from side.mul(a, side.public(np.ones_like(x)))
        if state == "opened":
            yield from side.is_zero(a)
        below, zero = yield from side.compare_with_zero(a, bits=width)
        found = [(yield from side.sign(a, bits=width)), (yield from side.is_zero(a, bits=width)), below, zero]
        return side.permute_bits(lambda *bits: np.stack(bits), *found, shape=(4, size))

    below, zero = words < 0, words == 0
    agree(run(protocol, body, x, zeros, bits=True), np.array([below, zero, below, zero]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 3, 17])
def test_comparison_with_several_thresholds(protocol: str, size: int, count: int) -> None:
    x = values(size, seed=24, bits=61)
    thresholds = [*EDGES[:2], *(k**7 - 2**40 for k in range(2, count))][:count]

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.at_least(a, thresholds))

    agree(run(protocol, body, x, x, bits=True), np.array([x.view(np.int64) >= t for t in thresholds]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 2, 4, 5, 16, 21])
def test_conjunctions_of_many(protocol: str, size: int, count: int) -> None:
    x = values(size, seed=25, bits=50)
    thresholds = [(k % 7 - 6) << 40 for k in range(count)]
    bits = np.array([x.view(np.int64) >= t for t in thresholds])

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        compared = yield from side.at_least(a, thresholds)
        return (yield from side.all_of(compared))

    agree(run(protocol, body, x, x, bits=True), np.all(bits, axis=0))


@pytest.mark.parametrize("size", SIZES)
def test_tables(protocol: str, size: int) -> None:
    x = (values(size, seed=26, bits=22).view(np.int64) % (8 << 18)).view(np.uint64)
    table, powers = pieces(np.sqrt, 0.5, 8.5, degree=7, unit=1 << 18), octaves(per_octave=2.0**18)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        root = yield from side.lookup(a, table)
        power = yield from side.lookup(side.add_public(a, np.uint64(2**64 - (5 << 18))), powers)
        return side.linear(lambda *parts: np.concatenate(parts), root, power, shape=(3, size))

    for root, small, large in run(protocol, body, x, x):
        argument = x / 2**18
        np.testing.assert_allclose(root.view(np.int64) * 2.0**-52, np.sqrt(0.5 + argument), rtol=0, atol=2e-5)
        power = small.view(np.int64) * 2.0**-39 + large.view(np.int64) * 2.0**-18
        np.testing.assert_allclose(power, 2 ** (argument - 5), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", [0, 1])
def test_comparison_with_zero(protocol: str, size: int, which: int) -> None:
    x = values(size, seed=12)
    x[::2] >>= np.uint64(60)  # many zeros
    x[x == np.uint64(1 << 63)] = 0  # the one number for which it is not defined

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.compare_with_zero(a))[which]

    agree(run(protocol, body, x, x, bits=True), x == 0 if which else x >> np.uint64(63) != 0)


@pytest.mark.parametrize("shape", [(1, 2), (1, 300), (7, 9), (64, 1), (2, 0)])
@pytest.mark.parametrize("opened", [True, False])
def test_shuffling_moves_whole_rows_and_loses_none(protocol: str, shape: tuple[int, int], *, opened: bool) -> None:
    size = shape[0] * shape[1]
    x, y = values(size, seed=15, bits=30).reshape(shape), np.arange(size, dtype=np.uint64).reshape(shape)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        first = a if opened else (yield from side.mul(a, side.public(np.full(shape, 3, np.uint64))))
        columns = yield from side.shuffle(first, b, side.public(y))
        return side.linear(lambda *c: np.stack(c), *columns, shape=(3, *shape))

    for shuffled, place, known in run(protocol, body, x, y):
        np.testing.assert_array_equal(place, known)
        np.testing.assert_array_equal(np.sort(place, axis=1), y)
        factor = np.uint64(1 if opened else 3)
        np.testing.assert_array_equal(
            shuffled, (x * factor).reshape(-1)[place.view(np.int64).reshape(-1)].reshape(shape)
        )


@pytest.mark.parametrize("size", SIZES)
def test_equality(protocol: str, size: int) -> None:
    x, y = values(size, seed=12), values(size, seed=12)
    y[::3] ^= np.uint64(1) << (np.arange(y[::3].size, dtype=np.uint64) % np.uint64(64))

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        return (yield from side.is_zero(side.linear(np.subtract, a, b, shape=x.shape)))

    agree(run(protocol, body, x, y, bits=True), x == y)


@pytest.mark.parametrize("size", SIZES)
def test_logic_of_bits(protocol: str, size: int) -> None:
    x, y = values(size, seed=13), values(size, seed=14)
    p, q, r = x >> np.uint64(63) != 0, y >> np.uint64(63) != 0, x & np.uint64(1) != 0

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        s, t = (yield from side.sign(a)), (yield from side.sign(b))
        known = side.public_bits(r)
        both = yield from side.conjunction(s, side.invert(t))
        first = side.xor(side.xor(both, known), t)
        return side.permute_bits(lambda u, v: np.concatenate([u[::-1], v]), first, known, shape=(2 * size,))

    expected = (p & ~q) ^ r ^ q
    agree(run(protocol, body, x, y, bits=True), np.concatenate([expected[::-1], r]))


@pytest.mark.parametrize("size", SIZES)
def test_bits_become_numbers_and_choose(protocol: str, size: int) -> None:
    x, y = values(size, seed=15), values(size, seed=16)
    p = x >> np.uint64(63) != 0

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        s = yield from side.sign(a)
        known = side.public_bits(p)
        numbers = yield from side.to_arithmetic(s)
        chosen = yield from side.select(s, b)
        public = yield from side.select(known, side.add_public(b, np.uint64(1)))
        other = yield from side.to_arithmetic(side.invert(known))
        return side.linear(lambda *parts: np.stack(parts), numbers, chosen, public, other, shape=(4, size))

    one = np.uint64(1)
    expected = [p.astype(np.uint64), np.where(p, y, 0), np.where(p, y + one, 0), (~p).astype(np.uint64)]
    agree(run(protocol, body, x, y), np.stack(expected).astype(np.uint64))


def test_scalars_and_higher_axes(protocol: str) -> None:
    x = values(24, seed=17, bits=20).reshape(2, 3, 4)

    def body(side: Any, a: Any, b: Any) -> Generator[Round, Any, Any]:
        total = side.linear(lambda p: p.sum(), a, shape=())
        square = yield from side.mul(total, total)
        negative = yield from side.sign(side.linear(np.negative, square, shape=()))
        return (yield from side.select(negative, square))

    agree(run(protocol, body, x, x), x.sum() * x.sum())


@pytest.mark.parametrize("name", SECURE)
def test_threads_over_streams_give_the_same(name: str) -> None:
    x, y = values(500, seed=18, bits=30), values(500, seed=19, bits=30)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        a = yield from side.input(x if side.role == 0 else None, 0, x.shape)
        b = yield from side.input(y if side.role == 1 else None, 1, y.shape)
        product = yield from side.mul(a, b, shift=10)
        positive = side.invert((yield from side.sign(product)))
        return (yield from side.reveal((yield from side.select(positive, product)), [0, 1]))

    results, _ = run_threads(name, operation)
    np.testing.assert_array_equal(results[0], results[1])
    off_by_one_at_most([results[0]], np.maximum((x * y).view(np.int64) >> 10, 0))
    assert results[2] is None


def test_every_secure_protocol_is_covered_here() -> None:
    assert set(NAMES) == {"plain", *SECURE}, "add a new protocol to tests/mpc/roles.py"
    assert estimate("m2k", lambda side: side.input(None, 0, (3,))).rounds == 1
