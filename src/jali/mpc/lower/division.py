# SPDX-License-Identifier: Apache-2.0
"""Rules: division with a remainder, of whole numbers and of fixed-point numbers; all exact.

A quotient is estimated with a product and a truncation; then the remainder is computed, and comparisons of it with
the divisor say by how much the estimate was off. jax's `div` of whole numbers and `rem` round towards zero; `//` and
`%` are made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, divide, mul, neg, sub
from jali.mpc.lower.bits import choose, less
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, as_secret, rule
from jali.mpc.lower.order import whole
from jali.mpc.lower.views import broadcast, reshape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["quotient"]

_LARGEST_PUBLIC = 1 << 31
_DIGITS = 31  # of the numbers that a secret divides, and of the divisor
_INVERSE_BITS = 28


def quotient(build: Builder, x: Operand, y: Operand) -> Operand:
    """Whole x / y towards zero: |x| < 2^61 for a public y with |y| < 2^31, else |x| and |y| < 2^31.

    Cost: 7 batched comparisons by a public number; 31 and about twenty rounds by a secret one.
    """
    return _divided(build, x, y)[0]


@rule("rem")
def _rem(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    """What is left, with the sign of x."""
    kinds = {o.type.kind for o in (x, y) if isinstance(o, Secret)}
    return _divided(build, x, y)[1] if kinds == {"int"} else _fixed_rem(build, x, y)


def _divided(build: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """The quotient and the remainder."""
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    below, size = _sign_and_size(build, _shared(build, x, shape))
    if isinstance(y, Public):
        found = _by_public(build, size, y)
        flipped: Operand = build.public(np.zeros((), np.bool_))
        negative = Public(y.array < 0, y.depth)
        if np.any(negative.array):
            flipped = negative
    else:
        flipped, divisor = _sign_and_size(build, _shared(build, y, shape))
        found = _by_secret(build, size, divisor)
    share, rest = found
    opposite = _exclusive(build, below, flipped, shape)
    return _turned(build, opposite, share), _turned(build, below, rest)


def _shared(build: Builder, x: Operand, shape: tuple[int, ...]) -> Secret:
    secret = x if isinstance(x, Secret) else build.shared(x, ValueType(shape=x.shape, kind="int"))
    return broadcast(build, secret, shape)


def _sign_and_size(build: Builder, x: Secret) -> tuple[Operand, Secret]:
    negative = less(build, x, build.public(np.int64(0)))
    return negative, as_secret(choose(build, negative, neg(build, x), x))


def _turned(build: Builder, bit: Operand, x: Secret) -> Operand:
    return choose(build, bit, neg(build, x), x)


def _exclusive(build: Builder, bit: Operand, other: Operand, shape: tuple[int, ...]) -> Operand:
    if isinstance(other, Public) and not np.any(other.array):
        return bit
    secret = as_secret(bit)
    second = broadcast(build, other, shape).value if isinstance(other, Secret) else build.encoded(other, kind="bool")
    return build.emit("xor", [secret, second], secret.type)


# -- by a public number ---------------------------------------------------------------------------------------------


def _by_public(build: Builder, x: Secret, y: Public) -> tuple[Secret, Secret]:
    """For 0 <= x < 2^61 = 2^31 high + low: high = q d + r, and then r 2^31 + low is divided by d.

    With M = 2^31 / d and M' = 2^60 / d, rounded, the estimates high M / 2^31 and r M' / 2^29 are at most 2 off, and
    no product reaches 2^62.
    """
    divisor = np.abs(y.array.astype(np.int64))
    if np.any(divisor == 0):
        raise UnsupportedOperation("a secret is divided by a public zero")
    if np.any(divisor >= _LARGEST_PUBLIC):
        raise UnsupportedOperation("secret whole numbers are divided by public ones below 2^31 only: shift them first")
    d = Public(divisor, y.depth)
    if bool(np.all(divisor == 1)):
        return x, _secret_zero(build, x)
    high = _truncated(build, x, 31)
    first = _estimated(build, high, 2.0**31 / divisor, 31, depth=y.depth)
    most = int(divisor.max())
    rest = build.bounded(as_secret(sub(build, high, mul(build, first, d))), -3 * most, 3 * most)
    second = _estimated(build, rest, 2.0**60 / divisor, 29, depth=y.depth)
    low = as_secret(sub(build, x, mul(build, high, build.public(np.int64(1 << 31)))))
    low = build.bounded(low, -(1 << 31), 1 << 31)
    third = _estimated(build, low, 2.0**30 / divisor, 30, depth=y.depth)
    share = as_secret(add(build, add(build, mul(build, first, build.public(np.int64(1 << 31))), second), third))
    return _corrected(build, x, share, d, most=5)


def _estimated(
    build: Builder, x: Secret, factor: np.ndarray[Any, np.dtype[np.float64]], bits: int, *, depth: int
) -> Secret:
    words = Public(np.rint(factor).astype(np.int64), depth)
    return _truncated(build, as_secret(mul(build, x, words)), bits)


def _truncated(build: Builder, x: Secret, bits: int) -> Secret:
    return build.emit("truncate", [x], x.type, bits=bits)


def _secret_zero(build: Builder, x: Secret) -> Secret:
    return build.shared(build.public(np.zeros(x.shape, np.int64)), x.type)


def _corrected(build: Builder, x: Secret, share: Secret, d: Operand, *, most: int) -> tuple[Secret, Secret]:
    """The quotient and the remainder of x, from an estimate that is at most `most` off.

    Cost: one comparison of 2 most + 1 times the elements, a conversion, and the product with the divisor.
    """
    rest = as_secret(sub(build, x, mul(build, share, d)))
    multiples = np.array([*range(-most, 0), *range(1, most + 1), 0], np.int64)
    shape = (len(multiples), *x.shape)
    column = build.public(multiples.reshape(-1, *(1,) * len(x.shape)))
    if isinstance(d, Public):
        lead = d.array.shape[: d.depth]
        wide = d.array.reshape((*lead, 1, *(1,) * (len(x.shape) - len(d.shape)), *d.shape))
        steps: Operand = Public(wide * column.array, d.depth)
    else:
        steps = mul(build, broadcast(build, d, shape), column)
    below = as_secret(less(build, broadcast(build, rest, shape), steps))
    numbers = build.emit("convert", [below], ValueType(shape=shape, kind="int"))
    count = build.emit("sum", [numbers], x.type, axes=(0,))
    # rest >= k d for so many k in -most .. most: most + 1 of them when the estimate is right
    off = as_secret(sub(build, build.public(np.int64(most)), count))
    return as_secret(add(build, share, off)), as_secret(sub(build, rest, mul(build, off, d)))


# -- by a secret number ---------------------------------------------------------------------------------------------


def _by_secret(build: Builder, x: Secret, y: Secret) -> tuple[Secret, Secret]:
    """For 0 <= x < 2^31 and 0 < y < 2^31: twice a product with 1 / c, where y = c 2^j and 1 <= c < 2.

    The first estimate is off by a few units of 2^-25, the second, of what is left, by at most one unit.
    """
    powers = np.array([1 << k for k in range(_DIGITS)], np.int64)
    shape = (_DIGITS, *y.shape)
    column = powers.reshape(-1, *(1,) * len(y.shape))
    below = as_secret(less(build, broadcast(build, y, shape), build.public(column)))
    reached = build.emit("not", [below], below.type)
    steps = build.emit("convert", [reached], ValueType(shape=shape, kind="int"))
    up = _by_exponent(build, steps, [1 << (_DIGITS - 1 - j) for j in range(_DIGITS)], y.type)
    c = _truncated(build, as_secret(mul(build, y, up)), _DIGITS - 1 - _INVERSE_BITS)
    inverse = _inverse(build, c)
    first = _scaled_back(build, x, inverse, up)
    rest = as_secret(sub(build, x, mul(build, first, y)))
    second = _scaled_back(build, rest, inverse, up)
    return _corrected(build, x, as_secret(add(build, first, second)), y, most=3)


def _by_exponent(build: Builder, steps: Secret, values: Sequence[int], kind: ValueType) -> Secret:
    """values[j] where exactly the steps 0 .. j are 1, and 0 where none is; local."""
    differences = np.diff(np.array([0, *values], np.int64)).reshape(-1, *(1,) * (len(steps.shape) - 1))
    weighted = as_secret(mul(build, steps, build.public(differences)))
    return build.emit("sum", [weighted], kind, axes=(0,))


def _inverse(build: Builder, c: Secret) -> Secret:
    """1 / c for 1 <= c < 2, all with 28 fraction bits, as a whole number."""
    flat = reshape(build, c, c.shape or (1,))
    kind = ValueType(shape=flat.shape, kind="fixed", fraction=_INVERSE_BITS)
    value = build.emit("function", [build.emit("rescale", [flat], kind)], kind, name="reciprocal_unit")
    return reshape(build, build.emit("rescale", [value], flat.type), c.shape)


def _scaled_back(build: Builder, x: Secret, inverse: Secret, up: Secret) -> Secret:
    """x / y = (x / c) 2^(30 - j) / 2^30, the first factor with one fraction bit."""
    ratio = _truncated(build, as_secret(mul(build, x, inverse)), _INVERSE_BITS - 1)
    return _truncated(build, as_secret(mul(build, ratio, up)), _DIGITS)


# -- fixed point ----------------------------------------------------------------------------------------------------


def _fixed_rem(build: Builder, x: Operand, y: Operand) -> Operand:
    """x - y trunc(x / y): the quotient's error is mended by comparing the remainder with 0 and with the divisor."""
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    kind = ValueType(shape=shape, kind="fixed", fraction=build.fraction)
    dividend = build.usual(broadcast(build, x, shape)) if isinstance(x, Secret) else None
    if dividend is None:
        dividend = broadcast(build, build.shared(x, msgspec.structs.replace(kind, shape=x.shape)), shape)
    zero = build.public(0.0)
    negative = less(build, dividend, zero)
    size = as_secret(choose(build, negative, neg(build, dividend), dividend))
    divisor: Operand
    if isinstance(y, Public):
        divisor = Public(np.abs(np.asarray(y.array, np.float64)), y.depth)
    else:
        divisor = choose(build, less(build, y, zero), neg(build, y), y)
    whole_part = whole(build, build.usual(as_secret(divide(build, size, divisor))))
    times = build.emit("convert", [as_secret(whole_part)], kind)
    rest = build.usual(as_secret(sub(build, size, mul(build, times, divisor))))
    rest = as_secret(choose(build, less(build, rest, zero), add(build, rest, divisor), rest))
    rest = as_secret(choose(build, less(build, rest, divisor), rest, sub(build, rest, divisor)))
    return choose(build, negative, neg(build, rest), rest)
