# SPDX-License-Identifier: Apache-2.0
"""Products modulo 2^128, for fixed-point numbers whose product passes 2^62 before it is truncated.

An array over Z_2^128 has all low words and then all high ones, (2, *shape). Operands come from shares over Z_2^64 whose
numbers lie between -2^62 and 2^62, and the truncated product goes back there, so nothing else ever sees this ring.

*Widening.* Let c = x + 2^62 + r mod 2^64 be open, m its top bit and h that of r. 0 <= x + 2^62 < 2^63, so the sum
passed 2^64 exactly if h = 1 and m = 0, and x = c - 2^62 - r + 2^64 (1 - m) h over the integers: shares of r modulo
2^128 and of h modulo 2^64 make shares of x modulo 2^128.

*Truncation.* For z = c - r modulo 2^128, (c >> s) - (r >> s) is floor(z / 2^s) or one more, modulo 2^(128 - s), hence
modulo 2^64 for s <= 64: the sign needs no care, and one word for each number is dealt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali import kernels
from jali.mpc.rings import Ring, add, subtract

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Times = Callable[[Words, Words], Words]

__all__ = [
    "HEADROOM",
    "TOP",
    "dot",
    "low",
    "masked_product",
    "multiply",
    "plus_public",
    "shifted",
    "signed",
    "unsigned",
    "widened",
]

HEADROOM = np.uint64(1 << 62)

TOP = np.uint64(63)
_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)
_LIMB = 22
_LIMBS = 3
_MOST_DEPTH = 1 << 18  # three products of two limbs each, summed up: 2 * 22 + 18 + 2 bits


def unsigned(words: Words) -> Words:
    """Ring elements as numbers that are not negative."""
    return np.stack([words, np.zeros_like(words)])


def signed(words: Words) -> Words:
    """Ring elements as signed numbers."""
    return np.stack([words, np.where(words >> TOP, np.uint64(2**64 - 1), np.uint64(0))])


def widened(c: Words, r: Words, h: Words, *, leader: bool) -> Words:
    """A share of x, from c = x + 2^62 + r and shares of r (modulo 2^128) and of h, its top bit."""
    raised = np.stack([np.zeros_like(c), np.where(c >> TOP, np.uint64(0), h)])
    share = subtract(raised, r, Ring.WIDE)
    if not leader:
        return share
    return add(share, subtract(unsigned(c), unsigned(np.full_like(c, HEADROOM)), Ring.WIDE), Ring.WIDE)


def masked_product(dx: Words, dy: Words, lx: Words, ly: Words, g: Words, *, times: Times, leader: bool) -> Words:
    """A share of x y, from the opened x + lx and y + ly and shares of the masks and of g = lx ly."""
    right = subtract(dy, ly, Ring.WIDE) if leader else subtract(np.zeros_like(ly), ly, Ring.WIDE)
    first = add(times(dx, right), g, Ring.WIDE)
    return subtract(first, times(lx, dy), Ring.WIDE)


def shifted(words: Words, bits: int) -> Words:
    """The low word of each number, shifted to the right by 1 to 64 bits."""
    low, high = words
    if bits == Ring.WORDS:
        return np.asarray(high)
    return np.asarray((low >> np.uint64(bits)) | (high << np.uint64(64 - bits)))


def low(words: Words, bits: int) -> Words:
    """The lowest 1 to 64 bits of each number."""
    return np.asarray(words[0] & np.uint64(2**bits - 1))


def plus_public(words: Words, value: int) -> Words:
    """Each number plus one of 64 bits that is not negative."""
    return add(words, unsigned(np.full_like(words[0], value)), Ring.WIDE) if value else words


def multiply(x: Words, y: Words) -> Words:
    """x y modulo 2^128, element by element."""
    return np.stack([x[0] * y[0], _high(x[0], y[0]) + x[0] * y[1] + x[1] * y[0]])


def _high(x: Words, y: Words) -> Words:
    """The high word of the product of two words."""
    x0, x1, y0, y1 = x & _LOW, x >> _HALF, y & _LOW, y >> _HALF
    middle, other = x0 * y1, x1 * y0
    carried = ((x0 * y0) >> _HALF) + (middle & _LOW) + (other & _LOW)
    return np.asarray(x1 * y1 + (middle >> _HALF) + (other >> _HALF) + (carried >> _HALF))


def dot(x: Words, y: Words) -> Words:
    """The matrix product modulo 2^128.

    The low words are cut into limbs of 22 bits, whose products add up within a word; what is multiplied by 2^64
    needs no more than one product modulo 2^64 each.
    Shapes: (2, ..., m, k) and (2, ..., k, n) -> (2, ..., m, n).
    """
    depth = x.shape[-1]
    total = np.zeros((*x.shape[:-1], y.shape[-1]), np.uint64)
    for start in range(0, depth, _MOST_DEPTH):
        part = slice(start, min(depth, start + _MOST_DEPTH))
        total = add(total, _dot(x[..., part], y[..., part, :]), Ring.WIDE)
    return total


def _dot(x: Words, y: Words) -> Words:
    (x_low, x_high), (y_low, y_high) = (map(np.ascontiguousarray, planes) for planes in (x, y))
    upper = kernels.matmul(x_high, y_low, add=kernels.matmul(x_low, y_high))
    total = np.stack([np.zeros_like(upper), upper])
    left, right = _limbs(x_low), _limbs(y_low)
    for place in range(2 * _LIMBS - 1):
        pairs = [(i, place - i) for i in range(_LIMBS) if 0 <= place - i < _LIMBS]
        found = kernels.matmul(left[pairs[0][0]], right[pairs[0][1]])
        for i, j in pairs[1:]:
            found = kernels.matmul(left[i], right[j], add=found)
        total = add(total, _raised(found, _LIMB * place), Ring.WIDE)
    return total


def _limbs(words: Words) -> list[Words]:
    mask = np.uint64(2**_LIMB - 1)
    return [(words >> np.uint64(_LIMB * k)) & mask for k in range(_LIMBS)]


def _raised(words: Words, bits: int) -> Words:
    """Numbers of one word times 2^bits."""
    if bits >= Ring.WORDS:
        return np.stack([np.zeros_like(words), words << np.uint64(bits - 64)])
    if not bits:
        return unsigned(words)
    return np.stack([words << np.uint64(bits), words >> np.uint64(64 - bits)])
