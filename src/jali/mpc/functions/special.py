# SPDX-License-Identifier: Apache-2.0
"""Error function and its inverse, gamma and Bessel functions, and log(1 + x), e^x - 1, 1 / x near known points.

Splines with public knots near the origin; beyond that, series in log(x), 1 / x or 1 / sqrt(x), with the choice between
both computed beside them.
"""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, Any

from jali.mpc.functions import constants as tables
from jali.mpc.functions.basis import Function, call, check_domain, loose, minus, scaled, settled
from jali.mpc.functions.pieces import (
    WORKING,
    absolute,
    in_unit,
    keep,
    plus,
    product,
    series,
    shifted,
    signed,
    spline,
)
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Arithmetic]

__all__ = ["FUNCTIONS"]

_STIRLING = 0.5 * log(2 * pi)


def erf(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The error function of all x: 16 segments of degree 4 on [-4, 4)."""
    return (yield from spline(protocol, x, tables.ERF, fraction=fraction, low=-4.0, high=4.0, tails=(-1.0, 1.0)))


def erf_inv(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The inverse error function for |x| < 1: x times a polynomial in w = -log(1 - x^2), or in its root where w >= 5.

    References: Giles 2010, Approximating the erfinv function (the form; the coefficients are ours).
    """
    one = 1 << fraction
    check_domain(protocol, x, low=1 - one, high=one, what="erf_inv")
    upper, lower = yield from parallel(
        call("log", protocol, shifted(protocol, x, one), fraction=fraction),
        call("log", protocol, shifted(protocol, scaled(protocol, x, -1), one), fraction=fraction),
    )
    # w may come out a few units below 0
    w = shifted(protocol, scaled(protocol, plus(protocol, upper, lower), -1), 8)
    (w,) = yield from settled(protocol, w)
    middle, tail, far = yield from parallel(
        _of_w(protocol, w, fraction=fraction),
        _of_root(protocol, w, fraction=fraction),
        _at_least(protocol, w, 5.0, fraction=fraction),
    )
    factor = yield from keep(protocol, far, tail, middle)
    return (yield from protocol.mul(x, factor, shift=WORKING))


def _of_w(protocol: MpcProtocol, w: Arithmetic, *, fraction: int) -> Part:
    """The polynomial on [0, 16 / 3]; anything above."""
    u = in_unit(protocol, w, low=0.0, high=16 / 3, fraction=fraction)
    return (yield from series(protocol, u, tables.ERF_INV_MIDDLE, fraction=WORKING, checked=False))


def _of_root(protocol: MpcProtocol, w: Arithmetic, *, fraction: int) -> Part:
    """The polynomial in sqrt(w) on [2.1, 3.7]; anything below."""
    root = yield from call("sqrt", protocol, w, fraction=fraction)
    u = in_unit(protocol, root, low=2.1, high=3.7, fraction=fraction)
    return (yield from series(protocol, u, tables.ERF_INV_TAIL, fraction=WORKING, checked=False))


def _at_least(
    protocol: MpcProtocol, x: Arithmetic, threshold: float, *, fraction: int
) -> Generator[Round, Any, Boolean]:
    """Whether x reaches a public number."""
    bits = yield from protocol.at_least(x, [round(threshold * 2**fraction)])
    return protocol.permute_bits(lambda b: b[0], bits, shape=x.shape)


def lgamma(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """log(gamma(x)) for 2^-12 <= x < 2^13: a spline of log(gamma(x + 1)) minus log(x); from 8 on, Stirling's series."""
    check_domain(protocol, x, low=1 << max(fraction - 12, 0), high=1 << (fraction + 13), what="lgamma")
    (x,) = yield from settled(protocol, x)
    logarithm, inverse, near, far = yield from parallel(
        call("log", protocol, x, fraction=fraction),
        call("reciprocal_positive", protocol, x, fraction=fraction),
        spline(protocol, x, tables.LGAMMA, fraction=fraction, low=0.0, high=8.0, tails=(0.0, 0.0)),
        _at_least(protocol, x, 8.0, fraction=fraction),
    )
    # (x - 1/2) log(x) - x + log(2 pi) / 2 + 1 / (12 x), less 1 / (360 x^3) < 2^-17
    rest = yield from protocol.truncate(scaled(protocol, inverse, round(2**20 / 12)), 20)
    stirling = shifted(protocol, minus(protocol, rest, x), round(_STIRLING * 2**fraction))
    factor, summand = yield from parallel(
        protocol.select(far, shifted(protocol, x, 1 << (fraction - 1))), keep(protocol, far, stirling, near)
    )
    product = yield from protocol.mul(shifted(protocol, factor, -(1 << fraction)), logarithm, shift=fraction)
    return plus(protocol, product, summand)


def digamma(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The derivative of `lgamma` for 2^-12 <= x < 2^19: a spline minus 1 / x, or log(x) - 1 / (2 x) - 1 / (12 x^2)."""
    check_domain(protocol, x, low=1 << max(fraction - 12, 0), high=1 << (fraction + 19), what="digamma")
    (x,) = yield from settled(protocol, x)
    logarithm, inverse, near, far = yield from parallel(
        call("log", protocol, x, fraction=fraction),
        call("reciprocal_positive", protocol, x, fraction=fraction),
        spline(protocol, x, tables.DIGAMMA, fraction=fraction, low=0.0, high=8.0, tails=(0.0, 0.0)),
        _at_least(protocol, x, 8.0, fraction=fraction),
    )
    (inverse,) = yield from settled(protocol, inverse)
    square = yield from loose(protocol).mul(inverse, inverse, shift=fraction)
    third = yield from loose(protocol).truncate(
        plus(protocol, scaled(protocol, inverse, 1 << 19), scaled(protocol, square, round(2**20 / 12))), 20
    )
    series_ = minus(protocol, logarithm, third)
    return (yield from keep(protocol, far, series_, minus(protocol, near, inverse)))


def bessel_i0e(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """e^-|x| I_0(x) for |x| <= 2^19."""
    _, size = yield from absolute(protocol, x)
    return (yield from _bessel(protocol, size, tables.BESSEL_I0E, tables.BESSEL_I0E_TAIL, fraction=fraction))


def bessel_i1e(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """e^-|x| I_1(x) for |x| <= 2^19, which is odd."""
    negative, size = yield from absolute(protocol, x)
    value = yield from _bessel(protocol, size, tables.BESSEL_I1E, tables.BESSEL_I1E_TAIL, fraction=fraction)
    return (yield from signed(protocol, negative, value))


def _bessel(
    protocol: MpcProtocol,
    x: Arithmetic,
    pieces: Sequence[Sequence[float]],
    tail: Sequence[float],
    *,
    fraction: int,
) -> Part:
    """A spline on [0, 8); from there on, 1 / sqrt(x) times a polynomial in 8 / x."""
    check_domain(protocol, x, low=0, high=(1 << (fraction + 19)) + 1, what="bessel")
    (x,) = yield from settled(protocol, x)
    near, root, far = yield from parallel(
        spline(protocol, x, pieces, fraction=fraction, low=0.0, high=8.0, tails=(0.0, 0.0)),
        call("rsqrt", protocol, x, fraction=fraction),
        _at_least(protocol, x, 8.0, fraction=fraction),
    )
    (root,) = yield from settled(protocol, root)
    side = loose(protocol)
    # 16 / x - 1
    inverse = yield from product(side, root, root, bits=2 * fraction, wanted=WORKING + 4)
    u = shifted(protocol, inverse, -(1 << WORKING))
    factor = yield from series(protocol, u, tail, fraction=WORKING, checked=False)
    beyond = yield from side.mul(root, factor, shift=WORKING)
    return (yield from keep(protocol, far, beyond, near))


def log1p(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """log(1 + x) for -1 < x < 2^20 - 1: a polynomial for |x| < 1/4."""
    one = 1 << fraction
    (x,) = yield from settled(protocol, x)
    bits, value, near = yield from parallel(
        protocol.at_least(x, [-(one >> 2), one >> 2]),
        call("log", protocol, shifted(protocol, x, one), fraction=fraction),
        _near(protocol, x, tables.LOG1P, half=0.25, fraction=fraction),
    )
    return (yield from keep(protocol, _between(protocol, bits), near, value))


def expm1(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """e^x - 1 for x < 13.1: a polynomial for |x| < 1/2."""
    one = 1 << fraction
    (x,) = yield from settled(protocol, x)
    bits, value, near = yield from parallel(
        protocol.at_least(x, [-(one >> 1), one >> 1]),
        call("exp", protocol, x, fraction=fraction),
        _near(protocol, x, tables.EXPM1, half=0.5, fraction=fraction),
    )
    return (yield from keep(protocol, _between(protocol, bits), near, shifted(protocol, value, -one)))


def _near(protocol: MpcProtocol, x: Arithmetic, coefficients: Sequence[float], *, half: float, fraction: int) -> Part:
    """A polynomial for |x| <= half; anything outside."""
    u = in_unit(protocol, x, low=-half, high=half, fraction=fraction)
    return (yield from series(protocol, u, coefficients, fraction=fraction, checked=False))


def _between(protocol: MpcProtocol, bits: Boolean) -> Boolean:
    """From [x >= low] and [x >= high], whether low <= x < high; local."""
    shape = bits.shape[1:]
    reached, passed = (protocol.permute_bits(lambda b, k=k: b[k], bits, shape=shape) for k in (0, 1))
    return protocol.xor(reached, passed)


def reciprocal_unit(protocol: MpcProtocol, c: Arithmetic, *, fraction: int) -> Part:
    """1 / c for 1 <= c <= 2, without the search for a power of two."""
    return (yield from _of_unit(protocol, c, tables.RECIPROCAL, fraction=fraction, what="reciprocal_unit"))


def rsqrt_unit(protocol: MpcProtocol, c: Arithmetic, *, fraction: int) -> Part:
    """1 / sqrt(c) for 1 <= c <= 2, without the search for a power of two."""
    return (yield from _of_unit(protocol, c, tables.RSQRT, fraction=fraction, what="rsqrt_unit"))


def _of_unit(protocol: MpcProtocol, c: Arithmetic, coefficients: Sequence[float], *, fraction: int, what: str) -> Part:
    unit = 1 << fraction
    slack = unit >> 6  # computed arguments may be a little outside, where the polynomial is as good
    check_domain(protocol, c, low=unit - slack, high=2 * unit + slack, what=what)
    u = in_unit(protocol, c, low=1.0, high=2.0, fraction=fraction)
    return (yield from series(protocol, u, coefficients, fraction=fraction))


FUNCTIONS = (
    Function(name="bessel_i0e", low=-(2.0**19), high=2.0**19, absolute=2e-5, relative=0.0, evaluate=bessel_i0e),
    Function(name="bessel_i1e", low=-(2.0**19), high=2.0**19, absolute=2e-5, relative=0.0, evaluate=bessel_i1e),
    Function(name="digamma", low=2.0**-12, high=2.0**19, absolute=4e-5, relative=1.1e-5, evaluate=digamma),
    Function(name="erf", low=float("-inf"), high=float("inf"), absolute=2e-5, relative=0.0, evaluate=erf),
    Function(name="erf_inv", low=2.0**-18 - 1, high=1.0, absolute=6e-5, relative=0.0, evaluate=erf_inv),
    Function(
        name="expm1",
        low=float("-inf"),
        high=13.1,
        absolute=2**-17,
        relative=4e-5,
        evaluate=expm1,
        note="-1 below -13.2",
    ),
    Function(name="lgamma", low=2.0**-12, high=2.0**13, absolute=4e-5, relative=4e-6, evaluate=lgamma),
    Function(name="log1p", low=2.0**-18 - 1, high=2.0**20 - 1, absolute=2**-17, relative=8e-5, evaluate=log1p),
    Function(name="reciprocal_unit", low=1.0, high=2.0, absolute=2**-17, relative=0.0, evaluate=reciprocal_unit),
    Function(name="rsqrt_unit", low=1.0, high=2.0, absolute=2**-17, relative=0.0, evaluate=rsqrt_unit),
)
