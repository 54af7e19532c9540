# SPDX-License-Identifier: Apache-2.0
"""How the tables of `jali.mpc.functions_tables` were found; run as a program it prints them.

Polynomials interpolate at Chebyshev nodes (near minimax). Splines are cubic: from the middle segment outwards each
segment is made as long as the error allows, the tails are constants (or lines) and the knots are symmetrical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Real = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def interpolate(function: Real, degree: int, *, low: float = -1.0, high: float = 1.0) -> list[float]:
    """Power coefficients, lowest first, of the polynomial that interpolates at the Chebyshev nodes of [low, high]."""
    series = Chebyshev.interpolate(function, degree, domain=[low, high])
    polynomial = series.convert(kind=Polynomial)
    return [float(c) for c in polynomial.coef] + [0.0] * (degree + 1 - len(polynomial.coef))


def worst(function: Real, coefficients: list[float], low: float, high: float) -> float:
    """Greatest error of a polynomial on [low, high]."""
    x = np.linspace(low, high, 2001)
    return float(np.max(np.abs(np.polynomial.polynomial.polyval(x, coefficients) - function(x))))


def spline(function: Real, tail: float, error: float) -> tuple[list[float], list[list[float]]]:
    """Knots > 0 and one cubic for each segment of [0, tail]; the first one is for [-knots[0], knots[0]]."""
    knots: list[float] = []
    cubics: list[list[float]] = []
    start = 0.0
    while start < tail:
        first = not knots
        low, high = start, tail
        for _ in range(40):
            middle = (low + high) / 2
            left = -middle if first else start
            fits = worst(function, interpolate(function, 3, low=left, high=middle), left, middle) <= error
            low, high = (middle, high) if fits else (low, middle)
        end = min(np.ceil(low * 64) / 64 if tail - low < 0.05 else np.floor(low * 64) / 64, tail)
        left = -end if first else start
        cubics.append(interpolate(function, 3, low=left, high=end))
        knots.append(float(end))
        start = end
    return knots, cubics


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x))."""
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def even_part(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(1 + exp(x)) - x / 2, which is even."""
    return np.asarray(np.logaddexp(0, x) - x / 2)


def normalised(function: Real) -> Real:
    """A function of c in [1, 2] as one of u = 2 c - 3 in [-1, 1]."""
    return lambda u: np.asarray(function((u + 3) / 2))


def tables() -> dict[str, object]:
    """All tables, by their names in `functions_tables`."""
    sigmoid_knots, sigmoid_cubics = spline(sigmoid, 8.703125, 1.5e-4)
    softplus_knots, softplus_cubics = spline(even_part, 9.125, 2e-4)
    return {
        "EXP": interpolate(lambda v: np.asarray(np.exp(v)), 6, low=-float(np.log(2)), high=float(np.log(2))),
        "RECIPROCAL": interpolate(normalised(lambda c: np.asarray(1 / c)), 8),
        "SQRT": interpolate(normalised(lambda c: np.asarray(np.sqrt(c))), 8),
        "RSQRT": interpolate(normalised(lambda c: np.asarray(1 / np.sqrt(c))), 8),
        "LOG": interpolate(normalised(lambda c: np.asarray(np.log(c))), 8),
        "SIGMOID_KNOTS": sigmoid_knots,
        "SIGMOID_CUBICS": sigmoid_cubics,
        "SOFTPLUS_KNOTS": softplus_knots,
        "SOFTPLUS_CUBICS": softplus_cubics,
    }


def main() -> None:
    """Print the tables as Python."""
    for name, table in tables().items():
        print(f"{name} = {table!r}")


if __name__ == "__main__":
    main()
