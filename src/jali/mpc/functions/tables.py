# SPDX-License-Identifier: Apache-2.0
"""Functions of one number as one-time tables: what a protocol's `lookup` deals, and what its evaluators pick.

Evaluators open D = x + r; whoever knows r deals, for every index that D may have, shares of all that depends on r
(`jali.kernels.reference_lookup` says how). So an evaluation is local once D is open, whatever the function.

References: Ishai, Kushilevitz, Meldgaard, Orlandi, Paskin-Cherniavsky 2013 (TCC), on one-time truth tables.
"""

from __future__ import annotations

from functools import cache, partial
from math import isqrt
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray  # msgspec reads it

from jali import kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    Real = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    Words = NDArray[np.uint64]

__all__ = ["CHUNK", "Octaves", "Pieces", "Table", "clear", "octaves", "pieces"]

CHUNK = 1 << 14
"""Elements whose tables are dealt at once, so that they stay small."""

_PIECES = 16
_STEPS = 24
_LOW = 58
_OCTAVES_LOW = 48
_WIDTH = 4.5  # octaves of an interval


class Table(Protocol):
    """A function by tables."""

    @property
    def words(self) -> tuple[int, int]:
        """Entries, and words of each."""
        ...

    @property
    def outputs(self) -> int:
        """Numbers that come out for each that goes in."""
        ...

    def dealt(self, r: Words) -> Words:
        """The tables for masks. Shapes: (n,) -> (n, *words)."""
        ...

    def combined(self, d: Words, dealt: Words) -> Words:
        """A share of the result from a share of the tables, at opened numbers. Shapes: (n,) -> (outputs, n)."""
        ...


class Pieces(msgspec.Struct, frozen=True, eq=False):
    """Polynomials P_j on intervals of equal width; x, as a ring element, is 0 where the first one begins.

    Interval j is x factor >> low, modulo 16; the result has `scale` fraction bits.
    """

    coefficients: NDArray[np.float64]
    factor: int
    low: int
    scale: int

    @property
    def words(self) -> tuple[int, int]:
        """16 entries, a coefficient each word."""
        return self.coefficients.shape[1], self.coefficients.shape[0]

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    def dealt(self, r: Words) -> Words:
        """Coefficients for every index."""
        return kernels.pieces_dealt(
            r, self.coefficients, factor=self.factor, low=self.low, steps=_STEPS, scale=self.scale
        )

    def combined(self, d: Words, dealt: Words) -> Words:
        """The sum of coefficients times powers."""
        return kernels.pieces_combined(d, dealt, factor=self.factor, low=self.low, steps=_STEPS)[np.newaxis]


class Octaves(msgspec.Struct, frozen=True, eq=False):
    """2^(4.5 x factor / 2^low) for exponents from -19.5 to 44, in two parts.

    The first result has 39 fraction bits and is 0 for large powers, the second has 18 and is 0 for small ones.
    """

    factor: int
    low: int

    @property
    def words(self) -> tuple[int, int]:
        """16 entries of two words."""
        return 16, 2

    @property
    def outputs(self) -> int:
        """Two."""
        return 2

    def dealt(self, r: Words) -> Words:
        """Powers for every index."""
        return kernels.octaves_dealt(r, _powers(), factor=self.factor, low=self.low)

    def combined(self, d: Words, dealt: Words) -> Words:
        """The dealt power times the public one."""
        return kernels.octaves_combined(d, dealt, _powers(), factor=self.factor, low=self.low)


def clear(table: Table, x: Words) -> Words:
    """The function of numbers in clear: with the mask 0. Shapes: (n,) -> (outputs, n)."""
    single = table.dealt(np.zeros(1, np.uint64))
    parts = [np.empty((table.outputs, 0), np.uint64)]
    for start in range(0, x.size, CHUNK):
        part = x[start : start + CHUNK]
        parts.append(table.combined(part, np.repeat(single, part.size, axis=0)))
    return np.concatenate(parts, axis=1)


def pieces(function: Real, start: float, end: float, *, degree: int, unit: int, scale: int = 52) -> Pieces:
    """Polynomials for a function on [start, end), near minimax on any two neighbouring intervals.

    A ring element x stands for the argument start + x / unit. Tests find the error.
    """
    factor = int((_PIECES - 1) * 2**_LOW / ((end - start) * unit))
    step = 2.0**_LOW / factor / unit
    columns = np.zeros((_PIECES, degree + 1))
    for j in range(_PIECES):
        first, last = max(-1.0, -j), min(1.0, (end - start) / step - j)
        if first < last:
            place = partial(_stretched, function, start + j * step, step)
            series = Chebyshev.interpolate(place, degree, domain=[first, last])
            coefficients = series.convert(kind=Polynomial, domain=[-1, 1]).coef
            columns[j, : len(coefficients)] = coefficients
    return Pieces(np.ascontiguousarray(columns.T), factor, _LOW, scale)


def _stretched(function: Real, start: float, step: float, v: NDArray[np.float64]) -> NDArray[np.float64]:
    return function(start + v * step)


def octaves(*, per_octave: float) -> Octaves:
    """Powers of two of numbers of which so many ring elements are an octave."""
    return Octaves(round(2**_OCTAVES_LOW / (_WIDTH * per_octave)), _OCTAVES_LOW)


@cache
def _powers() -> Words:
    """2^(4.5 i / 1024) for i = 0..1024 with 26 fraction bits, by whole numbers, so that all parties have the same."""
    bits = 160
    root = 2**9 << bits
    for _ in range(11):
        root = isqrt(root << bits)
    power, table = 1 << bits, []
    for _ in range(1025):
        table.append((power + (1 << (bits - 27))) >> (bits - 26))
        power = power * root >> bits
    return np.array(table, np.uint64)
