# SPDX-License-Identifier: Apache-2.0
"""Rules: rounding to whole numbers, and the place of the greatest element."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.ir import ValueType
from jali.mpc.lower import Builder, Operand, Public, Secret, rule
from jali.mpc.lower_arithmetic import add, neg, sub
from jali.mpc.lower_bits import choose, equal, less
from jali.mpc.lower_views import reshape, transpose

__all__ = ["whole"]


# -- rounding -------------------------------------------------------------------------------------------------------


@rule("floor")
def _floor(build: Builder, params: Any, x: Secret) -> Operand:
    return _fixed(build, _floored(build, x))


@rule("ceil")
def _ceil(build: Builder, params: Any, x: Secret) -> Operand:
    return _fixed(build, neg(build, _floored(build, neg(build, x))))


@rule("round")
def _round(build: Builder, params: Any, x: Secret) -> Operand:
    """To the nearest; halves to the even neighbour, or away from zero, as jax is asked."""
    half = build.public(0.5)
    if params["rounding_method"].name != "TO_NEAREST_EVEN":
        negative = less(build, x, build.public(0.0))
        size = _secret(choose(build, negative, neg(build, x), x))
        rounded = _floored(build, _secret(add(build, size, half)))
        return _fixed(build, _secret(choose(build, negative, neg(build, rounded), rounded)))
    up = _floored(build, _secret(add(build, x, half)))
    # x is 1/2 above an even number: rounding up was one too many
    evens = _floored(build, build.emit("rescale", [x], msgspec.structs.replace(x.type, fraction=x.type.fraction + 1)))
    double = build.emit("convert", [evens], msgspec.structs.replace(x.type, fraction=x.type.fraction + 1))
    double = build.emit("rescale", [double], x.type)
    tie = equal(build, sub(build, x, double), half)
    return _fixed(build, _secret(sub(build, up, build.emit("convert", [_secret(tie)], up.type))))


def whole(build: Builder, x: Secret) -> Operand:
    """x without its fraction, towards zero, as a whole number: what `astype(int)` means."""
    negative = less(build, x, build.public(0.0))
    floor = _floored(build, _secret(choose(build, negative, neg(build, x), x)))
    return choose(build, negative, neg(build, floor), floor)


def _floored(build: Builder, x: Secret) -> Secret:
    """The greatest whole number below: a truncation is that or one more, and a comparison says which. Exact."""
    kind = ValueType(shape=x.shape, kind="int")
    near = build.emit("truncate", [x], kind, bits=x.type.fraction)
    above = build.emit("convert", [near], msgspec.structs.replace(kind, kind="fixed", fraction=x.type.fraction))
    too_large = build.emit("convert", [_secret(less(build, x, above))], kind)
    return _secret(sub(build, near, too_large))


def _fixed(build: Builder, x: Secret) -> Secret:
    return build.emit("convert", [x], msgspec.structs.replace(x.type, kind="fixed", fraction=build.fraction))


def _secret(x: Operand) -> Secret:
    if isinstance(x, Public):
        raise UnsupportedOperation("rounding of what turned out to be public")
    return x


# -- order ----------------------------------------------------------------------------------------------------------


@rule("argmax")
def _argmax(build: Builder, params: Any, x: Secret) -> Operand:
    return _place_of_greatest(build, x, axis=int(params["axes"][0]))


@rule("argmin")
def _argmin(build: Builder, params: Any, x: Secret) -> Operand:
    turned = build.emit("not", [x], x.type) if x.type.kind == "bool" else neg(build, x)
    return _place_of_greatest(build, turned, axis=int(params["axes"][0]))


def _place_of_greatest(build: Builder, x: Secret, *, axis: int) -> Operand:
    """A tournament of neighbours that carries places along; the first one wins a tie.

    Cost: log2(n) times a comparison and a choice.
    """
    kept = tuple(k for k in range(len(x.shape)) if k != axis)
    if x.type.kind == "bool":
        x = build.emit("convert", [x], msgspec.structs.replace(x.type, kind="int"))
    pile = transpose(build, x, (axis, *kept))
    count = pile.shape[0]
    numbers = np.broadcast_to(np.arange(count).reshape(-1, *(1,) * len(kept)), pile.shape)
    places: Operand = build.public(np.ascontiguousarray(numbers))
    while (count := pile.shape[0]) > 1:
        first, second = (_every_other(build, pile, k, count - count % 2) for k in (0, 1))
        first_place, second_place = (_every_other(build, places, k, count - count % 2) for k in (0, 1))
        later = less(build, first, second)
        winners, where = choose(build, later, second, first), choose(build, later, second_place, first_place)
        if count % 2:
            winners = _joined(build, winners, _every_other(build, pile, count - 1, count))
            where = _joined(build, where, _every_other(build, places, count - 1, count))
        pile, places = _secret(winners), where
    return reshape(build, places, pile.shape[1:]) if isinstance(places, Secret) else build.public(np.int64(0))


@rule("sort")
def _sort(build: Builder, params: Any, *operands: Operand) -> Operand:
    """Ascending along an axis, by Batcher's network: about log2(n)^2 / 2 comparisons in a row.

    References: K. E. Batcher, Sorting networks and their applications, 1968.
    """
    if len(operands) != 1 or not isinstance(operands[0], Secret):
        raise UnsupportedOperation("sorting of several secret arrays by one of them (argsort, lexsort)")
    axis, x = int(params["dimension"]), operands[0]
    axes = (axis, *(k for k in range(len(x.shape)) if k != axis))
    pile = transpose(build, x, axes)
    for level in _network(pile.shape[0]):
        pile = _exchanged(build, pile, level)
    return transpose(build, pile, tuple(int(k) for k in np.argsort(axes)))


def _network(count: int) -> list[list[tuple[int, int]]]:
    """Pairs that are compared side by side, level by level (merge exchange)."""
    levels = []
    top = 1 << max((count - 1).bit_length() - 1, 0)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            level = [(i, i + d) for i in range(count - d) if i & p == r]
            if level:
                levels.append(level)
            d, q, r = q - p, q >> 1, p
            if q < p:
                break
        p >>= 1
    return levels


def _exchanged(build: Builder, pile: Secret, pairs: list[tuple[int, int]]) -> Secret:
    """The lesser of each pair first."""
    low, high = (_rows(build, pile, [pair[side] for pair in pairs]) for side in (0, 1))
    least = choose(build, less(build, high, low), high, low)
    greatest = sub(build, add(build, low, high), least)
    touched = [i for pair in pairs for i in pair]
    rest = [i for i in range(pile.shape[0]) if i not in touched]
    parts = [least, greatest, *([_rows(build, pile, rest)] if rest else [])]
    joined = parts[0]
    for part in parts[1:]:
        joined = _joined(build, joined, part)
    order = [pair[0] for pair in pairs] + [pair[1] for pair in pairs] + rest
    return _rows(build, _secret(joined), [order.index(i) for i in range(pile.shape[0])])


def _rows(build: Builder, x: Secret, indices: list[int]) -> Secret:
    """Chosen rows of x, in that order."""
    words = np.array(indices, np.int64).view(np.uint64).reshape((1,) * build.depth + (len(indices),))
    result = msgspec.structs.replace(x.type, shape=(len(indices), *x.shape[1:]))
    row = int(np.prod(x.shape[1:], dtype=np.int64))
    return build.emit("rows", [x, build.place(words, kind="int", whole=True)], result, row=row)


def _every_other(build: Builder, x: Operand, start: int, stop: int) -> Operand:
    """Rows start, start + 2, ... below stop."""
    if isinstance(x, Public):
        return Public(x.array[(slice(None),) * x.depth + (slice(start, stop, 2),)], x.depth)
    shape = (len(range(start, stop, 2)), *x.shape[1:])
    rest = tuple(0 for _ in shape[1:])
    return build.emit(
        "view",
        [x],
        msgspec.structs.replace(x.type, shape=shape),
        how="slice",
        start=(start, *rest),
        stop=(stop, *shape[1:]),
        step=(2, *(1 for _ in rest)),
    )


def _joined(build: Builder, x: Operand, y: Operand) -> Operand:
    kind = next(o.type for o in (x, y) if isinstance(o, Secret))
    parts = [build.shared(o, msgspec.structs.replace(kind, shape=o.shape)) for o in (x, y)]
    shape = (parts[0].shape[0] + parts[1].shape[0], *kind.shape[1:])
    return build.emit("concatenate", parts, msgspec.structs.replace(kind, shape=shape), axis=0)
