# SPDX-License-Identifier: Apache-2.0
"""Twins of the kernels that evaluate a function by one-time tables.

Evaluators know D = x + r mod 2^64; a dealer knows r. Both are cut alike: the lowest `low` bits, above them the bits of
an index. With D = D_hi 2^low + D_lo and r likewise, x = (D_hi - r_hi) 2^low + (D_lo - r_lo) modulo the cycle: no carry
is needed, if what belongs to index j serves the two intervals (j - 1, j + 1) 2^low. For every D_hi that may come the
dealer knows j, and r_lo; so a table over D_hi holds shares of all that depends on the mask, and what depends on D_lo
is public.

*Pieces* are polynomials P_j(v), v = (D_lo - r_lo) / 2^low, expanded in powers of D_lo / 2^low - 1/2 about 1/2 - r_lo /
2^low, which lies in the middle half of (-1, 1). *Octaves* are powers
2^(4.5 (j + v)), which are products of a public and a dealt number.

References: Ishai, Kushilevitz, Meldgaard, Orlandi, Paskin-Cherniavsky 2013, On the power of correlated randomness in
secure computation (TCC), on one-time truth tables.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jali.core.errors import KernelArgumentError

__all__ = ["octaves_combined", "octaves_dealt", "pieces_combined", "pieces_dealt"]

Words = NDArray[np.uint64]

_MOST_PIECES, _MOST_TERMS, _MOST_STEPS = 64, 17, 31
_PLACE_BITS = 22
_PLACES = np.uint64(1 << _PLACE_BITS)
_PER_STEP = np.uint64(817670)  # 4.5 ln 2 2^18
_ROOT_OF_TWO = np.uint64(1518500250)  # 30 fraction bits


def pieces_dealt(
    r: Words, coefficients: NDArray[np.float64], *, factor: int, low: int, steps: int, scale: int
) -> Words:
    """For every index that D may have, the coefficients of P_j(v) in powers of D_lo / 2^low - 1/2, with `scale` bits.

    P_j has the coefficients `coefficients[:, j]`; x is multiplied by `factor` first, and the lowest but `steps` bits
    of D_lo and r_lo are dropped. The coefficient of the power m > 0 has `scale - steps` bits.
    Shapes: (n,) and (terms, pieces) -> (n, pieces, terms).
    """
    terms, pieces = coefficients.shape
    _check_pieces(pieces, terms, low=low, steps=steps)
    if not steps <= scale < 62:
        raise KernelArgumentError(f"pieces: expected {steps} <= scale < 62, found {scale}")
    t = r * np.uint64(factor)
    rho = _place(t, low, steps).astype(np.float64) * 2.0**-steps - 0.5
    c = [np.broadcast_to(row, (r.size, pieces)) for row in coefficients]
    for k in range(terms - 1):
        for m in range(terms - 2, k - 1, -1):
            c[m] = c[m] - rho[:, None] * c[m + 1]
    scales = [2.0**scale, *(2.0 ** (scale - steps) for _ in range(terms - 1))]
    words = np.stack([np.rint(a * s).astype(np.int64).view(np.uint64) for a, s in zip(c, scales, strict=True)], axis=-1)
    source = (np.arange(pieces, dtype=np.uint64)[None] - _index(t, low, pieces)[:, None]) % np.uint64(pieces)
    return np.take_along_axis(words, source[:, :, None].astype(np.int64), axis=1)


def pieces_combined(d: Words, dealt: Words, *, factor: int, low: int, steps: int) -> Words:
    """The sum of the dealt coefficients for D_hi times powers of D_lo: a share of P_j(v).

    Shapes: (n,) and (n, pieces, terms) -> (n,).
    """
    _, pieces, terms = dealt.shape
    _check_pieces(pieces, terms, low=low, steps=steps)
    t = d * np.uint64(factor)
    entry = dealt[np.arange(d.size), _index(t, low, pieces).astype(np.int64)]
    delta = _place(t, low, steps).view(np.int64) - np.int64(1 << (steps - 1))
    total, power = entry[:, 0].copy(), delta
    for m in range(1, terms):
        total += power.view(np.uint64) * entry[:, m]
        power = (power * delta) >> np.int64(steps)
    return total


def octaves_dealt(r: Words, table: Words, *, factor: int, low: int) -> Words:
    """For every index that D may have, 2^(4.5 (j - r_lo / 2^low)), j from -5 to 10.

    The first word has 23 fraction bits and is 0 for j > 4; the second has 2 and is 0 for j <= 4. `table` has
    2^(4.5 i / 1024) for i = 0..1024, with 26 fraction bits.
    Shapes: (n,) and (1025,) -> (n, 16, 2).
    """
    _check_octaves(table, low)
    t = r * np.uint64(factor)
    even = _power_of_two(table, _PLACES - _place(t, low, _PLACE_BITS))
    odd = (even >> np.uint64(29)) * _ROOT_OF_TWO  # 57 fraction bits
    rotation = _index(t, low, 16).astype(np.int64)
    result = np.zeros((r.size, 16, 2), np.uint64)
    for j in range(-5, 11):
        octaves, is_odd = divmod(9 * (j - 1), 2)
        large = int(j > 4)
        shift = (57 if is_odd else 56) - octaves - (2 if large else 23)
        entry = ((odd if is_odd else even) + np.uint64(1 << (shift - 1))) >> np.uint64(shift)
        result[np.arange(r.size), (j + rotation) % 16, large] = entry
    return result


def octaves_combined(d: Words, dealt: Words, table: Words, *, factor: int, low: int) -> Words:
    """The dealt powers for D_hi times 2^(4.5 D_lo / 2^low), which adds 16 fraction bits.

    Shapes: (n,), (n, 16, 2) and (1025,) -> (2, n).
    """
    _check_octaves(table, low)
    t = d * np.uint64(factor)
    power = _power_of_two(table, _place(t, low, _PLACE_BITS))
    rounded = (power + np.uint64(1 << 39)) >> np.uint64(40)
    entry = dealt[np.arange(d.size), _index(t, low, 16).astype(np.int64)]
    return np.ascontiguousarray((rounded[:, None] * entry).T)


def _power_of_two(table: Words, x: Words) -> Words:
    """2^(4.5 x / 2^22) with 56 fraction bits, for 0 <= x <= 2^22: the table, and e^u = 1 + u + u^2 / 2."""
    u = (x & np.uint64(4095)) * _PER_STEP  # 40 fraction bits
    small = u >> np.uint64(10)
    factor = np.uint64(1 << 30) + small + ((small * small) >> np.uint64(31))
    product: Words = table[(x >> np.uint64(12)).astype(np.int64)] * factor
    return product


def _index(t: Words, low: int, pieces: int) -> Words:
    return (t >> np.uint64(low)) & np.uint64(pieces - 1)


def _place(t: Words, low: int, steps: int) -> Words:
    return (t >> np.uint64(low - steps)) & np.uint64((1 << steps) - 1)


def _check_pieces(pieces: int, terms: int, *, low: int, steps: int) -> None:
    if not (0 < pieces <= _MOST_PIECES and pieces & (pieces - 1) == 0 and 0 < terms <= _MOST_TERMS):
        raise KernelArgumentError(
            f"pieces: expected a power of two of at most {_MOST_PIECES} pieces and {_MOST_TERMS} terms, found {pieces} "
            f"and {terms}"
        )
    if not (0 < steps <= min(low, _MOST_STEPS) and low < 64):
        raise KernelArgumentError(f"pieces: expected 0 < steps <= low < 64, found {steps} and {low}")


def _check_octaves(table: Words, low: int) -> None:
    if table.shape != (1025,) or not _PLACE_BITS <= low <= 60:
        raise KernelArgumentError(f"octaves: expected a table of 1025 and 22 <= low <= 60, found {table.shape}, {low}")
