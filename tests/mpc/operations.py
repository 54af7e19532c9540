# SPDX-License-Identifier: Apache-2.0
"""Each operation of the contract on its own, for tests of costs and of views.

An operation takes one side and the shares of two inputs, `a` (additive or masked, as `prepared` says) and `b`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.tables import octaves, pieces
from jali.mpc.order.radix import sort_by_digits
from jali.mpc.order.sorting import sort_columns
from jali.mpc.rounding import Whole, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

__all__ = ["OPERATIONS", "on_inputs"]


def _sum_of_two(side: Any, a: Any, b: Any) -> Part:
    x, y = (yield from side.mul(a, b)), (yield from side.mul(b, b))
    return side.linear(np.add, x, y, shape=a.shape)


def _fresh(function: Callable[[Any, Any], Part]) -> Callable[[Any, Any, Any], Part]:
    """On the product of the inputs, which m2k holds in additive form."""

    def operation(side: Any, a: Any, b: Any) -> Part:
        return (yield from function(side, (yield from side.mul(a, b))))

    return operation


def _matrix(side: Any, a: Any, b: Any, *, shift: int = 0, wide: bool = False) -> Part:
    n = a.shape[0]
    left = side.linear(lambda x: x.reshape(1, n), a, shape=(1, n))
    right = side.linear(lambda x: np.stack([x, x], axis=1), b, shape=(n, 2))
    return (yield from side.dot(left, right, shift=shift, wide=wide))


def _signs(side: Any, a: Any, b: Any) -> Part:
    return (yield from side.sign(a)), (yield from side.sign(b))


def _conjunction(side: Any, a: Any, b: Any) -> Part:
    s, t = yield from _signs(side, a, b)
    return (yield from side.conjunction(s, t))


def _to_arithmetic(side: Any, a: Any, b: Any) -> Part:
    return (yield from side.to_arithmetic((yield from side.sign(a))))


def _select(side: Any, a: Any, b: Any) -> Part:
    return (yield from side.select((yield from side.sign(a)), (yield from side.mul(b, b))))


_PIECES = pieces(np.tanh, -4.0, 4.0, degree=2, unit=1 << 18)
_OCTAVES = octaves(per_octave=2.0**18)


def _all_of(side: Any, a: Any, b: Any) -> Part:
    return (yield from side.all_of((yield from side.at_least(a, range(5)))))


def _compare(side: Any, a: Any, b: Any) -> Part:
    return (yield from side.compare_with_zero(a))[0]


def _shuffle(side: Any, a: Any, b: Any) -> Part:
    columns = [side.linear(lambda x: x.reshape(5, -1), x, shape=(5, a.shape[0] // 5)) for x in (a, b)]
    return (yield from side.shuffle(*columns))[0]


def _product_first(side: Any, a: Any, b: Any) -> Part:
    product = yield from side.mul(a, b)
    return (yield from _shuffle(side, product, product))


def _sort(side: Any, a: Any, b: Any) -> Part:
    """Rows of 5, by all pairs, whose bits fill words if there are 64 rows."""
    rows = side.linear(lambda x: x.reshape(-1, 5), a, shape=(a.shape[0] // 5, 5))
    return (yield from sort_columns(side, [rows], keys=1))[0]


def _sort_by_bits(side: Any, a: Any, b: Any) -> Part:
    """Rows of 5, by the sign of the first input."""
    shape = (a.shape[0] // 5, 5)
    bit = yield from side.to_arithmetic((yield from side.sign(a)))
    columns = [side.linear(lambda x: x.reshape(shape), x, shape=shape) for x in (bit, b)]
    return (yield from sort_by_digits(side, columns, keys=1))[0]


def _sort_by_digits(side: Any, a: Any, b: Any) -> Part:
    """Rows of 5, by the low four bits of the first input: two digits."""
    shape = (a.shape[0] // 5, 5)
    columns = [side.linear(lambda x: x.reshape(shape), x, shape=shape) for x in (a, b)]
    return (yield from sort_by_digits(side, columns, keys=1, bits=3))[0]


def _truncated(body: Callable[[Any, Any], Part]) -> Callable[[Any, Any, Any], Part]:
    """What is done with the first input, truncated to 10 bits and its sign."""

    def operation(side: Any, a: Any, b: Any) -> Part:
        return (yield from body(side, (yield from side.truncate(a, 18))))

    return operation


def _rounded(side: Any, a: Any, b: Any) -> Part:
    whole = yield from side.mul(a, b)
    return (yield from rounded(side, (yield from side.truncate(whole, 18)), Whole(whole, 18)))


OPERATIONS: dict[str, Callable[[Any, Any, Any], Part]] = {
    "mul": lambda side, a, b: side.mul(a, b),
    "mul of sums": _sum_of_two,
    "mul, shifted": lambda side, a, b: side.mul(a, b, shift=18),
    "square, shifted": lambda side, a, b: side.mul(a, a, shift=18),
    "square of a product": _fresh(lambda side, x: side.mul(x, x)),
    "dot": _matrix,
    "dot, shifted": lambda side, a, b: _matrix(side, a, b, shift=18),
    "mul, wide": lambda side, a, b: side.mul(a, b, shift=18, wide=True),
    "square, wide": lambda side, a, b: side.mul(a, a, shift=18, wide=True),
    "mul, wide, exact": lambda side, a, b: side.mul(a, b, shift=18, wide=True, exact=True),
    "mul, wide, truncated": _truncated(lambda side, x: side.mul(x, x, shift=18, wide=True)),
    "dot, wide": lambda side, a, b: _matrix(side, a, b, shift=18, wide=True),
    "truncate": lambda side, a, b: side.truncate(a, 18),
    "truncate a product": _fresh(lambda side, x: side.truncate(x, 18)),
    "round a product": _rounded,
    "sign": lambda side, a, b: side.sign(a),
    "sign of a product": _fresh(lambda side, x: side.sign(x)),
    "sign of 32 bits": lambda side, a, b: side.sign(a, bits=32),
    "sign of 16 bits": lambda side, a, b: side.sign(a, bits=16),
    "sign of 16 bits, truncated": _truncated(lambda side, x: side.sign(x, bits=16)),
    "is_zero of 32 bits": lambda side, a, b: side.is_zero(a, bits=32),
    "is_zero of 16 bits": lambda side, a, b: side.is_zero(a, bits=16),
    "at_least": lambda side, a, b: side.at_least(a, [-9, 0, 1 << 40]),
    "all_of": _all_of,
    "pieces": lambda side, a, b: side.lookup(a, _PIECES),
    "octaves": lambda side, a, b: side.lookup(a, _OCTAVES),
    "octaves of a product": _fresh(lambda side, x: side.lookup(x, _OCTAVES)),
    "is_zero": lambda side, a, b: side.is_zero(a),
    "conjunction": _conjunction,
    "to_arithmetic": _to_arithmetic,
    "select": _select,
    "compare_with_zero": _compare,
    "shuffle": _shuffle,
    "shuffle of a product": _product_first,
    "sort": _sort,
    "sort by bits": _sort_by_bits,
    "sort by digits": _sort_by_digits,
}


def on_inputs(
    name: str, x: NDArray[np.uint64] | None, y: NDArray[np.uint64] | None, shape: tuple[int, ...]
) -> Callable[[Any], Part]:
    """Share x and y of roles 0 and 1, then run the operation."""

    def operation(side: Any) -> Part:
        a = yield from side.input(x if side.role == 0 else None, 0, shape)
        b = yield from side.input(y if side.role == 1 else None, 1, shape)
        return (yield from OPERATIONS[name](side, a, b))

    return operation
