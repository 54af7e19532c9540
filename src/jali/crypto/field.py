# SPDX-License-Identifier: Apache-2.0
"""The field with 2^128 elements, that of AES-GCM's bits in the other order: rows of 16 bytes, or of two words.

An element's bit i is the coefficient of X^i, and X^128 = X^7 + X^2 + X + 1. With the native kernels, time depends on no
element but the point of a polynomial, which is public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

__all__ = ["FIELD_BYTES", "polynomial", "times"]

FIELD_BYTES = 16


def times(rows: Words, factor: bytes) -> Words:
    """The products of elements with a factor.

    Shapes: (n, 2) to (n, 2).
    """
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(-1, FIELD_BYTES)
    return kernels.field_multiply(raw, factor).view(np.uint64).reshape(-1, 2)


def polynomial(coefficients: Words, point: bytes) -> Words:
    """The sum of coefficient i times point^i.

    Shapes: (n, 2) to (2,), n from 1.
    Cost: n multiplications: the upper half, times a power of the point, is added to the lower one, again and again.
    """
    folded = coefficients
    while len(folded) > 1:
        half = -(-len(folded) // 2)
        upper = times(folded[half:], _power(point, half))
        folded = folded[:half].copy()
        folded[: len(upper)] ^= upper
    return np.asarray(folded[0])


def _power(point: bytes, exponent: int) -> bytes:
    """point^exponent, which is public."""
    square, result = point, (1).to_bytes(FIELD_BYTES, "little")
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square, exponent = _product(square, square), exponent >> 1
    return result


def _product(x: bytes, y: bytes) -> bytes:
    return kernels.field_multiply(np.frombuffer(x, np.uint8).reshape(1, FIELD_BYTES), y).tobytes()
