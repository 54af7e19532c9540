# SPDX-License-Identifier: Apache-2.0
"""Rules: windows that slide over an array (pooling, and its gradient).

Where each element of a window comes from is public, so taking windows apart and adding them up again is local.
Only the greatest element of a window takes comparisons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, neg, sum_over
from jali.mpc.lower.bits import choose, less
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, rule
from jali.mpc.lower.views import broadcast, chosen_rows, joined, reshape, spread, transpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Places = NDArray[np.int64]

__all__: list[str] = []


# -- sums and extremes ----------------------------------------------------------------------------------------------


@rule("reduce_window_sum")
def _sum(build: Builder, params: Any, x: Secret) -> Operand:
    return _summed(build, params, x)


def _summed(build: Builder, params: Any, x: Secret) -> Secret:
    if x.type.kind == "bool":
        x = build.emit("convert", [x], ValueType(shape=x.shape, kind="int"))
    return _axis_by_axis(build, params, x, _sums)


@rule("reduce_window_max")
def _max(build: Builder, params: Any, x: Secret) -> Operand:
    return _axis_by_axis(build, params, x, _greatest)


@rule("reduce_window_min")
def _min(build: Builder, params: Any, x: Secret) -> Operand:
    return _least(build, params, x)


def _least(build: Builder, params: Any, x: Secret) -> Secret:
    return neg(build, _axis_by_axis(build, params, neg(build, x), _greatest))


@rule("reduce_window")
def _reduce(build: Builder, params: Any, *operands: Operand) -> Operand:
    """With a first value and a function of two numbers, which must be a sum or an extreme."""
    names = [equation.primitive.name for equation in getattr(params["jaxpr"], "jaxpr", params["jaxpr"]).eqns]
    x, first = operands[0], operands[-1]
    if not isinstance(x, Secret) or len(operands) != 2 or names not in (["add"], ["max"], ["min"]):
        raise UnsupportedOperation(
            "a window of secret numbers reduced by another function than add, max or min: write it with those, or take "
            "the windows apart (jnp.stack of shifted slices)"
        )
    if names == ["add"]:
        return add(build, _summed(build, params, x), first)
    smaller = names == ["min"]
    found = _least(build, params, x) if smaller else _axis_by_axis(build, params, x, _greatest)
    below = less(build, found, first)
    if isinstance(below, Public):  # against infinity, which is no number to choose
        return found
    return choose(build, below, found, first) if smaller else choose(build, below, first, found)


def _axis_by_axis(
    build: Builder, params: Any, x: Secret, reduce: Callable[[Builder, Secret, Places], Secret]
) -> Secret:
    """Windows are boxes, so that they can be reduced along one axis after the other."""
    for axis, places in enumerate(_places_of(params, x.shape)):
        if places.shape[0] == 1 and np.array_equal(places[0], np.arange(x.shape[axis])):
            continue
        axes = (axis, *(k for k in range(len(x.shape)) if k != axis))
        x = transpose(build, reduce(build, transpose(build, x, axes), places), tuple(int(k) for k in np.argsort(axes)))
    return x


def _sums(build: Builder, pile: Secret, places: Places) -> Secret:
    target = np.broadcast_to(np.arange(places.shape[1]), places.shape)
    inside = places >= 0
    return spread(
        build, chosen_rows(build, pile, places[inside]), target[inside], shape=(places.shape[1], *pile.shape[1:])
    )


def _greatest(build: Builder, pile: Secret, places: Places) -> Secret:
    """The greatest of each column of places, by a tournament."""
    rows = chosen_rows(build, pile, _filled(places).reshape(-1))
    windows = reshape(build, rows, (*places.shape, *pile.shape[1:]))
    result = ValueType(shape=windows.shape[1:], kind=pile.type.kind, fraction=pile.type.fraction)
    return build.emit("maximum", [windows], result, axis=0)


# -- which element is the greatest ----------------------------------------------------------------------------------


@rule("select_and_gather_add")
def _gathered(build: Builder, params: Any, tangents: Operand, x: Operand) -> Operand:
    """In each window the tangent of the greatest element (the first of several)."""
    if not isinstance(x, Secret):
        raise UnsupportedOperation("a choice of secret numbers by the greatest of public ones: compute its place first")
    places, hot = _champions(build, params, x)
    shared = build.shared(tangents, ValueType(shape=x.shape, kind="fixed", fraction=build.fraction))
    windows = reshape(build, chosen_rows(build, reshape(build, shared, (-1,)), places.reshape(-1)), places.shape)
    chosen = choose(build, hot, windows, build.public(0.0))
    return sum_over(build, build.shared(chosen, windows.type), (0,))


@rule("select_and_scatter_add")
def _scattered(build: Builder, params: Any, source: Operand, x: Operand) -> Operand:
    """What came of each window goes to its greatest element (the first of several)."""
    if not isinstance(x, Secret):
        raise UnsupportedOperation("secret numbers scattered to the greatest of public ones: compute its place first")
    places, hot = _champions(build, params, x)
    shared = build.shared(source, ValueType(shape=source.shape, kind="fixed", fraction=build.fraction))
    chosen = choose(build, hot, broadcast(build, shared, places.shape), build.public(0.0))
    flat = reshape(build, build.shared(chosen, shared.type), (-1,))
    return reshape(build, spread(build, flat, places.reshape(-1), shape=(x.type.size,)), x.shape)


def _champions(build: Builder, params: Any, x: Secret) -> tuple[Places, Secret]:
    """For each window the places of its elements, a power of two, and a bit for each that is set for the greatest.

    Shapes: both are (k, *windows).
    """
    rank = len(x.shape)
    parts = _places_of(params, x.shape)
    places = np.zeros((1,) * 2 * rank, np.int64)
    outside = np.zeros((1,) * 2 * rank, np.bool_)
    for axis, part in enumerate(parts):
        wide = part.reshape(
            tuple(part.shape[0] if k == axis else part.shape[1] if k == rank + axis else 1 for k in range(2 * rank))
        )
        places = places * x.shape[axis] + wide
        outside = outside | (wide < 0)
    windows = tuple(part.shape[1] for part in parts)
    flat = _filled(np.where(outside, -1, places).reshape(-1, *windows))
    count = 1 << (flat.shape[0] - 1).bit_length()
    flat = np.concatenate([flat, np.repeat(flat[:1], count - flat.shape[0], axis=0)])
    ordered = neg(build, x) if str(params["select_prim"]) == "le" else x
    pile = reshape(build, chosen_rows(build, reshape(build, ordered, (-1,)), flat.reshape(-1)), flat.shape)
    return flat, _one_hot_of_greatest(build, pile)


def _one_hot_of_greatest(build: Builder, pile: Secret) -> Secret:
    """A tournament of neighbours that keeps for each element whether it is still in; the first one wins a tie."""
    count, rest = pile.shape[0], pile.shape[1:]
    ones = Public(np.ones((1,) * build.depth + (count, 1, *rest), np.bool_), build.depth)
    hot = build.shared(ones, ValueType(shape=(count, 1, *rest), kind="bool"))
    for level in range(count.bit_length() - 1):
        half = pile.shape[0] // 2
        first, second = (chosen_rows(build, pile, range(k, 2 * half, 2)) for k in (0, 1))
        later = build.shared(less(build, first, second), ValueType(shape=first.shape, kind="bool"))
        pile = build.shared(choose(build, later, second, first), first.type)
        group = ValueType(shape=(half, 1 << level, *rest), kind="bool")
        second_wins = broadcast(build, reshape(build, later, (half, 1, *rest)), group.shape)
        wins = [build.emit("not", [second_wins], group), second_wins]
        if level:
            kept = [chosen_rows(build, hot, range(k, 2 * half, 2)) for k in (0, 1)]
            wins = [build.emit("and", [still, bit], group) for still, bit in zip(kept, wins, strict=True)]
        hot = joined(build, wins, axis=1)
    return reshape(build, hot, (count, *rest))


# -- where elements of windows come from ----------------------------------------------------------------------------


def _places_of(params: Any, shape: tuple[int, ...]) -> list[Places]:
    """For each axis the places that make up each window, (size of the window, number of windows); -1 for padding."""
    ones = (1,) * len(shape)
    base, within = (tuple(params.get(key) or ones) for key in ("base_dilation", "window_dilation"))
    result = []
    for axis, size in enumerate(shape):
        window, stride = params["window_dimensions"][axis], params["window_strides"][axis]
        low, high = (int(n) for n in params["padding"][axis])
        dilated = (size - 1) * base[axis] + 1 if size else 0
        count = (dilated + low + high - ((window - 1) * within[axis] + 1)) // stride + 1
        at = np.arange(window)[:, np.newaxis] * within[axis] + np.arange(max(0, count)) * stride - low
        inside = (at >= 0) & (at < dilated) & (at % base[axis] == 0)
        result.append(np.where(inside, at // base[axis], -1))
    return result


def _filled(places: Places) -> Places:
    """Padding replaced by the first real element of its window, which changes no extreme.

    Raises: UnsupportedOperation if a window has none.
    """
    first = np.argmax(places >= 0, axis=0)
    real = np.take_along_axis(places, first[np.newaxis], axis=0)
    if np.any(real < 0):
        raise UnsupportedOperation("a window over padding alone has no greatest element: use less padding")
    return np.where(places >= 0, places, real)
