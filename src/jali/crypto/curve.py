# SPDX-License-Identifier: Apache-2.0
"""Curve25519 as a group for private set intersection: secret scalars, x-coordinates, and tags of the results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jali import kernels
from jali.core.errors import LowOrderPointError
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes
from jali.crypto.secret import Secret

__all__ = ["POINT_BYTES", "TAG_BYTES", "Points", "Scalar", "tags"]

Points = NDArray[np.uint8]

POINT_BYTES = 32
TAG_BYTES = 16
_P_LOW, _P_TOP = 2**64 - 19, 2**63 - 1  # p = 2^255 - 19 in words: low, three times all ones, top


class Scalar(Secret):
    """A secret scalar. Scalars commute: a (b P) = b (a P), which is all that the protocol needs.

    Security: scalars are clamped as in RFC 7748, so multiples of the cofactor 8, and products lie in the prime-order
    group (of the curve or, for a dishonest x-coordinate, of its twist, where discrete logarithms are hard too).
    Multiplication is constant time. Decisional Diffie-Hellman makes a H(x) look random for who lacks a.
    References: Bernstein 2006 (Curve25519); RFC 7748 section 5.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes | None = None) -> None:
        """Draw a scalar from the operating system; `secret` (32 bytes) fixes it, for test vectors."""
        self._secret = random_bytes(POINT_BYTES) if secret is None else secret

    def multiply(self, points: Points) -> Points:
        """The products with all points.

        Shapes: (n, 32) to (n, 32), x-coordinates in little-endian bytes.
        Cost: local, 3 to 4 microseconds a point with IFMA, 25 without vectors.
        Raises: LowOrderPointError if a row is not below 2^255 - 19, or its product is zero.
        """
        words = np.ascontiguousarray(points).view("<u8").reshape(-1, 4)
        if np.any(words[:, 3] > _P_TOP) or np.any(_too_large(words)):
            raise LowOrderPointError("expected x-coordinates below 2^255 - 19, found a larger number")
        products = kernels.curve_multiply(points, self._secret)
        if not np.all(np.any(products.view("<u8"), axis=1)):
            raise LowOrderPointError("a point of low order came: its product tells nothing of the scalar")
        return products


def tags(points: Points, *, domain: str) -> NDArray[np.uint8]:
    """What stands for a point when it is compared: 128 bits of a hash with a domain.

    Shapes: (n, 32) to (n, 16).
    Security: hides the algebra (no further multiplication is possible). Among n and m values, a false match has
    probability n m / 2^128: below 2^-40 up to 2^44 values on each side.
    """
    rows = ByteStrings.rows(points)
    return kernels.sha512_each(rows.data, rows.offsets, width=TAG_BYTES, prefix=encode_parts(domain))


def _too_large(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    ones = (words[:, 1] == 2**64 - 1) & (words[:, 2] == 2**64 - 1)
    large: NDArray[np.bool_] = (words[:, 3] == _P_TOP) & ones & (words[:, 0] >= _P_LOW)
    return large
