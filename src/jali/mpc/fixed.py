# SPDX-License-Identifier: Apache-2.0
"""Numbers as ring elements: fixed point, integers and bits, in and out of Z_2^64 (two's complement)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_signed", "as_words", "constant_fraction", "decode", "encode"]

_SIGNIFICANT_BITS = 18
_MOST_FRACTION_BITS = 40


def as_signed(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The ring elements as numbers from -2^63 to 2^63 - 1, without a copy."""
    return words.view(np.int64)


def as_words(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Signed numbers as ring elements, without a copy."""
    return numbers.view(np.uint64)


def encode(values: Any, *, kind: str, fraction: int = 0) -> NDArray[Any]:
    """An array as ring elements (or bits): round(x 2^fraction), half to even.

    Raises: FixedPointRangeError if a number is not finite or too large.
    """
    array = np.asarray(values)
    if kind == "bool":
        return np.array(array, np.bool_, order="C")
    if kind == "int":
        return np.array(array, np.int64, order="C").view(np.uint64)
    return kernels.fixed_encode(np.asarray(array, np.float64, order="C"), fraction)


def decode(words: NDArray[Any], *, kind: str, fraction: int = 0) -> NDArray[Any]:
    """Ring elements (or bits) as float64, int64 or bool."""
    if kind == "bool":
        return words.astype(np.bool_)
    words = np.asarray(words, np.uint64, order="C")
    return words.view(np.int64).copy() if kind == "int" else kernels.fixed_decode(words, fraction)


def constant_fraction(values: NDArray[np.float64]) -> int:
    """How many fraction bits a public factor needs: none for integers, one for halves, else 18 significant bits.

    A public factor is encoded with its own scale, so that 1/1024 keeps its precision and 3.0 costs no truncation.
    """
    finite = np.abs(values[values != 0])
    if finite.size == 0:
        return 0
    largest = float(finite.max())
    most = min(max(_SIGNIFICANT_BITS - int(np.floor(np.log2(largest))), 0), _MOST_FRACTION_BITS)
    fractions = np.frexp(finite)
    # the lowest set bit of each value decides: an exact dyadic fraction needs no more than that
    mantissas = np.ldexp(fractions[0], 53).astype(np.int64)
    trailing = np.log2((mantissas & -mantissas).astype(np.float64)).astype(np.int64)
    exact = int(np.max(53 - fractions[1] - trailing))
    return max(0, min(exact, most))
