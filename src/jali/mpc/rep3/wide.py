# SPDX-License-Identifier: Apache-2.0
"""Products on replicated shares by way of Z_2^128, with role 2 as the dealer of roles 0 and 1.

`jali.mpc.wide` has the formulas, `jali.mpc.m2k.wide` the same for a dealer of its own. Role 2 knows all masks
beforehand and receives nothing; roles 0 and 1 see x + r, x + lam and x y + r under fresh masks of which each lacks a
part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.mpc import wide
from jali.mpc.m2k.compare import planes
from jali.mpc.rep3.compare import Borrow
from jali.mpc.rep3.dealer import Dealing
from jali.mpc.rep3.wires import Halves
from jali.mpc.rings import Ring, add, smallest, words_of
from jali.mpc.rounds import parallel
from jali.mpc.words import NOTHING, layout

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires
    from jali.mpc.rounds import Round
    from jali.mpc.wide import Times

    Words = NDArray[np.uint64]

__all__ = ["product"]


def product(
    wires: Wires, x: Share, y: Share, *, times: Times, shape: tuple[int, ...], shift: int, exact: bool
) -> Generator[Round, Any, tuple[Halves, Halves | None]]:
    """The product of two shares, truncated by `shift` bits, 1 to 64; if `exact`, rounded when the bit is taken off.

    Cost: 3 rounds; from roles 0 and 1 16 B for each element of a factor and of the result; from role 2 40 B for each
    element of a factor (of halves 24 B, and 8 B more from the others) and 24 B for each of the result. The bit of an
    exact rounding takes the rounds and bytes of a comparison in as many bits as are cut off.
    """
    factors = [x] if x is y else [x, y]
    masks = [wires.mask_of_2(words_of(factor.shape, Ring.WIDE), ring=Ring.WIDE) for factor in factors]
    words = words_of(shape, Ring.WIDE)
    r = wires.mask_of_2(words, ring=Ring.WIDE)
    dealings = [Dealing(wires, factor.shape) for factor in factors]
    for factor, dealing in zip(factors, dealings, strict=True):
        wide_words = words_of(factor.shape, Ring.WIDE)
        dealing.deal(wide_words, lambda dealing=dealing: wide.unsigned(dealing.r), ring=Ring.WIDE)  # type: ignore[misc]
        dealing.deal(factor.shape, lambda dealing=dealing: dealing.r >> wide.TOP)  # type: ignore[misc]
    dealings[0].deal(words, lambda: times(masks[0], masks[-1]), ring=Ring.WIDE)
    dealings[0].deal(shape, lambda: wide.shifted(r, shift))
    bits, width = smallest(2.0**shift - 1), layout(shape, bits=True)[0]
    tree = None
    if exact:
        tree = Borrow(wires, dealings[0], lambda: planes(wide.low(r, shift), bits), (bits, width, 1))
    found = yield from parallel(
        *(
            dealing.open(wires.openings.find(factor), offset=int(wide.HEADROOM))
            for factor, dealing in zip(factors, dealings, strict=True)
        )
    )
    if wires.role == 2:
        yield from parallel(*(_sum(wires, NOTHING, NOTHING) for _ in factors))
        yield from _sum(wires, NOTHING, NOTHING)
        if tree is None:
            return Halves(shape, NOTHING), None
        yield from tree.found(list, found[0][5:])
        return Halves(shape, NOTHING), Halves(shape, NOTHING, bits=True)
    leader = wires.role == 0
    g, cut, *monomials = found[0][3:]
    opened = yield from parallel(
        *(
            _sum(wires, _widened(wires, c, low, high), mask)
            for (c, low, high, *_), mask in zip(found, masks, strict=True)
        )
    )

    half = 1 << (shift - 1) if exact and leader else 0

    def multiplied() -> Words:
        z = wide.masked_product(opened[0], opened[-1], masks[0], masks[-1], g, times=times, leader=leader)
        return wide.plus_public(z, half)

    c = yield from _sum(wires, wires.compute(words, multiplied), r)
    y = Halves(shape, wires.compute(shape, lambda: wide.shifted(c, shift) - cut if leader else -cut))
    if tree is None:
        return y, None
    part = yield from tree.found(lambda: [planes(wide.low(c, shift), bits)], monomials)
    return y, Halves(shape, wires.compute((width,), lambda: part[0]), bits=True)


def _widened(wires: Wires, c: Words, r: Words, h: Words) -> Words:
    return wires.compute(r.shape, lambda: wide.widened(c, r, h, leader=wires.role == 0))


def _sum(wires: Wires, part: Words, mask: Words) -> Generator[Round, Any, Words]:
    """The sum of both roles' parts and masks, at both."""
    own = NOTHING if wires.role == 2 else wires.compute(part.shape, lambda: add(part, mask, Ring.WIDE))
    return (yield from wires.swap(own, Ring.WIDE))
