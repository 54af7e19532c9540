# SPDX-License-Identifier: Apache-2.0
"""Products in m2k by way of Z_2^128: both factors are widened, opened there, multiplied and truncated.

`jali.mpc.wide` has the formulas. All masks are drawn as everywhere in m2k; what is opened is x + r over Z_2^64, x + lam
and x y + r over Z_2^128, each under a fresh uniform mask that the dealer knows and no evaluator does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc import wide
from jali.mpc.m2k.convert import to_arithmetic
from jali.mpc.m2k.shares import Additive
from jali.mpc.m2k.trees import borrow
from jali.mpc.rings import Ring, smallest, words_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.m2k.wires import Share, Wires
    from jali.mpc.rounds import Round
    from jali.mpc.wide import Times

    Words = NDArray[np.uint64]

__all__ = ["product"]


def product(
    wires: Wires, x: Share, y: Share, *, times: Times, shape: tuple[int, ...], shift: int, exact: bool
) -> Generator[Round, Any, Share]:
    """The product of two shares, truncated by `shift` bits, 1 to 64, or rounded to nearest if `exact`.

    Cost: 2 rounds, and one more for operands that are not masked; 16 B for each element of a factor and of the result,
    24 offline B for each element of a factor and 24 for each of the result. A square has one factor. Rounding takes a
    comparison in as many bits as are cut off, and makes a bit a number.
    """
    factors = [x] if x is y else [x, y]
    opened = yield from _opened(wires, factors)
    (dx, lx), (dy, ly) = opened[0], opened[-1]
    side, words = wires.side, words_of(shape, Ring.WIDE)
    g = wires.deal(words, lambda: times(lx, ly), ring=Ring.WIDE)
    half = 1 << (shift - 1) if exact and wires.leader else 0

    def multiplied() -> Words:
        z = wide.masked_product(dx, dy, lx, ly, g, times=times, leader=wires.leader)
        return wide.plus_public(z, half)

    z = side.evaluate(words, multiplied)
    r = side.mask(words, wires.nonce(), ring=Ring.WIDE)
    (c,) = yield from wires.summed([z], [r], [Ring.WIDE])
    cut = wires.deal(shape, lambda: wide.shifted(r, shift))

    def truncated() -> Words:
        return wide.shifted(c, shift) - cut if wires.leader else -cut

    y = Additive(shape, side.evaluate(shape, truncated))
    if not exact:
        return y
    bits = smallest(2.0**shift - 1)
    low_c = side.evaluate(shape, lambda: wide.low(c, shift))
    low_r = side.track(shape, lambda: wide.low(r, shift))
    above = yield from to_arithmetic(wires, (yield from borrow(wires, low_c, low_r, shape, bits=bits)))
    return wires.mapped(np.subtract, (y, above), shape, bits=False)


def _opened(wires: Wires, factors: list[Share]) -> Generator[Round, Any, list[tuple[Words, Words]]]:
    """x + lam over Z_2^128, and this role's part of lam."""
    side = wires.side
    parts, masks = [], []
    for known in (yield from wires.open(*factors)):
        words = words_of(known.shape, Ring.WIDE)
        r = wires.deal(words, lambda known=known: wide.unsigned(known.mask), ring=Ring.WIDE)  # type: ignore[misc]
        h = wires.deal(known.shape, lambda known=known: known.mask >> wide.TOP)  # type: ignore[misc]

        def widened(c: Words, r: Words = r, h: Words = h) -> Words:
            return wide.widened(c + wide.HEADROOM, r, h, leader=wires.leader)

        parts.append(side.evaluate(words, lambda known=known: widened(known.masked)))  # type: ignore[misc]
        masks.append(side.mask(words, wires.nonce(), ring=Ring.WIDE))
    masked = yield from wires.summed(parts, masks, [Ring.WIDE] * len(parts))
    return list(zip(masked, masks, strict=True))
