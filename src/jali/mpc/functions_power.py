# SPDX-License-Identifier: Apache-2.0
"""Reciprocal, square root, reciprocal square root and logarithm: normalise, approximate, scale back.

y = c 2^j with c in [1, 2): comparisons of y with all powers of two give j as a thermometer code, hence 2^-j as a
linear map of bits; a polynomial of degree 8 gives f(c); and a second map gives the scale of the result.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc import functions_tables as tables
from jali.mpc.functions import (
    Function,
    at_least,
    check_domain,
    loose,
    minus,
    part,
    polynomial,
    scaled,
    settled,
    weigh,
)
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["FUNCTIONS", "log_", "reciprocal", "reciprocal_positive", "rsqrt", "sqrt_"]

_WORKING = 26  # fraction bits of c and f(c): products of two stay below 2^56


def reciprocal(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / y for 2^-12 <= |y| < 2^19; 0 for 0 (so a guarded division needs no special case)."""
    negative = yield from protocol.sign(y)
    size, sign = yield from parallel(_absolute(protocol, negative, y), protocol.to_arithmetic(negative))
    inverse = yield from _reciprocal(protocol, size, fraction=fraction, negative=sign)
    return inverse


def reciprocal_positive(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / y for 2^-12 <= y < 2^19, and 0 for 0: cheaper than `reciprocal` by a comparison and two rounds."""
    return (yield from _reciprocal(protocol, y, fraction=fraction, negative=None))


def _reciprocal(
    protocol: MpcProtocol, y: Arithmetic, *, fraction: int, negative: Arithmetic | None
) -> Generator[Round, Any, Arithmetic]:
    exponents = range(fraction - 12, fraction + 19)
    _check(protocol, y, exponents, what="reciprocal")
    # f(c) has _WORKING bits and 1/y = f(c) 2^(2 fraction - j) / 2^_WORKING
    bits, c = yield from _normalise(protocol, y, exponents)
    scale = _by_exponent(protocol, bits, exponents, lambda j: 1 << (2 * fraction - j))
    if negative is None:
        value = yield from _approximate(protocol, c, tables.RECIPROCAL)
        return (yield from loose(protocol).mul(value, scale, shift=_WORKING))
    value, flipped = yield from parallel(_approximate(protocol, c, tables.RECIPROCAL), protocol.mul(negative, scale))
    signed = minus(protocol, scale, scaled(protocol, flipped, 2))
    return (yield from loose(protocol).mul(value, signed, shift=_WORKING))


def sqrt_(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """The square root for 0 <= y < 2^20."""
    exponents = range(fraction + 20)
    _check(protocol, y, exponents, what="sqrt")
    extra = 6
    bits, c = yield from _normalise(protocol, y, exponents)
    # sqrt(y) 2^fraction = sqrt(c) 2^((j + fraction) / 2)
    scale = _by_exponent(protocol, bits, exponents, lambda j: round(2 ** ((j + fraction) / 2 + extra)))
    value = yield from _approximate(protocol, c, tables.SQRT)
    return (yield from loose(protocol).mul(value, scale, shift=_WORKING + extra))


def rsqrt(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / sqrt(y) for 2^-14 <= y < 2^20; 0 for 0."""
    exponents = range(fraction - 14, fraction + 20)
    _check(protocol, y, exponents, what="rsqrt")
    extra = 8
    bits, c = yield from _normalise(protocol, y, exponents)
    # 2^fraction / sqrt(y) = 2^((3 fraction - j) / 2) / sqrt(c)
    scale = _by_exponent(protocol, bits, exponents, lambda j: round(2 ** ((3 * fraction - j) / 2 + extra)))
    value = yield from _approximate(protocol, c, tables.RSQRT)
    return (yield from loose(protocol).mul(value, scale, shift=_WORKING + extra))


def log_(protocol: MpcProtocol, y: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """The natural logarithm for 2^-18 <= y < 2^20."""
    exponents = range(fraction - 18, fraction + 20)
    check_domain(protocol, y, low=1 << exponents[0], high=1 << (exponents[-1] + 1), what="log")
    bits, c = yield from _normalise(protocol, y, exponents)
    shift = _by_exponent(protocol, bits, exponents, lambda j: round((j - fraction) * log(2) * 2**_WORKING))
    value = yield from _approximate(protocol, c, tables.LOG)
    total = protocol.linear(_plus, value, shift, shape=y.shape)
    return (yield from protocol.truncate(total, _WORKING - fraction))


def _plus(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return a + b


def _check(protocol: MpcProtocol, y: Arithmetic, exponents: range, *, what: str) -> None:
    """The domain without the gap between 0 and the smallest power, which only the tests look at."""
    check_domain(protocol, y, low=0, high=1 << (exponents[-1] + 1), what=what)


def _absolute(protocol: MpcProtocol, negative: Boolean, y: Arithmetic) -> Generator[Round, Any, Arithmetic]:
    below = yield from protocol.select(negative, y)
    return minus(protocol, y, scaled(protocol, below, 2))


def _normalise(
    protocol: MpcProtocol, y: Arithmetic, exponents: range
) -> Generator[Round, Any, tuple[Arithmetic, Arithmetic]]:
    """The thermometer code of j (as numbers), and c = y 2^-j with _WORKING bits; both are 0 below the domain."""
    (y,) = yield from settled(protocol, y)
    bits = yield from at_least(protocol, y, [1 << j for j in exponents])
    steps = yield from protocol.to_arithmetic(bits)
    top = max(exponents[-1], _WORKING)
    up = _by_exponent(protocol, steps, exponents, lambda j: 1 << (top - j))
    c = yield from protocol.mul(y, up, shift=top - _WORKING)
    return steps, c


def _by_exponent(protocol: MpcProtocol, steps: Arithmetic, exponents: range, value: Callable[[int], int]) -> Arithmetic:
    """value(j) where 2^j <= y < 2^(j+1), and 0 below all."""
    return part(protocol, weigh(protocol, steps, values=[[0], *([value(j)] for j in exponents)]), 0)


def _approximate(
    protocol: MpcProtocol, c: Arithmetic, coefficients: Sequence[float]
) -> Generator[Round, Any, Arithmetic]:
    """A polynomial in u = 2 c - 3. Below the domain c is 0 and the result anything: its scale is exactly 0."""
    u = protocol.add_public(scaled(protocol, c, 2), np.asarray(np.int64(-3 << _WORKING).view(np.uint64)))
    return (yield from polynomial(loose(protocol), u, coefficients=coefficients, fraction=_WORKING))


FUNCTIONS = (
    Function(
        name="reciprocal",
        low=2**-12,
        high=2.0**19,
        absolute=2**-16,
        relative=2e-6,
        evaluate=reciprocal,
        note="of |y|; 0 for |y| < 2^-12",
    ),
    Function(
        name="reciprocal_positive",
        low=2**-12,
        high=2.0**19,
        absolute=2**-16,
        relative=2e-6,
        evaluate=reciprocal_positive,
        note="0 below 2^-12",
    ),
    Function(name="sqrt", low=0.0, high=2.0**20, absolute=2**-16, relative=1e-6, evaluate=sqrt_),
    Function(
        name="rsqrt",
        low=2**-14,
        high=2.0**20,
        absolute=2**-16,
        relative=2e-6,
        evaluate=rsqrt,
        note="0 below 2^-14",
    ),
    Function(name="log", low=2**-18, high=2.0**20, absolute=2**-16, relative=0.0, evaluate=log_),
)
