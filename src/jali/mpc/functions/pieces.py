# SPDX-License-Identifier: Apache-2.0
"""What the trigonometric and special functions are made of: polynomials with secret or public coefficients.

A number in a known interval is written as u in [-1, 1] with 28 fraction bits (`WORKING`), the powers of u are computed
side by side, and their weighted sum is truncated once, to the scale of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.basis import loose, minus, part, powers_of, scaled, settled, weigh

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Arithmetic]

__all__ = ["WORKING", "absolute", "in_unit", "keep", "plus", "product", "ring", "series", "shifted", "signed", "spline"]

WORKING = 28
_SCALE = 26  # fraction bits of coefficients, which are below 4: a sum of terms stays below 2^58


def series(
    protocol: MpcProtocol, u: Arithmetic, coefficients: Sequence[float], *, fraction: int, checked: bool = True
) -> Part:
    """Sum of c_i u^i with `fraction` bits, for |u| <= 1 with `WORKING` bits.

    `checked=False` is for arguments that may be anything where the result is dropped.
    Cost: log2(degree) rounds of products, and one truncation.
    """
    side = protocol if checked else loose(protocol)
    powers = yield from powers_of(side, u, degree=len(coefficients) - 1, fraction=WORKING)
    weights = [np.uint64(round(c * 2**_SCALE) % 2**64) for c in coefficients[1:]]
    total = protocol.linear(lambda *p: _weighted(weights, p), *powers, shape=u.shape)
    return (
        yield from side.truncate(
            shifted(protocol, total, round(coefficients[0] * 2 ** (_SCALE + WORKING))), _SCALE + WORKING - fraction
        )
    )


def spline(
    protocol: MpcProtocol,
    x: Arithmetic,
    pieces: Sequence[Sequence[float]],
    *,
    fraction: int,
    low: float,
    high: float,
    tails: tuple[float, float],
) -> Part:
    """The polynomial of the segment of [low, high) that holds x, and a constant on either side.

    The segments are equally wide, a power of two; a row of `pieces` is in u in [-1, 1], lowest power first.
    Cost: one sign of len(pieces) + 1 times the elements and one conversion, log2(degree) rounds of products, and a dot
    product.
    """
    (x,) = yield from settled(protocol, x)
    half = (high - low) / len(pieces) / 2
    knots = [low + 2 * half * k for k in range(len(pieces) + 1)]
    bits = yield from protocol.at_least(x, [round(t * 2**fraction) for t in knots])
    steps = yield from protocol.to_arithmetic(bits)
    degree = len(pieces[0]) - 1
    # u = (x - centre) / half; a tail has all powers times 0
    rows = [[0, round(tails[0] * 2**fraction), *([0] * degree)]]
    for start, row in zip(knots, pieces, strict=False):
        centre = round((start + half) / half * 2**WORKING)
        rows.append([centre, round(row[0] * 2**fraction), *(round(c * 2**_SCALE) for c in row[1:])])
    rows.append([0, round(tails[1] * 2**fraction), *([0] * degree)])
    table = weigh(protocol, steps, values=rows)
    u = minus(protocol, scaled(protocol, x, round(2 ** (WORKING - fraction) / half)), part(protocol, table, 0))
    powers = yield from powers_of(loose(protocol), u, degree=degree, fraction=WORKING)
    return (yield from _chosen(protocol, table, powers, fraction=fraction))


def _chosen(protocol: MpcProtocol, table: Arithmetic, powers: Sequence[Arithmetic], *, fraction: int) -> Part:
    """Row 1 of the table, and the sum of products of the other rows with the powers."""
    shape, degree = powers[0].shape, len(powers)
    count = int(np.prod(shape, dtype=np.int64))
    left = protocol.linear(
        lambda t: np.ascontiguousarray(t[2:].reshape(degree, count).T).reshape(count, 1, degree),
        table,
        shape=(count, 1, degree),
    )
    right = protocol.linear(
        lambda *p: np.stack([np.reshape(a, -1) for a in p], axis=1)[:, :, np.newaxis], *powers, shape=(count, degree, 1)
    )
    product = yield from loose(protocol).dot(left, right, shift=_SCALE + WORKING - fraction)
    return protocol.linear(lambda p, t: p.reshape(shape) + t[1], product, table, shape=shape)


def in_unit(protocol: MpcProtocol, x: Arithmetic, *, low: float, high: float, fraction: int) -> Arithmetic:
    """u in [-1, 1], with `WORKING` bits, for x in [low, high]; local. 2 / (high - low) should need few bits."""
    slope = 2 / (high - low)
    u = scaled(protocol, x, round(slope * 2 ** (WORKING - fraction)))
    return shifted(protocol, u, -round((low + high) / (high - low) * 2**WORKING))


def product(protocol: MpcProtocol, x: Arithmetic, y: Arithmetic, *, bits: int, wanted: int) -> Part:
    """x y, which has `bits` fraction bits, with `wanted` of them. Cost: a product, and a truncation if fewer."""
    if bits >= wanted:
        return (yield from protocol.mul(x, y, shift=bits - wanted))
    exact = yield from protocol.mul(x, y)
    return scaled(protocol, exact, 1 << (wanted - bits))


def absolute(protocol: MpcProtocol, x: Arithmetic) -> Generator[Round, Any, tuple[Boolean, Arithmetic]]:
    """Whether x is negative, and |x|. Cost: a sign and a choice."""
    (x,) = yield from settled(protocol, x)
    negative = yield from protocol.sign(x)
    below = yield from protocol.select(negative, x)
    return negative, minus(protocol, x, scaled(protocol, below, 2))


def signed(protocol: MpcProtocol, negative: Boolean, x: Arithmetic) -> Part:
    """-x where the bit is set, else x. Cost: a choice."""
    turned = yield from protocol.select(negative, x)
    return minus(protocol, x, scaled(protocol, turned, 2))


def keep(protocol: MpcProtocol, bit: Boolean, x: Arithmetic, y: Arithmetic) -> Part:
    """x where the bit is set, else y. Cost: a choice."""
    chosen = yield from protocol.select(bit, minus(protocol, x, y))
    return plus(protocol, chosen, y)


def plus(protocol: MpcProtocol, x: Arithmetic, y: Arithmetic) -> Arithmetic:
    """x + y; local."""
    return protocol.linear(np.add, x, y, shape=x.shape)


def shifted(protocol: MpcProtocol, x: Arithmetic, value: int) -> Arithmetic:
    """x plus a public ring element; local."""
    return protocol.add_public(x, ring(value))


def ring(value: int) -> NDArray[np.uint64]:
    """A whole number as a ring element."""
    return np.asarray(np.uint64(value % 2**64))


def _weighted(weights: Sequence[np.uint64], powers: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    total = powers[0] * weights[0]
    for weight, power in zip(weights[1:], powers[1:], strict=True):
        total += power * weight
    return total
