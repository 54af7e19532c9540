# SPDX-License-Identifier: Apache-2.0
"""Noise on whole numbers, sampled exactly: no floating point, whose gaps tell the true value apart.

References: Canonne, Kamath, Steinke 2020 (arXiv 2004.00010), algorithms 1 and 2; Mironov 2012 for what goes wrong with
floating point.
"""

from __future__ import annotations

import secrets
from fractions import Fraction

__all__ = ["discrete_laplace"]


def discrete_laplace(epsilon: float | Fraction) -> int:
    """A number x with probability proportional to exp(-epsilon |x|).

    Added to a count that one person changes by at most 1, it makes the sum epsilon-differentially private. Its standard
    deviation is about 1.4 / epsilon.

    Security: exact for the rational number that epsilon is; how long it takes depends on what is drawn.
    Raises: ValueError unless epsilon is above 0 and finite.
    """
    if not 0 < epsilon < float("inf"):
        message = f"expected an epsilon above 0, found {epsilon}"
        raise ValueError(message)
    rate = Fraction(epsilon)
    s, t = rate.numerator, rate.denominator
    while True:
        within = secrets.randbelow(t)
        if not _bernoulli_exp(Fraction(within, t)):
            continue
        times = 0
        while _bernoulli_exp(Fraction(1)):
            times += 1
        size = (within + t * times) // s
        negative = secrets.randbelow(2) == 1
        if negative and size == 0:
            continue  # 0 would come up twice as often
        return -size if negative else size


def _bernoulli_exp(gamma: Fraction) -> bool:
    """True with probability exp(-gamma), for gamma from 0 to 1."""
    k = 1
    while secrets.randbelow(gamma.denominator * k) < gamma.numerator:
        k += 1
    return k % 2 == 1
