# SPDX-License-Identifier: Apache-2.0
"""Rules: secret numbers added, multiplied or compared into an array at places that everybody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.core.extras import need
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, mul
from jali.mpc.lower.bits import choose, less
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, kind_of
from jali.mpc.lower.public import by_jax
from jali.mpc.lower.views import chosen_rows, joined, reshape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Combine = Callable[[Builder, Secret, Secret], Operand]

__all__ = ["at_public_places", "finite"]

_LARGE = 2.0**42  # as in comparisons


def at_public_places(build: Builder, equation: Any, operands: Sequence[Operand], *, how: str) -> Operand:
    """A scatter by `how` ("add", "mul", "min" or "max") with a public index; adding is local."""
    x, index, updates = operands
    if not isinstance(index, Public):
        raise UnsupportedOperation("a scatter whose index is secret")
    if how == "add":
        return _added(build, equation, operands)
    places = _places(build, equation, operands)
    if places.varies:
        raise UnsupportedOperation(f"scatter-{how} at places that depend on the loop around it")
    spots = places.array.reshape(-1).astype(np.int64) - 1
    kept = np.flatnonzero(spots >= 0)
    flat, given = (reshape(build, _secret(build, finite(o)), (-1,)) for o in (x, updates))
    if not kept.size:
        return reshape(build, flat, x.shape)
    combined, targets = _without_duplicates(build, chosen_rows(build, given, kept), spots[kept], combine=_COMBINE[how])
    new = build.shared(_COMBINE[how](build, chosen_rows(build, flat, targets), combined), combined.type)
    sources = np.arange(flat.type.size)
    sources[targets] = flat.type.size + np.arange(targets.size)
    return reshape(build, chosen_rows(build, joined(build, [flat, new], axis=0), sources), x.shape)


def _added(build: Builder, equation: Any, operands: Sequence[Operand]) -> Operand:
    target, index, updates = operands
    if isinstance(updates, Public) and isinstance(index, Public):
        zero = build.public(np.zeros(target.shape, updates.array.dtype))
        return add(
            build, target, by_jax(build, equation.primitive, equation.params, operands=[zero, index, updates])[0]
        )
    places = _places(build, equation, operands)
    numbers = reshape(build, _secret(build, updates), (-1,))
    size = int(np.prod(target.shape, dtype=np.int64))
    words = (places.array.reshape((*places.array.shape[: build.depth], -1)).astype(np.int64) - 1).view(np.uint64)
    result = ValueType(shape=(size,), kind=numbers.type.kind, fraction=numbers.type.fraction)
    total = build.emit("scatter", [numbers, build.place(words, kind="int", whole=True)], result, row=1)
    return add(build, target, reshape(build, total, target.shape))


def _places(build: Builder, equation: Any, operands: Sequence[Operand]) -> Public:
    """Where each element of the updates goes, counted from 1; 0 if nowhere. Found by a gather of element numbers."""
    lax, x, index, updates = need("jax.lax", extra="jax"), *operands
    if not isinstance(index, Public):
        raise UnsupportedOperation("a scatter whose index is secret")
    params, dims = equation.params, equation.params["dimension_numbers"]
    alone = {int(k) for k in (*dims.inserted_window_dims, *dims.operand_batching_dims)}
    windows = iter(updates.shape[int(k)] for k in dims.update_window_dims)
    reading = {
        "dimension_numbers": lax.GatherDimensionNumbers(
            offset_dims=dims.update_window_dims,
            collapsed_slice_dims=dims.inserted_window_dims,
            start_index_map=dims.scatter_dims_to_operand_dims,
            operand_batching_dims=dims.operand_batching_dims,
            start_indices_batching_dims=dims.scatter_indices_batching_dims,
        ),
        "slice_sizes": tuple(1 if k in alone else int(next(windows)) for k in range(len(x.shape))),
        "mode": lax.GatherScatterMode.CLIP if "CLIP" in str(params["mode"]) else lax.GatherScatterMode.FILL_OR_DROP,
        "indices_are_sorted": False,
        "unique_indices": False,
        "fill_value": 0,
    }
    numbers = build.public(np.arange(1, 1 + int(np.prod(x.shape, dtype=np.int64))).reshape(x.shape))
    return by_jax(build, lax.gather_p, reading, operands=[numbers, index])[0]


def _without_duplicates(
    build: Builder, given: Secret, targets: NDArray[np.int64], *, combine: Combine
) -> tuple[Secret, NDArray[np.int64]]:
    """Updates of one element combined two by two, and the elements that are left."""
    order = np.argsort(targets, kind="stable")
    given, targets = chosen_rows(build, given, order), targets[order]
    while targets.size > np.unique(targets).size:
        rank = np.arange(targets.size) - np.searchsorted(targets, targets)
        first = np.flatnonzero((rank % 2 == 0) & np.append(targets[1:] == targets[:-1], [False]))
        alone = np.setdiff1d(np.arange(targets.size), np.concatenate([first, first + 1]))
        pairs = combine(build, chosen_rows(build, given, first), chosen_rows(build, given, first + 1))
        rest = [chosen_rows(build, given, alone)] if alone.size else []
        given = joined(build, [pairs, *rest], axis=0)
        targets = np.concatenate([targets[first], targets[alone]])
        order = np.argsort(targets, kind="stable")
        given, targets = chosen_rows(build, given, order), targets[order]
    return given, targets


def finite(x: Operand) -> Operand:
    """x without infinities: what stands for "nothing yet" in an extreme becomes a number that is beyond all others."""
    if isinstance(x, Public) and x.array.dtype.kind == "f":
        return Public(np.clip(x.array, -_LARGE, _LARGE), x.depth)
    return x


def _secret(build: Builder, x: Operand) -> Secret:
    kind = x.type.kind if isinstance(x, Secret) else kind_of(x.array.dtype)
    return build.shared(x, ValueType(shape=x.shape, kind=kind, fraction=build.fraction if kind == "fixed" else 0))


_COMBINE: dict[str, Combine] = {
    "max": lambda build, x, y: choose(build, less(build, x, y), y, x),
    "min": lambda build, x, y: choose(build, less(build, x, y), x, y),
    "mul": mul,
}
