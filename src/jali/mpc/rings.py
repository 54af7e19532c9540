# SPDX-License-Identifier: Apache-2.0
"""The rings that masked numbers live in, and how their elements lie in words.

Nearly all is over Z_2^64, a word an element, or over Z_2, 64 to a word. Numbers that are known to be small are compared
in Z_2^16 or Z_2^32, and a product that may pass 2^62 before it is truncated is made in Z_2^128.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

__all__ = ["Ring", "add", "from_lanes", "lanes", "of_bits", "smallest", "subtract", "to_lanes", "words_of"]


class Ring(IntEnum):
    """Z_2^k, by k.

    Shapes in words: BITS, LANES_16 and LANES_32 are packed in C order, the first element lowest; WORDS are one element
    each; WIDE has all low words, then all high ones, (2, *shape).
    """

    BITS = 1
    LANES_16 = 16
    LANES_32 = 32
    WORDS = 64
    WIDE = 128


_LANES: dict[int, Any] = {Ring.LANES_16: np.dtype("<u2"), Ring.LANES_32: np.dtype("<u4")}


def of_bits(bits: bool) -> Ring:  # noqa: FBT001 - the one thing it turns into another
    """Z_2 for bits, else Z_2^64."""
    return Ring.BITS if bits else Ring.WORDS


def lanes(width: int) -> Ring:
    """The ring in which numbers of so many bits, the sign among them, are compared."""
    return Ring.WORDS if width == Ring.WORDS else Ring(width)


def smallest(magnitude: float) -> int:
    """The bits of the least ring for comparisons that holds all whole numbers x with |x| <= magnitude."""
    return next((int(ring) for ring in _LANES if magnitude < 2.0 ** (ring - 1)), 64)


def words_of(shape: tuple[int, ...], ring: Ring) -> tuple[int, ...]:
    """The shape of the words that hold an array."""
    if ring is Ring.WORDS:
        return shape
    if ring is Ring.WIDE:
        return (2, *shape)
    return (-(-math.prod(shape) * ring // 64),)


def add(x: Words, y: Words, ring: Ring) -> Words:
    """x + y, element by element."""
    if ring is Ring.WORDS:
        return x + y
    if ring is Ring.BITS:
        return x ^ y
    if ring is Ring.WIDE:
        low = x[0] + y[0]
        return np.stack([low, x[1] + y[1] + (low < y[0])])
    return np.asarray(x.view(_LANES[ring]) + y.view(_LANES[ring])).view(np.uint64)


def subtract(x: Words, y: Words, ring: Ring) -> Words:
    """x - y, element by element."""
    if ring is Ring.WORDS:
        return x - y
    if ring is Ring.BITS:
        return x ^ y
    if ring is Ring.WIDE:
        return np.stack([x[0] - y[0], x[1] - y[1] - (x[0] < y[0])])
    return np.asarray(x.view(_LANES[ring]) - y.view(_LANES[ring])).view(np.uint64)


def to_lanes(words: Words, ring: Ring) -> Words:
    """Elements of Z_2^64 modulo 2^16 or 2^32, packed."""
    packed = np.zeros(words_of(words.shape, ring), np.uint64)
    packed.view(_LANES[ring])[: words.size] = words.reshape(-1)
    return packed


def from_lanes(packed: Words, shape: tuple[int, ...], ring: Ring) -> Words:
    """The inverse of `to_lanes`: numbers that are not negative."""
    return np.asarray(packed.view(_LANES[ring])[: math.prod(shape)].astype(np.uint64).reshape(shape))
