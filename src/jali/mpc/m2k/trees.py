# SPDX-License-Identifier: Apache-2.0
"""Comparison and conjunctions in m2k: trees of radix 4 over packed bits, on an opened number and dealt monomials.

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
from jali.mpc.words import layout, one_as_rows, rows_as_one

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from jali.mpc.m2k.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["all_of", "below", "compare_with_zero", "is_zero"]

_ONE = np.uint64(1)
_ALL = np.uint64(2**64 - 1)
_ZERO = np.uint64(0)


def below(wires: Wires, x: Share, thresholds: Sequence[int]) -> Generator[Round, Any, Additive]:
    """Bits [x < t].

    Shapes: (K, *x.shape).
    Cost: 2 rounds; 5 B and 13.8 offline B for each threshold, and 30.1 offline B.
    """
    bits, _ = yield from _compared(wires, x, thresholds)
    return bits


def compare_with_zero(wires: Wires, x: Share) -> Generator[Round, Any, tuple[Additive, Additive]]:
    """The top bit, and whether all digits of c mod 2^63 equal those of r: that x mod 2^63 = 0. Cost: as `below`."""
    parts = yield from _compared(wires, x, [0])
    below_0, equal = (Additive(x.shape, bits.part, bits=True) for bits in parts)
    return below_0, equal


def _compared(wires: Wires, x: Share, thresholds: Sequence[int]) -> Generator[Round, Any, tuple[Additive, Additive]]:
    """[x < t] = msb(x - t) = msb(c - t) ^ msb(r) ^ [c - t mod 2^63 < r mod 2^63] for c = x + r, and x = t mod 2^63."""
    (mx,) = yield from wires.open(x)
    side, width, count = wires.side, _width(x), len(thresholds)
    # Comparing the low 63 bits is comparing all 64 after a shift to the left.
    r = side.track((64, width), lambda: _planes(mx.mask << _ONE))
    leaves = wires.deal((15, 16, width), lambda: compare.leaf_monomials(r), bits=True)
    top = wires.deal((width,), lambda: compare.top_bits(mx.mask), bits=True)

    def moved() -> list[NDArray[np.uint64]]:
        return [mx.masked - np.uint64(t % 2**64) for t in thresholds]

    def start() -> NDArray[np.uint64]:
        parts = [kernels.borrow_leaves(_planes(c << _ONE), leaves, leader=wires.leader) for c in moved()]
        return parts[0] if count == 1 else np.concatenate(parts, axis=1)

    borrow = yield from _tree(wires, side.evaluate((32, count * width), start), count * width, borrow=True)

    def result() -> NDArray[np.uint64]:
        bits = borrow[0].reshape(count, width) ^ top
        if wires.leader:
            bits ^= np.array([compare.top_bits(c) for c in moved()])
        return rows_as_one(bits, mx.masked.size)

    shape = (count, *x.shape)
    words = layout(shape, bits=True)
    equal = side.evaluate(words, lambda: rows_as_one(borrow[1].reshape(count, width), mx.masked.size))
    return Additive(shape, side.evaluate(words, result), bits=True), Additive(shape, equal, bits=True)


def is_zero(wires: Wires, x: Share) -> Generator[Round, Any, Additive]:
    """Whether c = x + r equals r, bit by bit. Cost: 2 rounds, 2.5 B, 36.9 offline B."""
    (mx,) = yield from wires.open(x)
    side, width = wires.side, _width(x)
    r = side.track((64, width), lambda: _planes(mx.mask))
    leaves = wires.deal((15, 16, width), lambda: compare.leaf_monomials(r), bits=True)
    part = side.evaluate((16, width), lambda: kernels.equal_leaves(_planes(mx.masked), leaves, leader=wires.leader))
    equal = yield from _tree(wires, part, width, borrow=False)
    return Additive(x.shape, side.evaluate((width,), lambda: equal[0]), bits=True)


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
    dealt = wires.deal((11, nodes, width), lambda: compare.product_monomials(mask), bits=True)
    return side.evaluate((nodes, width), lambda: kernels.equal_nodes(masked, mask, dealt, leader=wires.leader))


def _padded(rows: NDArray[np.uint64], missing: int, word: np.uint64) -> NDArray[np.uint64]:
    return np.concatenate([rows, np.full((missing, rows.shape[1]), word)]) if missing else rows


def _tree(
    wires: Wires, part: NDArray[np.uint64], width: int, *, borrow: bool
) -> Generator[Round, Any, NDArray[np.uint64]]:
    """From 16 digits to 4 to 1; each level opens the one before, g and p together."""
    for rows in (32, 8) if borrow else (16, 4):
        (level,) = yield from wires.open(Additive((rows, 64 * width), part.reshape(-1), bits=True))
        part = _level(wires, level, rows, width, borrow=borrow)
    return part


def _level(wires: Wires, level: Masked, rows: int, width: int, *, borrow: bool) -> NDArray[np.uint64]:
    """Join every four digits into one."""
    mask = level.mask.reshape(rows, width)
    monomials, nodes = (22, rows // 8) if borrow else (11, rows // 4)
    join = kernels.borrow_nodes if borrow else kernels.equal_nodes
    dealt = wires.deal((monomials, nodes, width), lambda: compare.tree_monomials(mask, borrow=borrow), bits=True)
    return wires.side.evaluate(
        (rows // 4, width), lambda: join(level.masked.reshape(rows, width), mask, dealt, leader=wires.leader)
    )


def _planes(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return kernels.bit_planes(words.reshape(-1))


def _width(x: Share) -> int:
    return layout(x.shape, bits=True)[0]
