# SPDX-License-Identifier: Apache-2.0
"""Comparison and conjunctions in m2k: trees of radix 4 over packed bits, on an opened number and dealt monomials.

Numbers that are known to be small are compared in Z_2^32 or Z_2^16: they are opened in fewer bytes, and have 8 or 4
digits instead of 16.

All thresholds of one number share its mask, so they share what is dealt for the digits of that mask; the levels above
are opened under masks of their own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jali import kernels
from jali.mpc.m2k import compare
from jali.mpc.m2k.shares import Additive, Masked
from jali.mpc.rings import Ring, lanes
from jali.mpc.words import layout, one_as_rows, rows_as_one

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from jali.mpc.m2k.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["all_of", "below", "borrow", "compare_with_zero", "is_zero"]

_ALL = np.uint64(2**64 - 1)
_ZERO = np.uint64(0)


def below(wires: Wires, x: Share, thresholds: Sequence[int], *, bits: int) -> Generator[Round, Any, Additive]:
    """Bits [x < t].

    Shapes: (K, *x.shape).
    Cost: 2 rounds; 5 B and 13.8 offline B for each threshold, and 30.1 offline B. In Z_2^32 half of that; in Z_2^16
    1 round, 1 B and 10.4 offline B.
    """
    found, _ = yield from _compared(wires, x, thresholds, bits=bits)
    return found


def compare_with_zero(wires: Wires, x: Share, *, bits: int) -> Generator[Round, Any, tuple[Additive, Additive]]:
    """The top bit, and whether all digits of c mod 2^63 equal those of r: that x mod 2^63 = 0. Cost: as `below`."""
    parts = yield from _compared(wires, x, [0], bits=bits)
    below_0, equal = (Additive(x.shape, found.part, bits=True) for found in parts)
    return below_0, equal


def _compared(
    wires: Wires, x: Share, thresholds: Sequence[int], *, bits: int
) -> Generator[Round, Any, tuple[Additive, Additive]]:
    """[x < t] = msb(x - t) = msb(c - t) ^ msb(r) ^ [c - t mod 2^63 < r mod 2^63] for c = x + r, and x = t mod 2^63.

    With fewer bits the same modulo 2^bits.
    """
    masked, mask = yield from wires.open_in(x, lanes(bits))
    side, width, count = wires.side, _width(x), len(thresholds)
    top = wires.deal((width,), lambda: compare.top_bits(mask, bits), ring=Ring.BITS)

    def moved() -> list[NDArray[np.uint64]]:
        return [masked - np.uint64(t % 2**64) for t in thresholds]

    # Comparing all bits but the top one is comparing all after a shift to the left.
    borrow = yield from _borrowed(
        wires,
        lambda: [compare.planes(c, bits, shift=1) for c in moved()],
        lambda: compare.planes(mask, bits, shift=1),
        shape=(bits, width, count),
    )

    def result() -> NDArray[np.uint64]:
        below_t = borrow[0].reshape(count, width) ^ top
        if wires.leader:
            below_t ^= np.array([compare.top_bits(c, bits) for c in moved()])
        return rows_as_one(below_t, masked.size)

    shape = (count, *x.shape)
    words = layout(shape, bits=True)
    equal = side.evaluate(words, lambda: rows_as_one(borrow[1].reshape(count, width), masked.size))
    return Additive(shape, side.evaluate(words, result), bits=True), Additive(shape, equal, bits=True)


def is_zero(wires: Wires, x: Share, *, bits: int) -> Generator[Round, Any, Additive]:
    """Whether c = x + r equals r, bit by bit.

    Cost: 2 rounds, 2.5 B, 36.9 offline B; in Z_2^32 half of that; in Z_2^16 1 round, 0.5 B, 8.9 offline B.
    """
    masked, mask = yield from wires.open_in(x, lanes(bits))
    side, width = wires.side, _width(x)
    r = side.track((bits, width), lambda: compare.planes(mask, bits))
    leaves = wires.deal((15, bits // 4, width), lambda: compare.leaf_monomials(r), ring=Ring.BITS)

    def start() -> NDArray[np.uint64]:
        return kernels.equal_leaves(compare.planes(masked, bits), leaves, leader=wires.leader)

    digits = side.evaluate((bits // 4, width), start)
    equal = yield from _tree(wires, digits, width, digits=bits // 4, borrow=False)
    return Additive(x.shape, side.evaluate((width,), lambda: equal[0]), bits=True)


def borrow(
    wires: Wires, c: NDArray[np.uint64], r: NDArray[np.uint64], shape: tuple[int, ...], *, bits: int
) -> Generator[Round, Any, Additive]:
    """[c < r] for the low bits of c, which evaluators know, and of r, which the dealer knows. Cost: that of `below`."""
    width = layout(shape, bits=True)[0]
    part = yield from _borrowed(
        wires, lambda: [compare.planes(c, bits)], lambda: compare.planes(r, bits), shape=(bits, width, 1)
    )
    return Additive(shape, wires.side.evaluate((width,), lambda: part[0]), bits=True)


def _borrowed(
    wires: Wires,
    opened: Callable[[], list[NDArray[np.uint64]]],
    mask: Callable[[], NDArray[np.uint64]],
    *,
    shape: tuple[int, int, int],
) -> Generator[Round, Any, NDArray[np.uint64]]:
    """Shares of (g, p) of [c < r] for several opened c and one mask r, all as planes.

    Shapes: `shape` is (planes, words of each, opened c); the result is (2, words of all c).
    """
    bits, width, count = shape
    r = wires.side.track((bits, width), mask)
    leaves = wires.deal((15, bits // 4, width), lambda: compare.leaf_monomials(r), ring=Ring.BITS)

    def start() -> NDArray[np.uint64]:
        parts = [kernels.borrow_leaves(planes, leaves, leader=wires.leader) for planes in opened()]
        return parts[0] if count == 1 else np.concatenate(parts, axis=1)

    part = wires.side.evaluate((bits // 2, count * width), start)
    return (yield from _tree(wires, part, count * width, digits=bits // 4, borrow=True))


def all_of(wires: Wires, bits: Share) -> Generator[Round, Any, Additive]:
    """And along the first axis: products of four by four.

    Cost: log4 of its length in rounds (less one if the bits are masked already), 1/2 offline B for each bit.
    """
    count, shape = bits.shape[0], bits.shape[1:]
    width, size = layout(shape, bits=True)[0], math.prod(shape)
    part: NDArray[np.uint64] | None = None
    while part is None or count > 1:
        level = bits if part is None else Additive((count, 64 * width), part.reshape(-1), bits=True)
        row = size if part is None else 64 * width
        (opened,) = yield from wires.open(level)
        part = _products(wires, opened, count, row)
        count = -(-count // 4)
    words = part
    return Additive(shape, wires.side.evaluate((width,), lambda: words.reshape(width)), bits=True)


def _products(wires: Wires, level: Masked, count: int, row: int) -> NDArray[np.uint64]:
    """The product of every four rows of bits; missing ones are 1."""
    nodes, width = -(-count // 4), layout((row,), bits=True)[0]
    missing = 4 * nodes - count
    side = wires.side
    masked = side.evaluate((4 * nodes, width), lambda: _padded(one_as_rows(level.masked, count, row), missing, _ALL))
    mask = side.track((4 * nodes, width), lambda: _padded(one_as_rows(level.mask, count, row), missing, _ZERO))
    dealt = wires.deal((11, nodes, width), lambda: compare.product_monomials(mask), ring=Ring.BITS)
    return side.evaluate((nodes, width), lambda: kernels.equal_nodes(masked, mask, dealt, leader=wires.leader))


def _padded(rows: NDArray[np.uint64], missing: int, word: np.uint64) -> NDArray[np.uint64]:
    return np.concatenate([rows, np.full((missing, rows.shape[1]), word)]) if missing else rows


def _tree(
    wires: Wires, part: NDArray[np.uint64], width: int, *, digits: int, borrow: bool
) -> Generator[Round, Any, NDArray[np.uint64]]:
    """From 16 digits to 4 to 1, or from 8 to 2 to 1; each level opens the one before, g and p together."""
    for count in compare.levels(digits):
        rows = 2 * count if borrow else count
        (level,) = yield from wires.open(Additive((rows, 64 * width), part.reshape(-1), bits=True))
        part = _level(wires, level, (rows, width), borrow=borrow)
    return part


def _level(wires: Wires, level: Masked, shape: tuple[int, int], *, borrow: bool) -> NDArray[np.uint64]:
    """Join every four digits into one, or the last two."""
    mask = level.mask.reshape(shape)
    dealt = wires.deal(
        compare.shape_of_monomials(shape, borrow=borrow),
        lambda: compare.tree_monomials(mask, borrow=borrow),
        ring=Ring.BITS,
    )
    return wires.side.evaluate(
        compare.shape_above(shape, borrow=borrow),
        lambda: compare.joined(level.masked.reshape(shape), mask, dealt, leader=wires.leader, borrow=borrow),
    )


def _width(x: Share) -> int:
    return layout(x.shape, bits=True)[0]
