# SPDX-License-Identifier: Apache-2.0
"""How the tables of `jali.mpc.functions.constants` were found; run as a program it prints the module.

Polynomials interpolate at Chebyshev nodes; splines have segments of equal width, each in u in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise
from math import pi
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Real = Callable[[NDArray[np.float64]], NDArray[np.float64]]

__all__ = ["tables"]

_DIGITS = 12


def interpolate(function: Real, degree: int, *, low: float = -1.0, high: float = 1.0) -> list[float]:
    """Power coefficients, lowest first, of the polynomial that interpolates at the Chebyshev nodes of [low, high]."""
    polynomial = Chebyshev.interpolate(function, degree, domain=[low, high]).convert(kind=Polynomial)
    return [float(c) for c in polynomial.coef] + [0.0] * (degree + 1 - len(polynomial.coef))


def unit(function: Real, degree: int, *, low: float, high: float) -> tuple[float, ...]:
    """The polynomial in u in [-1, 1] for a function on [low, high]."""
    centre, half = (low + high) / 2, (high - low) / 2
    coefficients = interpolate(lambda u: np.asarray(function(centre + half * u)), degree)
    return tuple(round(c, _DIGITS) for c in coefficients)


def segments(function: Real, degree: int, *, knots: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """One polynomial in u for each interval between neighbouring knots."""
    return tuple(unit(function, degree, low=a, high=b) for a, b in pairwise(knots))


def of_square(function: Real, degree: int) -> tuple[float, ...]:
    """An even function on [-1, 1] as a polynomial in v = x^2 in [0, 1]."""
    coefficients = interpolate(lambda v: np.asarray(function(np.sqrt(v))), degree, low=0.0, high=1.0)
    return tuple(round(c, _DIGITS) for c in coefficients)


def inverse_error(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """erf_inv(x) / x as a function of w = -log(1 - x^2)."""
    x = np.sqrt(-np.expm1(-np.maximum(w, 1e-9)))
    # above 0.5 the complement keeps the digits
    return np.asarray(special.erfcinv(np.exp(-np.maximum(w, 1e-9)) / (1 + x)) / x)


def tail(function: Real) -> Real:
    """f(x) sqrt(x) as a function of z = 8 / x in [0, 1]."""

    def scaled(z: NDArray[np.float64]) -> NDArray[np.float64]:
        x = 8 / np.maximum(z, 1e-6)
        return np.asarray(function(x) * np.sqrt(x))

    return scaled


def tables() -> dict[str, object]:
    """All tables, by their names in `functions_tables_special`."""
    return {
        "ACOS": unit(lambda z: np.asarray(np.arccos(z) / np.sqrt(1 - z)), 7, low=0.0, high=1.0),
        "ATAN": of_square(lambda z: np.asarray(np.arctan(z) / z), 8),
        "BESSEL_I0E": segments(lambda x: np.asarray(special.i0e(x)), 8, knots=(0.0, 2.0, 4.0, 6.0, 8.0)),
        "BESSEL_I0E_TAIL": unit(tail(lambda x: np.asarray(special.i0e(x))), 4, low=0.0, high=1.0),
        "BESSEL_I1E": segments(lambda x: np.asarray(special.i1e(x)), 8, knots=(0.0, 2.0, 4.0, 6.0, 8.0)),
        "BESSEL_I1E_TAIL": unit(tail(lambda x: np.asarray(special.i1e(x))), 4, low=0.0, high=1.0),
        "COS_QUARTER": of_square(lambda r: np.asarray(np.cos(pi / 2 * r)), 6),
        "DIGAMMA": segments(lambda x: np.asarray(special.digamma(x + 1)), 8, knots=range(9)),
        "ERF": segments(lambda x: np.asarray(special.erf(x)), 4, knots=[k / 2 for k in range(-8, 9)]),
        "ERF_INV_MIDDLE": unit(inverse_error, 8, low=0.0, high=16 / 3),
        "ERF_INV_TAIL": unit(lambda s: inverse_error(s * s), 8, low=2.1, high=3.7),
        "EXPM1": unit(lambda x: np.asarray(np.expm1(x)), 7, low=-0.5, high=0.5),
        "LGAMMA": segments(lambda x: np.asarray(special.gammaln(x + 1)), 8, knots=range(9)),
        "LOG1P": unit(lambda x: np.asarray(np.log1p(x)), 8, low=-0.25, high=0.25),
        "RECIPROCAL": unit(lambda c: np.asarray(1 / c), 8, low=1.0, high=2.0),
        "RSQRT": unit(lambda c: np.asarray(1 / np.sqrt(c)), 8, low=1.0, high=2.0),
    }


def main() -> None:
    """Print the module."""
    for name, table in tables().items():
        print(f"{name} = {table!r}")


if __name__ == "__main__":
    main()
