# SPDX-License-Identifier: Apache-2.0
"""Equations whose operands everybody knows: evaluated while the program is built, for all iterations at once.

Common elementwise primitives are evaluated by numpy (correctly rounded, so that all parties fold to the same
constants and no compilation is needed); the rest by jax itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.extras import need
from jali.mpc.lower.builder import Builder, Public, library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["by_jax", "fold"]


def _select(which: NDArray[Any], *cases: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.choose(which.astype(np.int64), cases))


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "add_any": np.add,
    "and": np.bitwise_and,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "select_n": _select,
    "sqrt": np.sqrt,
    "square": np.square,
    "stop_gradient": np.asarray,
    "copy": np.asarray,
    "convert_element_type": np.asarray,
    "sub": np.subtract,
}


def fold(build: Builder, equation: Any, operands: Sequence[Public]) -> list[Public]:
    """The results of an equation, as public values.

    Shapes: leading axes (iterations) are broadcast against each other.
    """
    name = equation.primitive.name
    outputs = [v.aval for v in equation.outvars]
    if name in _ELEMENTWISE:
        return [_elementwise(build, _ELEMENTWISE[name], operands, aval=outputs[0])]
    if name == "div" and outputs[0].dtype.kind == "f":
        return [_elementwise(build, np.divide, operands, aval=outputs[0])]
    if name in _MOVES and all(isinstance(x.array, np.ndarray) for x in operands):
        return [_MOVES[name](build, operands, equation.params)]
    if name == "broadcast_in_dim":
        return [_broadcast(operands[0], equation.params, aval=outputs[0], depth=build.depth)]
    if name in {"reshape", "squeeze", "expand_dims"}:
        lead = operands[0].array.shape[: build.depth]
        return [Public(operands[0].array.reshape((*lead, *outputs[0].shape)), build.depth)]
    return by_jax(build, equation.primitive, equation.params, operands=operands)


def _elementwise(build: Builder, function: Callable[..., Any], operands: Sequence[Public], *, aval: Any) -> Public:
    rank = len(aval.shape)
    wide = [x.array.reshape((*x.array.shape[: build.depth], *(1,) * (rank - len(x.shape)), *x.shape)) for x in operands]
    with np.errstate(all="ignore"):  # jax is silent, too
        result = np.asarray(function(*wide))
    lead = result.shape[: build.depth]
    return Public(np.broadcast_to(result, (*lead, *aval.shape)).astype(aval.dtype), build.depth)


def _broadcast(x: Public, params: Any, *, aval: Any, depth: int) -> Public:
    wide = [1] * len(aval.shape)
    for dim, size in zip(params["broadcast_dimensions"], x.shape, strict=True):
        wide[dim] = size
    lead = x.array.shape[:depth]
    return Public(np.broadcast_to(x.array.reshape((*lead, *wide)), (*lead, *aval.shape)), depth)


def _iota(build: Builder, _: Sequence[Public], params: Any) -> Public:
    shape, axis = tuple(params["shape"]), int(params["dimension"])
    along = np.arange(shape[axis], dtype=params["dtype"]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return build.public(np.broadcast_to(along, shape))


def _transposed(build: Builder, operands: Sequence[Public], params: Any) -> Public:
    (x,) = operands
    lead = range(build.depth)
    return Public(x.array.transpose(*lead, *(build.depth + axis for axis in params["permutation"])), build.depth)


def _sliced(build: Builder, operands: Sequence[Public], params: Any) -> Public:
    (x,) = operands
    starts, stops = params["start_indices"], params["limit_indices"]
    window = map(slice, starts, stops, params["strides"] or (1,) * len(starts))
    return Public(x.array[(*(slice(None),) * build.depth, *window)], build.depth)


def _joined(build: Builder, operands: Sequence[Public], params: Any) -> Public:
    lead = np.broadcast_shapes(*(x.array.shape[: build.depth] for x in operands))
    parts = [np.broadcast_to(x.array, (*lead, *x.shape)) for x in operands]
    return Public(np.concatenate(parts, axis=build.depth + int(params["dimension"])), build.depth)


def _reversed(build: Builder, operands: Sequence[Public], params: Any) -> Public:
    (x,) = operands
    return Public(np.flip(x.array, tuple(build.depth + axis for axis in params["dimensions"])), build.depth)


_MOVES: dict[str, Callable[[Builder, Sequence[Public], Any], Public]] = {
    "concatenate": _joined,
    "iota": _iota,
    "rev": _reversed,
    "slice": _sliced,
    "transpose": _transposed,
}


def by_jax(build: Builder, primitive: Any, params: Any, *, operands: Sequence[Public]) -> list[Public]:
    """The results of a jax primitive (none that contains equations), as public values."""
    jax = need("jax", extra="jax")
    lead = np.broadcast_shapes(*(x.array.shape[: build.depth] for x in operands)) if operands else (1,) * build.depth
    count = int(np.prod(lead, dtype=np.int64))
    arrays: list[Any] = []
    axes: list[int | None] = []
    for x in operands:
        varies = count > 1 and x.varies
        axes.append(0 if varies else None)
        stacked = library(x.array).broadcast_to(x.array, (*lead, *x.shape)) if varies else x.array
        arrays.append(_for_jax(jax, stacked.reshape((count, *x.shape) if varies else x.shape)))

    def evaluate(*given: Any) -> list[Any]:
        result = primitive.bind(*given, **params)
        return list(result) if primitive.multiple_results else [result]

    mapped = 0 in axes
    results = jax.vmap(evaluate, in_axes=axes)(*arrays) if mapped else evaluate(*arrays)
    front = lead if mapped else (1,) * build.depth
    return [Public(_for_numpy(r).reshape((*front, *r.shape[1 if mapped else 0 :])), build.depth) for r in results]


def _for_jax(jax: Any, array: Any) -> Any:
    return jax.numpy.asarray(array) if isinstance(array, np.ndarray) else array


def _for_numpy(result: Any) -> Any:
    """As numpy, but for the keys of jax.random, which only jax can hold."""
    return result if not hasattr(result.dtype, "kind") or result.dtype.kind == "O" else np.asarray(result)
