# SPDX-License-Identifier: Apache-2.0
"""Rules: rounding to whole numbers, and the place of the greatest element."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, neg, sub
from jali.mpc.lower.bits import choose, equal, less
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, rule
from jali.mpc.lower.views import reshape, transpose

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
    upside_down = neg(build, x) if x.type.kind != "bool" else build.emit("not", [x], x.type)
    return _place_of_greatest(build, upside_down, axis=int(params["axes"][0]))


def _place_of_greatest(build: Builder, x: Secret, *, axis: int) -> Operand:
    """A tournament of neighbours that carries places along; the first one wins a tie.

    Cost: log2(n) times a comparison and a choice.
    """
    if x.type.kind == "bool":
        x = build.emit("convert", [x], ValueType(shape=x.shape, kind="int"))
    kept = tuple(k for k in range(len(x.shape)) if k != axis)
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
