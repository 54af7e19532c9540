# SPDX-License-Identifier: Apache-2.0
"""Windows of an array side by side, for secret and for public arrays: padding, dilation, and a gather of whole rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from jali.mpc.lower.builder import Builder, Operand, Public, Secret
from jali.mpc.lower.views import reshape, transpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["moved_axes", "patches", "shaped"]


def patches(
    build: Builder,
    x: Operand,
    window: tuple[int, ...],
    *,
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    base_dilation: tuple[int, ...],
    window_dilation: tuple[int, ...],
) -> Operand:
    """All windows over the first axes of x, with zeros where they reach over its edge. Local.

    Shapes: x (*spatial, *rest) with len(window) spatial axes; the result is (*positions, *window, *rest).
    """
    rank = len(window)
    rest = x.shape[rank:]
    wide = padded(build, x, padding, base_dilation)
    sizes = wide.shape[:rank]
    index = _window_places(sizes, window, strides=strides, dilation=window_dilation)
    row = int(np.prod(rest, dtype=np.int64))
    taken = _rows(build, shaped(build, wide, (int(np.prod(sizes, dtype=np.int64)), *rest)), index.reshape(-1), row=row)
    return shaped(build, taken, (*index.shape, *rest))


def _window_places(
    sizes: Sequence[int], window: Sequence[int], *, strides: Sequence[int], dilation: Sequence[int]
) -> NDArray[np.int64]:
    """The flat place of each element of each window: (*positions, *window)."""
    rank = len(window)
    places = np.zeros((1,) * (2 * rank), np.int64)
    for axis, (size, width, stride, gap) in enumerate(zip(sizes, window, strides, dilation, strict=True)):
        reach = (width - 1) * gap + 1
        starts = np.arange(max((size - reach) // stride + 1, 0)) * stride
        along = starts[:, np.newaxis] + np.arange(width) * gap
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = along.shape
        places = places * size + along.reshape(shape)
    return places


def padded(build: Builder, x: Operand, padding: Sequence[tuple[int, int]], dilation: Sequence[int]) -> Operand:
    """x with zeros around and between the elements of its first axes; negative padding drops elements."""
    if all(pair == (0, 0) for pair in padding) and all(gap == 1 for gap in dilation):
        return x
    rest = x.shape[len(padding) :]
    low = (*(int(pair[0]) for pair in padding), *(0 for _ in rest))
    interior = (*(int(gap) - 1 for gap in dilation), *(0 for _ in rest))
    sizes = [
        before + after + (max(size - 1, 0) * (gap - 1) + size)
        for size, (before, after), gap in zip(x.shape, padding, dilation, strict=False)
    ]
    shape = (*sizes, *rest)
    if isinstance(x, Secret):
        result = msgspec.structs.replace(x.type, shape=shape)
        return build.emit("view", [x], result, how="pad", low=low, interior=interior)
    from jali.mpc.views import view_function

    lead = x.array.shape[: x.depth]
    fill = view_function({"how": "pad", "low": low, "interior": interior}, shape)
    each = [fill(part) for part in x.array.reshape((-1, *x.shape))]
    return Public(np.stack(each).reshape((*lead, *shape)), x.depth)


def moved_axes(build: Builder, x: Operand, axes: Sequence[int]) -> Operand:
    """x with its axes in another order."""
    order = tuple(int(axis) for axis in axes)
    if isinstance(x, Secret):
        return transpose(build, x, order)
    return Public(x.array.transpose(*range(x.depth), *(x.depth + axis for axis in order)), x.depth)


def shaped(build: Builder, x: Operand, shape: tuple[int, ...]) -> Operand:
    """x with another shape of the same size."""
    if isinstance(x, Secret):
        return reshape(build, x, shape)
    return Public(x.array.reshape((*x.array.shape[: x.depth], *shape)), x.depth)


def _rows(build: Builder, x: Operand, index: NDArray[np.int64], *, row: int) -> Operand:
    """Chosen rows of x, in that order."""
    if isinstance(x, Public):
        return Public(np.take(x.array, index, axis=x.depth), x.depth)
    words = index.view(np.uint64).reshape((*(1,) * build.depth, -1))
    result = msgspec.structs.replace(x.type, shape=(index.size, *x.shape[1:]))
    return build.emit("rows", [x, build.place(words, kind="int", whole=True)], result, row=row)
