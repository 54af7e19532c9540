# SPDX-License-Identifier: Apache-2.0
"""Intervals of ring elements, for many assumptions about the inputs at once.

An interval has one pair of ends for each point of `GRID`: the point is a bound on all inputs of which nobody said how
large they are. So one walk over a program answers "how large may the inputs be?" without searching. An interval that
does not depend on such inputs has ends of length 1, which numpy broadcasts.

Ends are float64: what must fit is compared with limits that leave room for their rounding. A number that leaves the
ring wraps around to anything, so ends never pass 2^63.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ANYTHING", "GRID", "RING", "Interval", "hull", "minus", "plus", "point", "symmetric", "times"]

RING = 2.0**63
GRID = 2.0 ** np.arange(-4, 62.25, 0.25)
"""Bounds on inputs that are tried, smallest first."""


class Interval(NamedTuple):
    """low <= x <= high for every element of an array, as signed ring elements. Shapes: (1,) or that of `GRID`."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """The largest |x|."""
        return np.maximum(-self.low, self.high)

    def inside(self, other: Interval) -> NDArray[np.bool_]:
        """Where this interval is within the other."""
        return np.asarray((self.low >= other.low) & (self.high <= other.high))

    def clipped(self) -> Interval:
        """What a ring element can be at all."""
        return Interval(np.maximum(self.low, -RING), np.minimum(self.high, RING))

    def scaled(self, factor: float) -> Interval:
        """Times a number that is not negative."""
        return Interval(self.low * factor, self.high * factor)

    def between(self, low: float, high: float) -> Interval:
        """The part of it within these ends, where something else is known of the value."""
        return Interval(np.clip(self.low, low, high), np.clip(self.high, low, high))


def point(low: float, high: float | None = None) -> Interval:
    """An interval that no input changes."""
    return Interval(np.array([low], np.float64), np.array([low if high is None else high], np.float64))


ANYTHING = point(-RING, RING)


def symmetric(limit: float, *, unit: float) -> Interval:
    """Inputs with |x| <= min(bound, limit) at each point of the grid, in units of the last place."""
    size = np.ceil(np.minimum(GRID, limit) * unit)
    return Interval(-size, size)


def plus(x: Interval, y: Interval) -> Interval:
    """x + y."""
    return Interval(x.low + y.low, x.high + y.high)


def minus(x: Interval, y: Interval) -> Interval:
    """x - y."""
    return Interval(x.low - y.high, x.high - y.low)


def times(x: Interval, y: Interval) -> Interval:
    """x y."""
    a, b, c, d = x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high
    return Interval(np.minimum(np.minimum(a, b), np.minimum(c, d)), np.maximum(np.maximum(a, b), np.maximum(c, d)))


def hull(parts: Sequence[Interval]) -> Interval:
    """What contains all of them."""
    low, high = parts[0]
    for part in parts[1:]:
        low, high = np.minimum(low, part.low), np.maximum(high, part.high)
    return Interval(low, high)
