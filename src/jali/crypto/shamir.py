# SPDX-License-Identifier: Apache-2.0
"""Shamir's secret sharing over the prime field of p = 2^61 - 1: any `threshold` of the shares give the secret.

The field is a Mersenne prime just below the width of a word: products reduce by shifts and masks, and a vector of
field elements is a vector of words. A longer secret (a seed, a key) is shared as several elements of 60 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali.core.errors import SharesInvalid
from jali.crypto.randomness import random_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from jali.crypto.sharing import Draw

__all__ = ["PRIME", "reconstruct_shamir", "share_shamir"]

PRIME = 2**61 - 1
_P = np.uint64(PRIME)


def share_shamir(
    x: NDArray[np.uint64], parties: int, *, threshold: int, draw: Draw = random_words
) -> dict[int, NDArray[np.uint64]]:
    """Share i of x is f(i), for i = 1..parties and a random f of degree threshold - 1 with f(0) = x.

    Shapes: each share has the shape of x; elements are below 2^61 - 1.
    Security: any threshold - 1 shares are uniform and independent of x (perfect).
    Raises: ValueError unless 1 <= threshold <= parties < 2^16 and all x are field elements.
    References: Shamir 1979, "How to share a secret", CACM 22(11).
    """
    if not 1 <= threshold <= parties < 2**16:
        message = f"expected 1 <= threshold <= parties < 65536, found threshold {threshold} of {parties}"
        raise ValueError(message)
    if np.any(x >= _P):
        message = "expected elements below 2^61 - 1; split longer secrets into elements of 60 bits"
        raise ValueError(message)
    coefficients = [x, *(_uniform(x.shape, draw) for _ in range(threshold - 1))]
    shares = {}
    for i in range(1, parties + 1):
        value = np.zeros_like(x)
        for coefficient in reversed(coefficients):  # Horner's rule
            value = _add(_multiply(value, np.uint64(i)), coefficient)
        shares[i] = value
    return shares


def reconstruct_shamir(shares: Mapping[int, NDArray[np.uint64]], *, threshold: int) -> NDArray[np.uint64]:
    """The secret f(0) from at least `threshold` shares, by their numbers.

    Security: shares beyond the threshold are checked against the polynomial of the others; with exactly `threshold`
    shares a changed one cannot be noticed.
    Raises: SharesInvalid for too few shares, bad numbers, unequal shapes, or shares of no common polynomial.
    """
    if threshold < 1 or len(shares) < threshold:
        raise SharesInvalid(f"expected at least {threshold} shares, found {len(shares)}")
    if not all(1 <= i < PRIME for i in shares):
        raise SharesInvalid(f"expected share numbers from 1, found {sorted(shares)}")
    if len({share.shape for share in shares.values()}) != 1 or any(np.any(share >= _P) for share in shares.values()):
        raise SharesInvalid("expected shares of one shape with elements below 2^61 - 1")
    numbers = sorted(shares)
    base, rest = numbers[:threshold], numbers[threshold:]
    for i in rest:
        if not np.array_equal(_interpolate(shares, base, i), shares[i]):
            raise SharesInvalid(f"share {i} contradicts the shares {base}: one of them was changed")
    return _interpolate(shares, base, 0)


def _interpolate(shares: Mapping[int, NDArray[np.uint64]], numbers: list[int], at: int) -> NDArray[np.uint64]:
    """f(at) by Lagrange: the sum over i of f(i) times the product over j != i of (at - j) / (i - j)."""
    total = np.zeros_like(shares[numbers[0]])
    for i in numbers:
        weight = 1
        for j in numbers:
            if j != i:
                weight = weight * (at - j) * pow(i - j, -1, PRIME) % PRIME
        total = _add(total, _multiply(shares[i], np.uint64(weight)))
    return total


def _uniform(shape: tuple[int, ...], draw: Draw) -> NDArray[np.uint64]:
    """Uniform field elements: 61 bits of each word, drawn again in the case (2^-61) that they are p."""
    while True:
        values: NDArray[np.uint64] = draw(shape) >> np.uint64(3)
        if not np.any(values == _P):
            return values


def _add(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    total = a + b
    return total - _P * (total >= _P)


def _multiply(a: NDArray[np.uint64], b: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """A product mod p from 32-bit halves: 2^64 = 8 and 2^61 = 1 mod p, and no intermediate passes 2^64."""
    s32, s29, s61 = np.uint64(32), np.uint64(29), np.uint64(61)
    low32, low29 = np.uint64(2**32 - 1), np.uint64(2**29 - 1)
    a1, a0, b1, b0 = a >> s32, a & low32, b >> s32, b & low32
    middle = a1 * b0 + a0 * b1  # below 2^62
    low = a0 * b0
    total: NDArray[np.uint64] = (
        (a1 * b1 << np.uint64(3)) + (middle >> s29) + ((middle & low29) << s32) + (low >> s61) + (low & _P)
    )
    total = (total & _P) + (total >> s61)
    return total - _P * (total >= _P)
