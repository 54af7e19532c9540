# SPDX-License-Identifier: Apache-2.0
"""Reciprocal, square root, reciprocal square root and logarithm: normalise, look up, scale back.

y = c 16^k / 4 with c in [1, 16): comparisons with 1, 4, 64, ... give k as a thermometer code of 16 bits, hence a power
of 16 as a linear map of them; a product moves y to [2^58, 2^62), where a table gives f(c); and a second map of the
same bits gives the scale of the result. So the functions serve all positive numbers that the ring can hold.
"""

from __future__ import annotations

from functools import cache
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.basis import Function, check_domain, constant, loose, part, weigh
from jali.mpc.functions.tables import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, MpcProtocol
    from jali.mpc.functions.tables import Pieces
    from jali.mpc.rounds import Round

    Real = Callable[[NDArray[np.float64]], NDArray[np.float64]]

__all__ = [
    "FUNCTIONS",
    "QUOTIENT_MOST_DIVISOR",
    "QUOTIENT_SHIFT",
    "divide",
    "log_",
    "reciprocal",
    "reciprocal_positive",
    "rsqrt",
    "sqrt_",
]

_CLASSES = range(16)
_START = 58  # c = 1 is 2^58
_MOST_BITS = 62
_SCALE = 52  # fraction bits of the table's result

QUOTIENT_SHIFT = 18
"""Fraction bits that a quotient has before its truncation, beyond the usual ones: it stays below 2^(62 - 18 - 18)."""

QUOTIENT_MOST_DIVISOR = 20
"""Divisors are below 2^20; with larger ones the scale would be no whole number."""

_INVERSE_BITS, _ROOT_BITS = 22, 24  # fraction bits of 1 / c and 1 / sqrt(c), and of sqrt(c)


def reciprocal(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / y; 0 for 0 (so a guarded division needs no special case).

    Cost: 32 comparisons with public numbers, two products, two truncations.
    """
    return (yield from _reciprocal(protocol, y, fraction=fraction, both_signs=True))


def reciprocal_positive(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / y for y >= 0, and 0 for 0: `reciprocal` with half the comparisons."""
    check_domain(protocol, y, low=0, high=1 << _MOST_BITS, what="reciprocal")
    return (yield from _reciprocal(protocol, y, fraction=fraction, both_signs=False))


def _reciprocal(
    protocol: MpcProtocol, y: Arithmetic, *, fraction: int, both_signs: bool
) -> Generator[Round, Any, Arithmetic]:
    # 2^(2 f) / y = f(c) 2^(2 f + 2 - 4 k), and f(c) has _INVERSE_BITS
    shift = 41 - (2 * fraction + 2 - _INVERSE_BITS)
    up, scale = yield from _scales(protocol, y, lambda k: _power(41 - 4 * k), both_signs=both_signs)
    value = yield from _approximate(protocol, y, up, _inverse_table(), bits=_INVERSE_BITS)
    return (yield from loose(protocol).mul(value, scale, shift=shift))


def divide(
    protocol: MpcProtocol, x: Arithmetic, y: Arithmetic, *, fraction: int, positive: bool
) -> Generator[Round, Any, Arithmetic]:
    """x / y for |y| < 2^20 and |x / y| < 2^26; 0 for y = 0. `positive` says that y is not negative.

    x f(c) keeps all digits that x has, so the quotient is as exact as the inverse, whatever its size.
    Cost: as `reciprocal`, a product and a truncation.
    """
    most = 1 << (QUOTIENT_MOST_DIVISOR + fraction)
    check_domain(protocol, y, low=0 if positive else -most, high=most, what="a division by a secret")
    # x / y 2^f = x f(c) 2^(f + 2 - 4 k)
    up, scale = yield from _scales(
        protocol, y, lambda k: _power(fraction + 2 - 4 * k + QUOTIENT_SHIFT), both_signs=not positive
    )
    value = yield from _approximate(protocol, y, up, _inverse_table(), bits=_INVERSE_BITS)
    part_of_x = yield from loose(protocol).mul(x, value, shift=_INVERSE_BITS)
    return (yield from loose(protocol).mul(part_of_x, scale, shift=QUOTIENT_SHIFT))


def sqrt_(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """The square root of y >= 0."""
    check_domain(protocol, y, low=0, high=1 << _MOST_BITS, what="sqrt")
    half, odd = divmod(fraction, 2)
    shift = 29 - half - odd
    # sqrt(y 2^f) = sqrt(c 2^odd) 2^(2 k - 1 + half)
    up, scale = yield from _scales(protocol, y, lambda k: _power(2 * k - 1 + half + shift - _ROOT_BITS))
    value = yield from _approximate(protocol, y, up, _root_table(odd), bits=_ROOT_BITS)
    return (yield from loose(protocol).mul(value, scale, shift=shift))


def rsqrt(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / sqrt(y) for y >= 0; 0 for 0."""
    check_domain(protocol, y, low=0, high=1 << _MOST_BITS, what="rsqrt")
    half, odd = divmod(3 * fraction, 2)
    shift = 61 - half - odd
    # 2^(3 f / 2) / sqrt(y) = 2^(odd / 2) / sqrt(c) 2^(half + 1 - 2 k)
    up, scale = yield from _scales(protocol, y, lambda k: _power(half + 1 - 2 * k + shift - _INVERSE_BITS))
    value = yield from _approximate(protocol, y, up, _inverse_root_table(odd), bits=_INVERSE_BITS)
    return (yield from loose(protocol).mul(value, scale, shift=shift))


def log_(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """The natural logarithm of y > 0."""
    check_domain(protocol, y, low=1, high=1 << _MOST_BITS, what="log")
    up, octaves = yield from _scales(protocol, y, lambda k: round((4 * k - 2 - fraction) * log(2) * 2**_SCALE))
    value = yield from _looked_up(protocol, y, up, _log_table())
    total = protocol.linear(np.add, value, octaves, shape=y.shape)
    return (yield from protocol.truncate(total, _SCALE - fraction))


def _power(exponent: int) -> int:
    return 1 << exponent if exponent >= 0 else 0


def _scales(
    protocol: MpcProtocol, y: Arithmetic, scale: Callable[[int], int], *, both_signs: bool = False
) -> Generator[Round, Any, tuple[Arithmetic, Arithmetic]]:
    """What brings y to [2^58, 2^62), and scale(k): 0 for y = 0, and for y < 0 unless `both_signs`: then negative."""
    starts = [1, *(1 << (4 * k - 2) for k in _CLASSES[1:])]
    rows = [[1 << (60 - 4 * k), scale(k)] for k in _CLASSES]
    if both_signs:
        bits = yield from protocol.at_least(y, [*(1 - t for t in reversed(starts)), *starts])
        values = [*([-up, -size] for up, size in reversed(rows)), [0, 0], *rows]
    else:
        bits = yield from protocol.at_least(y, starts)
        values = [[0, 0], *rows]
    both = weigh(protocol, (yield from protocol.to_arithmetic(bits)), values=values)
    return part(protocol, both, 0), part(protocol, both, 1)


def _looked_up(
    protocol: MpcProtocol, y: Arithmetic, up: Arithmetic, table: Pieces
) -> Generator[Round, Any, Arithmetic]:
    """f(c), with the table's fraction bits."""
    c = yield from loose(protocol).mul(y, up)
    value = yield from protocol.lookup(protocol.add_public(c, constant(-(1 << _START))), table)
    return part(protocol, value, 0)


def _approximate(
    protocol: MpcProtocol, y: Arithmetic, up: Arithmetic, table: Pieces, *, bits: int
) -> Generator[Round, Any, Arithmetic]:
    value = yield from _looked_up(protocol, y, up, table)
    return (yield from protocol.truncate(value, table.scale - bits))


def _table(function: Real, degree: int) -> Pieces:
    return pieces(function, 1.0, 16.0, degree=degree, unit=1 << _START, scale=_SCALE)


@cache
def _inverse_table() -> Pieces:
    return _table(lambda c: 1 / c, 9)


@cache
def _root_table(odd: int) -> Pieces:
    return _table(lambda c: np.sqrt(c * 2**odd), 6)


@cache
def _inverse_root_table(odd: int) -> Pieces:
    return _table(lambda c: np.sqrt(2**odd / c), 8)


@cache
def _log_table() -> Pieces:
    return _table(np.log, 8)


_UNIT = 2.0**-18
_END = 2.0**44

FUNCTIONS = (
    Function(
        name="reciprocal",
        low=_UNIT,
        high=_END,
        absolute=2**-17,
        relative=1e-5,
        evaluate=reciprocal,
        note="of |y|; 0 for 0",
    ),
    Function(
        name="reciprocal_positive",
        low=_UNIT,
        high=_END,
        absolute=2**-17,
        relative=1e-5,
        evaluate=reciprocal_positive,
        note="0 for 0",
    ),
    Function(name="sqrt", low=0.0, high=_END, absolute=2**-17, relative=1e-5, evaluate=sqrt_),
    Function(name="rsqrt", low=_UNIT, high=_END, absolute=2**-17, relative=1e-5, evaluate=rsqrt, note="0 for 0"),
    Function(name="log", low=_UNIT, high=_END, absolute=2e-5, relative=0.0, evaluate=log_),
)
