# SPDX-License-Identifier: Apache-2.0
"""Rearrangements of arrays, as functions of numpy arrays: the same for shares, for bits and for public values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    View = Callable[..., NDArray[Any]]

__all__ = ["rows_of", "scatter_of", "view_function", "window_of"]


def view_function(attributes: Mapping[str, Any], shape: tuple[int, ...]) -> View:
    """The rearrangement that a `view` operation names, with a result of `shape`.

    `how` is reshape; transpose (`axes`); broadcast (`dims`: where each dimension of x goes); slice (`start`, `stop`,
    `step`); reverse (`axes`); or pad (`low`, `high`, `interior`, filled with 0).
    """
    how = attributes["how"]
    if how == "reshape":
        return lambda a: a.reshape(shape)
    if how == "transpose":
        axes = attributes["axes"]
        return lambda a: a.transpose(axes)
    if how == "broadcast":
        return _broadcast(attributes["dims"], shape)
    if how == "slice":
        window = tuple(
            slice(*bounds) for bounds in zip(attributes["start"], attributes["stop"], attributes["step"], strict=True)
        )
        return lambda a: a[window]
    if how == "reverse":
        axes = attributes["axes"]
        return lambda a: np.flip(a, axes)
    if how == "pad":
        return _pad(attributes["low"], attributes["interior"], shape)
    raise InternalError(f"no view is called {how!r}")


def window_of(shape: tuple[int, ...]) -> View:
    """The part of that shape which begins at public start indices, moved inside as jax does."""

    def window(a: NDArray[Any], starts: NDArray[np.uint64]) -> NDArray[Any]:
        first = np.clip(starts.view(np.int64), 0, np.subtract(a.shape, shape))
        return a[tuple(slice(int(low), int(low) + size) for low, size in zip(first, shape, strict=True))]

    return window


def rows_of(row: int, shape: tuple[int, ...]) -> View:
    """Rows of x, seen as a matrix of `row` columns, at public indices."""

    def rows(a: NDArray[Any], index: NDArray[np.uint64]) -> NDArray[Any]:
        return a.reshape(-1, row)[index.view(np.int64).reshape(-1)].reshape(shape)

    return rows


def scatter_of(row: int, shape: tuple[int, ...]) -> View:
    """Rows of x, a matrix of `row` columns, added up at public indices of an array of that shape."""

    def scatter(a: NDArray[Any], index: NDArray[np.uint64]) -> NDArray[Any]:
        places = index.view(np.int64).reshape(-1)
        result = np.zeros((math.prod(shape) // max(1, row), row), a.dtype)
        np.add.at(result, places[places >= 0], a.reshape(-1, row)[places >= 0])
        return result.reshape(shape)

    return scatter


def _broadcast(dims: tuple[int, ...], shape: tuple[int, ...]) -> View:
    def broadcast(a: NDArray[Any]) -> NDArray[Any]:
        wide = [1] * len(shape)
        for dim, size in zip(dims, a.shape, strict=True):
            wide[dim] = size
        return np.array(np.broadcast_to(a.reshape(wide), shape), order="C")

    return broadcast


def _pad(low: tuple[int, ...], interior: tuple[int, ...], shape: tuple[int, ...]) -> View:
    def pad(a: NDArray[Any]) -> NDArray[Any]:
        result = np.zeros(shape, a.dtype)
        target, source = [], []
        for before, gap, size, wide in zip(low, interior, a.shape, shape, strict=True):
            places = before + np.arange(size) * (gap + 1)
            kept = (places >= 0) & (places < wide)  # negative padding drops elements
            target.append(places[kept])
            source.append(np.flatnonzero(kept))
        result[np.ix_(*target)] = a[np.ix_(*source)]
        return result

    return pad
