# SPDX-License-Identifier: Apache-2.0
"""Exponential, sigmoid, tanh and softplus.

exp: x = 2 k ln 2 + v with |v| <= ln 2; the comparisons that find k also give 4^k, and e^v is a polynomial.
sigmoid and softplus are cubic splines with public knots: the comparisons give the coefficients, while x^2 and x^3 are
computed beside them.
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
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, MpcProtocol
    from jali.mpc.rounds import Round

    Cubic = Sequence[float]

__all__ = ["FUNCTIONS", "exp", "sigmoid", "softplus", "tanh"]

_EXP_WORKING = 24  # fraction bits of v and e^v; the result e^v 4^k stays below 2^62 / 2^18
_LEAST, _MOST = -9, 9  # k: from e^-13.2, which is less than half of 2^-18, to e^13.1
_SPLINE_SCALE = 30  # fraction bits of a cubic's coefficients: |c_3 x^3| < 8, so terms stay below 2^52


def exp(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """e^x for x < 13.1; 0 below -13.2, where it is less than half a unit of the last place.

    Cost: one sign of 19 times the elements, one conversion, 3 + 1 + 1 rounds of products.
    """
    width = 2 * log(2)
    ks = range(_LEAST, _MOST + 1)
    unit = 2**fraction
    high = round((_MOST + 0.5) * width * unit) - 1
    check_domain(protocol, x, low=-(2**62), high=high, what="exp")
    bits = yield from at_least(protocol, x, [round((k - 0.5) * width * unit) for k in ks])
    steps = yield from protocol.to_arithmetic(bits)
    centre_unit = 2**_EXP_WORKING
    rows = [[0, 0], *([round(k * width * centre_unit), 1 << (2 * k + fraction)] for k in ks)]
    both = weigh(protocol, steps, values=rows)
    v = minus(protocol, scaled(protocol, x, 2 ** (_EXP_WORKING - fraction)), part(protocol, both, 0))
    # below the domain v is anything; the scale is exactly 0 there
    free = loose(protocol)
    power = yield from polynomial(free, v, coefficients=tables.EXP, fraction=_EXP_WORKING)
    return (yield from free.mul(power, part(protocol, both, 1), shift=_EXP_WORKING))


def sigmoid(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / (1 + e^-x) for all x, within 2e-4.

    Cost: one sign of 8 times the elements (x^2 and x^3 travel with it), one conversion, one dot product.
    """
    right = [*tables.SIGMOID_CUBICS[1:], (1.0, 0.0, 0.0, 0.0)]
    # sigmoid(-x) = 1 - sigmoid(x)
    left = [(1 - c[0], c[1], -c[2], c[3]) for c in reversed(right)]
    cubics = [*left, tables.SIGMOID_CUBICS[0], *right]
    return (yield from _spline(protocol, x, tables.SIGMOID_KNOTS, cubics=cubics, fraction=fraction))


def softplus(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """log(1 + e^x) for |x| < 2^13, within 3e-4."""
    check_domain(protocol, x, low=-(2 ** (13 + fraction)), high=2 ** (13 + fraction), what="softplus")
    right = [*tables.SOFTPLUS_CUBICS[1:], (0.0, 0.5, 0.0, 0.0)]
    left = [(c[0], -c[1], c[2], -c[3]) for c in reversed(right)]
    even = [*left, tables.SOFTPLUS_CUBICS[0], *right]
    cubics = [(c[0], c[1] + 0.5, c[2], c[3]) for c in even]
    return (yield from _spline(protocol, x, tables.SOFTPLUS_KNOTS, cubics=cubics, fraction=fraction))


def tanh(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """2 sigmoid(2 x) - 1, within 4e-4."""
    half = yield from sigmoid(protocol, scaled(protocol, x, 2), fraction=fraction)
    return protocol.add_public(scaled(protocol, half, 2), np.asarray(np.int64(-(2**fraction)).view(np.uint64)))


def _spline(
    protocol: MpcProtocol, x: Arithmetic, positive_knots: Sequence[float], *, cubics: Sequence[Cubic], fraction: int
) -> Generator[Round, Any, Arithmetic]:
    """A cubic that depends on the interval between the knots -t_n, ..., -t_1, t_1, ..., t_n."""
    knots = [*(-t for t in reversed(positive_knots)), *positive_knots]
    (x,) = yield from settled(protocol, x)
    bits, powers = yield from parallel(
        _steps(protocol, x, [round(t * 2**fraction) for t in knots]), _cube(protocol, x, fraction=fraction)
    )
    rows = [[round(c[0] * 2**fraction), *(round(c[i] * 2**_SPLINE_SCALE) for i in (1, 2, 3))] for c in cubics]
    coefficients = weigh(protocol, bits, values=rows)
    shape, count = x.shape, int(np.prod(x.shape, dtype=np.int64))
    left = protocol.linear(
        lambda c: np.ascontiguousarray(c[1:].reshape(3, count).T).reshape(count, 1, 3),
        coefficients,
        shape=(count, 1, 3),
    )
    product = yield from protocol.dot(left, powers, shift=_SPLINE_SCALE)
    return protocol.linear(lambda p, c: p.reshape(shape) + c[0], product, coefficients, shape=shape)


def _steps(protocol: MpcProtocol, x: Arithmetic, thresholds: Sequence[int]) -> Generator[Round, Any, Arithmetic]:
    bits = yield from at_least(protocol, x, thresholds)
    return (yield from protocol.to_arithmetic(bits))


def _cube(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """x, x^2, x^3 side by side, (n, 3, 1); they may wrap around in the tails, where their coefficients are 0."""
    free = loose(protocol)
    square = yield from free.mul(x, x, shift=fraction)
    cube = yield from free.mul(square, x, shift=fraction)
    count = int(np.prod(x.shape, dtype=np.int64))
    return protocol.linear(_side_by_side, x, square, cube, shape=(count, 3, 1))


def _side_by_side(*powers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.stack([np.reshape(p, -1) for p in powers], axis=1)[:, :, np.newaxis]


FUNCTIONS = (
    Function(
        name="exp",
        low=float("-inf"),
        high=13.1,
        absolute=2**-16,
        relative=2e-6,
        evaluate=exp,
        note="0 below -13.2",
    ),
    Function(name="sigmoid", low=float("-inf"), high=float("inf"), absolute=2e-4, relative=0.0, evaluate=sigmoid),
    Function(name="softplus", low=-(2.0**13), high=2.0**13, absolute=3e-4, relative=0.0, evaluate=softplus),
    Function(name="tanh", low=float("-inf"), high=float("inf"), absolute=4e-4, relative=0.0, evaluate=tanh),
)
