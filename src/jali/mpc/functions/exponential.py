# SPDX-License-Identifier: Apache-2.0
"""Exponential, sigmoid, tanh and softplus: a table inside a window, and two comparisons for what lies outside.

The table and the comparisons work on the same opened number side by side, so all four take the rounds of one
comparison and one choice.
"""

from __future__ import annotations

from functools import cache
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali.mpc.functions.basis import Function, check_domain, constant, loose, part, scaled
from jali.mpc.functions.tables import octaves, pieces
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.functions.tables import Octaves, Pieces
    from jali.mpc.rounds import Round

__all__ = ["FUNCTIONS", "exp", "sigmoid", "softplus", "tanh"]

_LEAST_OCTAVE, _MOST_OCTAVE = -19, 44
_SMALL_BITS, _LARGE_BITS = 39, 18  # fraction bits of the two parts of a power
_SCALE = 52  # fraction bits of a table's result
_SIGMOID_END, _TANH_END, _SOFTPLUS_END = 10.5, 5.6, 11.5


# -- exponential ----------------------------------------------------------------------------------------------------


def exp(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """e^x as long as it fits into the ring; 0 below -13.17, where it is less than half a unit of the last place.

    Cost: a comparison, a truncation and a choice.
    """
    most = min(_MOST_OCTAVE, 62 - fraction) * log(2)
    check_domain(protocol, x, low=-(2**62), high=int(most * 2**fraction), what="exp")
    bits, power = yield from parallel(
        protocol.at_least(x, [round(_LEAST_OCTAVE * log(2) * 2**fraction)]), _power(protocol, x, fraction)
    )
    return (yield from protocol.select(_bit(protocol, bits, 0), power))


def _power(protocol: MpcProtocol, x: Arithmetic, fraction: int) -> Generator[Round, Any, Arithmetic]:
    both = yield from protocol.lookup(x, _octaves(fraction))
    small, large = part(protocol, both, 0), part(protocol, both, 1)
    free = loose(protocol)  # below the domain the power is anything, and the choice drops it
    if fraction >= _LARGE_BITS:
        small = yield from free.truncate(small, _SMALL_BITS - fraction)
        large = scaled(protocol, large, 2 ** (fraction - _LARGE_BITS))
    else:
        small, large = yield from parallel(
            free.truncate(small, _SMALL_BITS - fraction), free.truncate(large, _LARGE_BITS - fraction)
        )
    return protocol.linear(np.add, small, large, shape=x.shape)


@cache
def _octaves(fraction: int) -> Octaves:
    return octaves(per_octave=log(2) * 2**fraction)


# -- what levels off ------------------------------------------------------------------------------------------------


class _Window(NamedTuple):
    """Where x lies, and what the table says there."""

    above_start: Boolean
    above_end: Boolean
    inside: Boolean
    value: Arithmetic


def sigmoid(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """1 / (1 + e^-x) for all x, within 5e-5.

    Cost: two comparisons with public numbers, a truncation and a choice.
    """
    window = yield from _window(protocol, x, _sigmoid_table(fraction), _SIGMOID_END, fraction=fraction)
    value, one = yield from parallel(
        protocol.select(window.inside, window.value), protocol.to_arithmetic(window.above_end)
    )
    unit = np.uint64(1 << fraction)
    return protocol.linear(lambda v, b: v + b * unit, value, one, shape=x.shape)


def tanh(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """tanh x for all x, within 5e-5. Cost: as sigmoid, and a conversion."""
    window = yield from _window(protocol, x, _tanh_table(fraction), _TANH_END, fraction=fraction)
    value, low, high = yield from parallel(
        protocol.select(window.inside, window.value),
        protocol.to_arithmetic(window.above_start),
        protocol.to_arithmetic(window.above_end),
    )
    unit = np.uint64(1 << fraction)
    total = protocol.linear(lambda v, a, b: v + (a + b) * unit, value, low, high, shape=x.shape)
    return protocol.add_public(total, constant(-(1 << fraction)))


def softplus(protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """log(1 + e^x), within 3e-5. Cost: as sigmoid, with a choice in place of the conversion."""
    window = yield from _window(protocol, x, _softplus_table(fraction), _SOFTPLUS_END, fraction=fraction)
    value, line = yield from parallel(
        protocol.select(window.inside, window.value), protocol.select(window.above_end, x)
    )
    return protocol.linear(np.add, value, line, shape=x.shape)


def _window(
    protocol: MpcProtocol, x: Arithmetic, table: Pieces, end: float, *, fraction: int
) -> Generator[Round, Any, _Window]:
    """The table's value for |x| < end, and the bits that say whether x is there."""
    edge = round(end * 2**fraction)
    bits, value = yield from parallel(
        protocol.at_least(x, [-edge, edge]), _looked_up(protocol, x, table, edge=edge, fraction=fraction)
    )
    low, high = _bit(protocol, bits, 0), _bit(protocol, bits, 1)
    return _Window(low, high, protocol.xor(low, high), value)


def _looked_up(
    protocol: MpcProtocol, x: Arithmetic, table: Pieces, *, edge: int, fraction: int
) -> Generator[Round, Any, Arithmetic]:
    value = yield from protocol.lookup(protocol.add_public(x, constant(edge)), table)
    return (yield from protocol.truncate(part(protocol, value, 0), table.scale - fraction))


def _bit(protocol: MpcProtocol, bits: Boolean, index: int) -> Boolean:
    return protocol.permute_bits(lambda a: a[index], bits, shape=bits.shape[1:])


@cache
def _sigmoid_table(fraction: int) -> Pieces:
    end = _SIGMOID_END
    return pieces(lambda x: 0.5 + 0.5 * np.tanh(x / 2), -end, end, degree=6, unit=1 << fraction, scale=_SCALE)


@cache
def _tanh_table(fraction: int) -> Pieces:
    return pieces(np.tanh, -_TANH_END, _TANH_END, degree=6, unit=1 << fraction, scale=_SCALE)


@cache
def _softplus_table(fraction: int) -> Pieces:
    def function(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.logaddexp(0.0, x)

    return pieces(function, -_SOFTPLUS_END, _SOFTPLUS_END, degree=6, unit=1 << fraction, scale=_SCALE)


_EVERYWHERE = (float("-inf"), float("inf"))

FUNCTIONS = (
    Function(
        name="exp",
        low=float("-inf"),
        high=_MOST_OCTAVE * log(2),
        absolute=2**-17,
        relative=2e-5,
        evaluate=exp,
        note="0 below -13.17",
    ),
    Function(name="sigmoid", low=_EVERYWHERE[0], high=_EVERYWHERE[1], absolute=5e-5, relative=0.0, evaluate=sigmoid),
    Function(name="softplus", low=_EVERYWHERE[0], high=_EVERYWHERE[1], absolute=3e-5, relative=0.0, evaluate=softplus),
    Function(name="tanh", low=_EVERYWHERE[0], high=_EVERYWHERE[1], absolute=5e-5, relative=0.0, evaluate=tanh),
)
