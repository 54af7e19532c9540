# SPDX-License-Identifier: Apache-2.0
"""What fixed-point functions take and give, for the range analysis: domains and intervals of results.

Domains are those that `jali.mpc.functions.basis.Function` declares. A function that stands in no table here can give
anything as far as the analysis knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jali.mpc.functions.basis import functions
from jali.mpc.ir import DEFAULT_FRACTION
from jali.mpc.ranges.intervals import RING, Interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

__all__ = ["Domain", "domain", "least_fraction", "result"]

_FARTHEST = 2.0**61  # an argument's magnitude in the ring: functions double it, and compare it with their knots
_SLACK = 8.0  # units of the last place
_LEAST_DIVISOR = 2.0**-12  # inverses are taken of 0 or of no less, or their worst case would fill the ring


class Domain(NamedTuple):
    """Where a function may be used, as signed ring elements: low <= x < high."""

    low: float
    high: float


def _largest_inverse(least: float) -> Curve:
    return lambda x: 1 / np.maximum(x, least)


# Functions that rise: the ends of the result are those of the argument.
_RISING: dict[str, Curve] = {
    "exp": lambda x: np.exp(np.minimum(x, 44.0)),
    "log": lambda x: np.log(np.maximum(x, 2.0**-18)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-np.clip(x, -700, 700))),
    "softplus": lambda x: np.logaddexp(0, x),
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0)),
    "tanh": np.tanh,
    "atan": np.arctan,
    "cbrt": np.cbrt,
}
# Functions that fall on the positive numbers, and are 0 next to 0.
_FALLING: dict[str, Curve] = {
    "reciprocal_positive": _largest_inverse(_LEAST_DIVISOR),
    "rsqrt": lambda x: 1 / np.sqrt(np.maximum(x, _LEAST_DIVISOR)),
}
# Functions whose results lie between two numbers whatever the argument is.
_BOUNDED: dict[str, tuple[float, float]] = {"cos": (-1.0, 1.0), "erf": (-1.0, 1.0), "sin": (-1.0, 1.0)}
_NEVER_NEGATIVE = {"exp", "sqrt", "reciprocal_positive", "rsqrt"}

# A number that is nearer to 0 than the domain gives 0 there: no error, so the gap is part of the domain here.
_LOWEST = {"reciprocal": -(2.0**44), "reciprocal_positive": 0.0, "rsqrt": 0.0}

# What functions need to write down the powers of two between which they tell arguments apart.
_LEAST_FRACTION = dict.fromkeys(
    ("exp", "log", "reciprocal", "reciprocal_positive", "rsqrt", "sigmoid", "softplus", "sqrt", "tanh"), 8
)


def domain(name: str, *, fraction: int) -> Domain:
    """Where a function is within its error."""
    function = functions().get(name)
    low, high = (-np.inf, np.inf) if function is None else (_LOWEST.get(name, function.low), function.high)
    unit = 2.0**fraction
    return Domain(max(low * unit, -_FARTHEST), min(high * unit, _FARTHEST))


def least_fraction(name: str) -> int:
    """The fewest fraction bits that a function works with."""
    return _LEAST_FRACTION.get(name, DEFAULT_FRACTION)


def result(name: str, x: Interval, *, fraction: int) -> Interval:
    """What a function gives for arguments inside its domain; anything for others.

    Where only positive arguments will do, no bound on inputs can say that an argument is; that it is, is then assumed
    for what follows, and the argument itself is reported.
    """
    unit, limits = 2.0**fraction, domain(name, fraction=fraction)
    if limits.low >= 0:
        x = Interval(np.maximum(x.low, limits.low), np.maximum(x.high, limits.low))
    inside = (x.low >= limits.low) & (x.high < limits.high)
    ends = _ends(name, Interval(x.low / unit, x.high / unit))
    if ends is None:
        return Interval(np.full_like(x.low, -RING), np.full_like(x.low, RING))
    low, high = _with_error(name, ends, fraction=fraction)
    return Interval(np.where(inside, low * unit, -RING), np.where(inside, high * unit, RING)).clipped()


def _ends(name: str, x: Interval) -> Interval | None:
    if name in _RISING:
        curve = _RISING[name]
        return Interval(curve(x.low), curve(x.high))
    if name in _FALLING:
        curve = _FALLING[name]
        return Interval(np.where(x.low < _LEAST_DIVISOR, 0.0, curve(x.high)), curve(x.low))
    if name == "reciprocal":
        # one over the number nearest to 0, on either side of it
        nearest = np.where((x.low > 0) | (x.high < 0), np.minimum(np.abs(x.low), np.abs(x.high)), 0.0)
        size = 1 / np.maximum(nearest, _LEAST_DIVISOR)
        return Interval(np.where(x.low > 0, 0.0, -size), np.where(x.high < 0, 0.0, size))
    if name in _BOUNDED:
        low, high = _BOUNDED[name]
        return Interval(np.full_like(x.low, low), np.full_like(x.high, high))
    return None


def _with_error(name: str, ends: Interval, *, fraction: int) -> Interval:
    """The declared error is that with 18 fraction bits; it grows as the last place does."""
    function = functions().get(name)
    absolute, relative = (0.0, 0.0) if function is None else (function.absolute, function.relative)
    room = absolute * 2.0 ** max(0, DEFAULT_FRACTION - fraction) + _SLACK * 2.0**-fraction
    low = ends.low - room - relative * np.abs(ends.low)
    high = ends.high + room + relative * np.abs(ends.high)
    return Interval(np.maximum(low, 0.0) if name in _NEVER_NEGATIVE else low, high)
