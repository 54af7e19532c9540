# SPDX-License-Identifier: Apache-2.0
"""Cosine and sine, arc tangent and arc cosine.

cos: x is counted in turns; what is left after a truncation to whole turns is r in [-1, 1]; cos(pi r / 2) is a
polynomial in r^2, and two doublings of the angle give cos(2 pi r). No comparison is needed: a truncation that is one
too high only changes the sign of r.
"""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

from jali.mpc.functions import constants as tables
from jali.mpc.functions.basis import Function, call, check_domain, loose, minus, scaled, settled
from jali.mpc.functions.pieces import WORKING, absolute, in_unit, plus, product, ring, series, shifted, signed
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Arithmetic]

__all__ = ["FUNCTIONS", "acos", "atan", "atan_unit", "cos", "sin"]

_TURN = 50  # fraction bits of an angle in turns: 2^12 radians are below 2^60
_FARTHEST = 2**12


def cos(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The cosine for |x| < 2^12. Cost: 7 rounds of products and truncations, no comparison."""
    return (yield from _cosine(protocol, x, fraction=fraction, lag=0))


def sin(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The sine for |x| < 2^12: the cosine, a quarter turn behind."""
    return (yield from _cosine(protocol, x, fraction=fraction, lag=1 << (_TURN - 2)))


def _cosine(protocol: MpcProtocol, x: Arithmetic, *, fraction: int, lag: int) -> Part:
    check_domain(protocol, x, low=-(_FARTHEST << fraction), high=_FARTHEST << fraction, what="sin or cos")
    turns = shifted(protocol, scaled(protocol, x, round(2 ** (_TURN - fraction) / (2 * pi))), -lag)
    (turns,) = yield from settled(protocol, turns)
    whole, near = yield from parallel(protocol.truncate(turns, _TURN), protocol.truncate(turns, _TURN - WORKING))
    rest = minus(protocol, near, scaled(protocol, whole, 1 << WORKING))
    square = yield from protocol.mul(rest, rest, shift=WORKING)
    quarter = yield from series(protocol, square, tables.COS_QUARTER, fraction=WORKING)
    half = yield from _doubled(protocol, quarter, WORKING)
    return (yield from _doubled(protocol, half, fraction))


def _doubled(protocol: MpcProtocol, c: Arithmetic, fraction: int) -> Part:
    """cos(2 a) = 2 cos(a)^2 - 1, from `WORKING` bits to `fraction` bits."""
    square = yield from protocol.mul(c, c, shift=2 * WORKING - fraction - 1)
    return shifted(protocol, square, -(1 << fraction))


def atan_unit(protocol: MpcProtocol, z: Arithmetic, *, fraction: int) -> Part:
    """The arc tangent for |z| <= 1: z times a polynomial in z^2."""
    check_domain(protocol, z, low=-(1 << fraction) - 2, high=(1 << fraction) + 3, what="atan_unit")
    return (yield from _atan_unit(protocol, z, fraction=fraction))


def _atan_unit(protocol: MpcProtocol, z: Arithmetic, *, fraction: int) -> Part:
    """The same, where the result may be dropped."""
    side = loose(protocol)
    (z,) = yield from settled(protocol, z)
    square = yield from product(side, z, z, bits=2 * fraction, wanted=WORKING)
    factor = yield from series(protocol, square, tables.ATAN, fraction=WORKING, checked=False)
    return (yield from side.mul(z, factor, shift=WORKING))


def atan(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The arc tangent: that of x, or outside [-1, 1) a quarter turn minus that of 1 / x."""
    (x,) = yield from settled(protocol, x)
    inverse, bits = yield from parallel(
        call("reciprocal", protocol, x, fraction=fraction),
        protocol.at_least(x, [-(1 << fraction), 1 << fraction]),
    )
    above, least = _bit(protocol, bits, 1), _bit(protocol, bits, 0)
    outside = protocol.xor(above, protocol.invert(least))
    swap, steps = yield from parallel(
        protocol.select(outside, minus(protocol, inverse, x)), protocol.to_arithmetic(bits)
    )
    angle = yield from _atan_unit(protocol, plus(protocol, x, swap), fraction=fraction)
    turned = yield from signed(protocol, outside, angle)
    quarter = round(pi / 2 * 2**fraction)  # times 1 above, -1 below, 0 inside
    ends = protocol.linear(lambda b: (b[0] + b[1]) * ring(quarter), steps, shape=x.shape)
    return plus(protocol, turned, shifted(protocol, ends, -quarter))


def _bit(protocol: MpcProtocol, bits: Boolean, index: int) -> Boolean:
    return protocol.permute_bits(lambda b: b[index], bits, shape=bits.shape[1:])


def acos(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Part:
    """The arc cosine for |x| <= 1: sqrt(1 - |x|) times a polynomial, and pi minus that where x < 0.

    References: Abramowitz and Stegun 1964, 4.4.46 (the form; the coefficients are ours).
    """
    one = 1 << fraction
    check_domain(protocol, x, low=-one, high=one + 1, what="asin or acos")
    negative, size = yield from absolute(protocol, x)
    u = in_unit(protocol, size, low=0.0, high=1.0, fraction=fraction)
    root, factor = yield from parallel(
        call("sqrt", protocol, shifted(protocol, scaled(protocol, size, -1), one), fraction=fraction),
        series(protocol, u, tables.ACOS, fraction=WORKING),
    )
    angle = yield from protocol.mul(root, factor, shift=WORKING)
    quarter = round(pi / 2 * 2**fraction)
    turned = yield from signed(protocol, negative, shifted(protocol, angle, -quarter))
    return shifted(protocol, turned, quarter)


FUNCTIONS = (
    Function(name="acos", low=-1.0, high=1.0, absolute=4e-5, relative=0.0, evaluate=acos),
    Function(name="atan", low=-(2.0**44), high=2.0**44, absolute=2e-5, relative=0.0, evaluate=atan),
    Function(name="atan_unit", low=-1.0, high=1.0, absolute=2**-16, relative=0.0, evaluate=atan_unit),
    Function(name="cos", low=-(2.0**12), high=2.0**12, absolute=2**-16, relative=0.0, evaluate=cos),
    Function(name="sin", low=-(2.0**12), high=2.0**12, absolute=2**-16, relative=0.0, evaluate=sin),
)
