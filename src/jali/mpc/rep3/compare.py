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
from jali.mpc.rings import Ring, lanes
from jali.mpc.words import layout, rows_as_one

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["Borrow", "at_least", "compare_with_zero", "is_zero", "sign"]


def sign(wires: Wires, x: Share, *, bits: int = 64) -> Generator[Round, Any, Halves]:
    """The top bit.

    Cost: 3 rounds, 5 B from roles 0 and 1, 59.9 B from role 2; of 32 bits half of that; of 16 2 rounds, 1 B, 14.4 B.
    """
    below, _ = yield from _compared(wires, x, [0], bits=bits)
    return Halves(x.shape, below, bits=True)


def at_least(wires: Wires, x: Share, thresholds: Sequence[int], *, bits: int = 64) -> Generator[Round, Any, Share]:
    """[x >= t] for all thresholds.

    Shapes: (K, *x.shape).
    Cost: 3 rounds; 5 B from roles 0 and 1 and 13.8 B from role 2 for each threshold, and 46.1 B from role 2.
    """
    below, _ = yield from _compared(wires, x, thresholds, bits=bits)
    return wires.with_public(Halves((len(thresholds), *x.shape), below, bits=True), np.bitwise_not)


def compare_with_zero(wires: Wires, x: Share, *, bits: int = 64) -> Generator[Round, Any, tuple[Halves, Halves]]:
    """The top bit, and whether x mod 2^63 = 0.

    Cost: that of `sign`.
    """
    below, equal = yield from _compared(wires, x, [0], bits=bits)
    return Halves(x.shape, below, bits=True), Halves(x.shape, equal, bits=True)


def _compared(
    wires: Wires, x: Share, thresholds: Sequence[int], *, bits: int
) -> Generator[Round, Any, tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Parts of [x < t] = msb(x - t) = msb(c - t) ^ msb(r) ^ [c - t mod 2^63 < r mod 2^63], and of x = t mod 2^63.

    With fewer bits the same modulo 2^bits.
    Shapes: (K, *x.shape) bits each.
    """
    known = wires.openings.find(x)
    width, count = layout(x.shape, bits=True)[0], len(thresholds)
    dealing = Dealing(wires, x.shape, ring=lanes(bits))
    # Comparing all bits but the top one is comparing all after a shift to the left.
    tree = Borrow(wires, dealing, lambda: compare.planes(dealing.mask(x.shape), bits, shift=1), (bits, width, count))
    dealing.deal((width,), lambda: compare.top_bits(dealing.mask(x.shape), bits), ring=Ring.BITS)
    c, *dealt, top = yield from dealing.open(known)
    leader, size, words = wires.role == 0, math.prod(x.shape), layout((count, *x.shape), bits=True)

    def moved() -> list[NDArray[np.uint64]]:
        return [c - np.uint64(t % 2**64) for t in thresholds]

    borrow = yield from tree.found(lambda: [compare.planes(a, bits, shift=1) for a in moved()], dealt)

    def below() -> NDArray[np.uint64]:
        below_t = borrow[0].reshape(count, width) ^ top
        if leader:
            below_t ^= np.array([compare.top_bits(a, bits) for a in moved()])
        return rows_as_one(below_t, size)

    equal = _computed(wires, words, lambda: rows_as_one(borrow[1].reshape(count, width), size))
    return _computed(wires, words, below), equal


def is_zero(wires: Wires, x: Share, *, bits: int = 64) -> Generator[Round, Any, Halves]:
    """Whether c equals r, bit by bit.

    Cost: 3 rounds, 2.5 B from roles 0 and 1, 52.9 B from role 2; of 32 bits half; of 16 2 rounds, 0.5 B, 12.9 B.
    """
    known = wires.openings.find(x)
    width = layout(x.shape, bits=True)[0]
    dealing = Dealing(wires, x.shape, ring=lanes(bits))
    dealing.deal(
        (15, bits // 4, width),
        lambda: compare.leaf_monomials(compare.planes(dealing.mask(x.shape), bits)),
        ring=Ring.BITS,
    )
    masks = [_mask(wires, dealing, (n, width), borrow=False) for n in compare.levels(bits // 4)]
    c, dealt, *monomials = yield from dealing.open(known)

    def start() -> NDArray[np.uint64]:
        return kernels.equal_leaves(compare.planes(c, bits), dealt, leader=wires.role == 0)

    part = _computed(wires, (bits // 4, width), start)
    equal = yield from _tree(wires, part, masks, monomials, borrow=False)
    return Halves(x.shape, _computed(wires, (width,), lambda: equal[0]), bits=True)


class Borrow:
    """[c < r] for several c, which roles 0 and 1 come to know, and one r, which role 2 knows: dealt, and then found."""

    def __init__(
        self,
        wires: Wires,
        dealing: Dealing,
        r: Callable[[], NDArray[np.uint64]],
        shape: tuple[int, int, int],
    ) -> None:
        """Add what it needs to what is dealt.

        Shapes: `r` gives planes; `shape` is (planes, words of each, how many c).
        """
        self._wires, self._shape = wires, shape
        bits, width, count = shape
        dealing.deal((15, bits // 4, width), lambda: compare.leaf_monomials(r()), ring=Ring.BITS)
        levels = compare.levels(bits // 4)
        self._masks = [_mask(wires, dealing, (2 * n, count * width), borrow=True) for n in levels]

    def found(
        self, opened: Callable[[], list[NDArray[np.uint64]]], dealt: Sequence[NDArray[np.uint64]]
    ) -> Generator[Round, Any, NDArray[np.uint64]]:
        """This role's part of (g, p), from the planes of each c and its shares of what was dealt.

        Cost: a round for each level.
        """
        wires, (bits, width, count) = self._wires, self._shape

        def start() -> NDArray[np.uint64]:
            return np.concatenate(
                [kernels.borrow_leaves(planes, dealt[0], leader=wires.role == 0) for planes in opened()], axis=1
            )

        part = _computed(wires, (bits // 2, count * width), start)
        return (yield from _tree(wires, part, self._masks, list(dealt[1:]), borrow=True))


def _mask(wires: Wires, dealing: Dealing, shape: tuple[int, int], *, borrow: bool) -> NDArray[np.uint64]:
    """The mask under which a level of the tree will be opened; its monomials are dealt."""
    mask = wires.mask_of_2(shape, ring=Ring.BITS)
    dealing.deal(
        compare.shape_of_monomials(shape, borrow=borrow),
        lambda: compare.tree_monomials(mask, borrow=borrow),
        ring=Ring.BITS,
    )
    return mask


def _tree(
    wires: Wires,
    part: NDArray[np.uint64],
    masks: list[NDArray[np.uint64]],
    monomials: list[NDArray[np.uint64]],
    *,
    borrow: bool,
) -> Generator[Round, Any, NDArray[np.uint64]]:
    """From 16 digits to 4 to 1, or from 8 to 2 to 1: each level is opened under its mask and joined."""
    for mask, dealt in zip(masks, monomials, strict=True):
        part = yield from _level(wires, part, mask=mask, dealt=dealt, borrow=borrow)
    return part


def _level(
    wires: Wires,
    part: NDArray[np.uint64],
    *,
    mask: NDArray[np.uint64],
    dealt: NDArray[np.uint64],
    borrow: bool,
) -> Generator[Round, Any, NDArray[np.uint64]]:
    shape: tuple[int, int] = (mask.shape[0], mask.shape[1])
    masked = yield from wires.swap(_computed(wires, shape, lambda: part ^ mask))
    return _computed(
        wires,
        compare.shape_above(shape, borrow=borrow),
        lambda: compare.joined(masked, mask, dealt, leader=wires.role == 0, borrow=borrow),
    )


def _computed(wires: Wires, words: tuple[int, ...], formula: Any) -> NDArray[np.uint64]:
    """What roles 0 and 1 compute; role 2 has nothing, in that shape."""
    if wires.role == 2:
        return np.broadcast_to(np.uint64(0), words)
    return wires.compute(words, formula)
