# SPDX-License-Identifier: Apache-2.0
"""Comparison in rep3: roles 0 and 1 open c = x + r and compare it with r, of which role 2 deals the bits.

The trees are those of m2k (`jali.mpc.m2k.compare`), with role 2 in the dealer's place. It knows all masks beforehand,
so everything that it deals is in its first message. The resulting bit is in halves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels
from jali.mpc.m2k import compare
from jali.mpc.rep3.dealer import Dealing
from jali.mpc.rep3.wires import Halves
from jali.mpc.words import layout, rows_as_one

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["at_least", "compare_with_zero", "is_zero", "sign"]

_ONE = np.uint64(1)


def sign(wires: Wires, x: Share) -> Generator[Round, Any, Halves]:
    """The top bit. Cost: 3 rounds, 5 B from roles 0 and 1, 59.9 B from role 2."""
    below, _ = yield from _compared(wires, x, [0])
    return Halves(x.shape, below, bits=True)


def at_least(wires: Wires, x: Share, thresholds: Sequence[int]) -> Generator[Round, Any, Share]:
    """[x >= t] for all thresholds.

    Shapes: (K, *x.shape).
    Cost: 3 rounds; 5 B from roles 0 and 1 and 13.8 B from role 2 for each threshold, and 46.1 B from role 2.
    """
    below, _ = yield from _compared(wires, x, thresholds)
    return wires.with_public(Halves((len(thresholds), *x.shape), below, bits=True), np.bitwise_not)


def compare_with_zero(wires: Wires, x: Share) -> Generator[Round, Any, tuple[Halves, Halves]]:
    """The top bit, and whether x mod 2^63 = 0.

    Cost: that of `sign`.
    """
    below, equal = yield from _compared(wires, x, [0])
    return Halves(x.shape, below, bits=True), Halves(x.shape, equal, bits=True)


def _compared(
    wires: Wires, x: Share, thresholds: Sequence[int]
) -> Generator[Round, Any, tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Parts of [x < t] = msb(x - t) = msb(c - t) ^ msb(r) ^ [c - t mod 2^63 < r mod 2^63], and of x = t mod 2^63.

    Shapes: (K, *x.shape) bits each.
    """
    (replicated,) = yield from wires.openings.open(x)
    width, count = layout(x.shape, bits=True)[0], len(thresholds)
    dealing = Dealing(wires, x.shape)
    # Comparing the low 63 bits is comparing all 64 after a shift to the left.
    dealing.deal((15, 16, width), lambda: compare.leaf_monomials(_planes(dealing.r << _ONE)), bits=True)
    dealing.deal((width,), lambda: compare.top_bits(dealing.r), bits=True)
    masks = [_mask(wires, dealing, rows, count * width, borrow=True) for rows in (32, 8)]
    c, dealt, top, *monomials = yield from dealing.open(replicated)
    leader, size, words = wires.role == 0, math.prod(x.shape), layout((count, *x.shape), bits=True)

    def moved() -> list[NDArray[np.uint64]]:
        return [c - np.uint64(t % 2**64) for t in thresholds]

    def start() -> NDArray[np.uint64]:
        parts = [kernels.borrow_leaves(_planes(a << _ONE), dealt, leader=leader) for a in moved()]
        return np.concatenate(parts, axis=1)

    part = _computed(wires, (32, count * width), start)
    borrow = yield from _tree(wires, dealing, part, masks, monomials, borrow=True)

    def below() -> NDArray[np.uint64]:
        bits = borrow[0].reshape(count, width) ^ top
        if leader:
            bits ^= np.array([compare.top_bits(a) for a in moved()])
        return rows_as_one(bits, size)

    equal = _computed(wires, words, lambda: rows_as_one(borrow[1].reshape(count, width), size))
    return _computed(wires, words, below), equal


def is_zero(wires: Wires, x: Share) -> Generator[Round, Any, Halves]:
    """Whether c equals r, bit by bit.

    Cost: 3 rounds, 2.5 B from roles 0 and 1, 52.9 B from role 2.
    """
    (replicated,) = yield from wires.openings.open(x)
    width = layout(x.shape, bits=True)[0]
    dealing = Dealing(wires, x.shape)
    dealing.deal((15, 16, width), lambda: compare.leaf_monomials(_planes(dealing.r)), bits=True)
    masks = [_mask(wires, dealing, rows, width, borrow=False) for rows in (16, 4)]
    c, dealt, *monomials = yield from dealing.open(replicated)

    def start() -> NDArray[np.uint64]:
        return kernels.equal_leaves(_planes(c), dealt, leader=wires.role == 0)

    part = _computed(wires, (16, width), start)
    equal = yield from _tree(wires, dealing, part, masks, monomials, borrow=False)
    return Halves(x.shape, _computed(wires, (width,), lambda: equal[0]), bits=True)


def _mask(wires: Wires, dealing: Dealing, rows: int, width: int, *, borrow: bool) -> NDArray[np.uint64]:
    """The mask under which a level of the tree will be opened; its monomials are dealt."""
    mask = wires.mask_of_2((rows, width), bits=True)
    shape = (22, rows // 8, width) if borrow else (11, rows // 4, width)
    dealing.deal(shape, lambda: compare.tree_monomials(mask, borrow=borrow), bits=True)
    return mask


def _tree(
    wires: Wires,
    dealing: Dealing,
    part: NDArray[np.uint64],
    masks: list[NDArray[np.uint64]],
    monomials: list[NDArray[np.uint64]],
    *,
    borrow: bool,
) -> Generator[Round, Any, NDArray[np.uint64]]:
    """From 16 digits to 4 to 1: each level is opened under its mask and joined in fours."""
    join = kernels.borrow_nodes if borrow else kernels.equal_nodes
    for rows, mask, dealt in zip((32, 8) if borrow else (16, 4), masks, monomials, strict=True):
        part = yield from _level(wires, dealing, part, rows, mask=mask, dealt=dealt, join=join)
    return part


def _level(
    wires: Wires,
    dealing: Dealing,
    part: NDArray[np.uint64],
    rows: int,
    *,
    mask: NDArray[np.uint64],
    dealt: NDArray[np.uint64],
    join: Any,
) -> Generator[Round, Any, NDArray[np.uint64]]:
    words = (rows, part.shape[-1])
    masked = yield from dealing.swap(_computed(wires, words, lambda: part ^ mask), words)
    return _computed(
        wires,
        (rows // 4, words[1]),
        lambda: join(masked, mask, dealt, leader=wires.role == 0),
    )


def _computed(wires: Wires, words: tuple[int, ...], formula: Any) -> NDArray[np.uint64]:
    """What roles 0 and 1 compute; role 2 has nothing, in that shape."""
    if wires.role == 2:
        return np.broadcast_to(np.uint64(0), words)
    return wires.compute(words, formula)


def _planes(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return kernels.bit_planes(words.reshape(-1))
