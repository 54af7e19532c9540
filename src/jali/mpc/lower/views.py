# SPDX-License-Identifier: Apache-2.0
"""Rules: rearrangements. All are local, for every protocol.

The common ones become a view. Everything else that only moves elements (gather, scatter, dynamic updates, splits, ...)
is asked of jax with element numbers in the place of the data: the numbers that come out say where each element
comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, rule
from jali.mpc.lower.public import by_jax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jali.mpc.ir import ValueType

__all__ = [
    "broadcast",
    "chosen_rows",
    "joined",
    "moved",
    "reshape",
    "sliced",
    "sliced_at",
    "spread",
    "taken",
    "transpose",
]


def reshape(build: Builder, x: Secret, shape: tuple[int, ...]) -> Secret:
    """x with another shape of the same size; one -1 is worked out."""
    if -1 in shape:
        known = -int(np.prod(shape, dtype=np.int64))
        shape = tuple(x.type.size // known if n == -1 else n for n in shape)
    if shape == x.shape:
        return x
    return build.emit("view", [x], _shaped(x, shape), how="reshape")


def transpose(build: Builder, x: Secret, axes: tuple[int, ...]) -> Secret:
    """x with its axes in another order."""
    if axes == tuple(range(len(axes))):
        return x
    return build.emit("view", [x], _shaped(x, tuple(x.shape[axis] for axis in axes)), how="transpose", axes=axes)


def broadcast(build: Builder, x: Secret, shape: tuple[int, ...]) -> Secret:
    """x repeated to a larger shape, by numpy's rules."""
    if shape == x.shape:
        return x
    dims = tuple(range(len(shape) - len(x.shape), len(shape)))
    return build.emit("view", [x], _shaped(x, shape), how="broadcast", dims=dims)


@rule("reshape", "squeeze", "expand_dims")
def _reshape(build: Builder, params: Any, x: Secret) -> Operand:
    if params.get("dimensions") is not None and "new_sizes" in params:
        raise UnsupportedOperation("reshape with an order of dimensions: use jnp.transpose first")
    return reshape(build, x, params["__shapes__"][0])


@rule("transpose")
def _transpose(build: Builder, params: Any, x: Secret) -> Operand:
    return transpose(build, x, tuple(params["permutation"]))


@rule("broadcast_in_dim")
def _broadcast_in_dim(build: Builder, params: Any, x: Secret) -> Operand:
    shape, dims = tuple(params["shape"]), tuple(params["broadcast_dimensions"])
    if shape == x.shape:
        return x
    if x.type.size == int(np.prod(shape, dtype=np.int64)):
        return reshape(build, x, shape)
    return build.emit("view", [x], _shaped(x, shape), how="broadcast", dims=dims)


@rule("slice")
def _slice(build: Builder, params: Any, x: Secret) -> Operand:
    start, stop = tuple(params["start_indices"]), tuple(params["limit_indices"])
    step = tuple(params["strides"] or (1,) * len(start))
    shape = tuple(params["__shapes__"][0])
    return x if shape == x.shape else sliced(build, x, (start, stop, step), shape=shape)


def sliced(build: Builder, x: Secret, bounds: Sequence[tuple[int, ...]], *, shape: tuple[int, ...]) -> Secret:
    """The part of x within `bounds`: where it starts, where it stops and its steps, for each axis."""
    start, stop, step = bounds
    return build.emit("view", [x], _shaped(x, shape), how="slice", start=start, stop=stop, step=step)


def chosen_rows(build: Builder, x: Secret, indices: Sequence[int] | NDArray[np.int64]) -> Secret:
    """Rows of x (along its first axis), in that order."""
    result = msgspec.structs.replace(x.type, shape=(len(indices), *x.shape[1:]))
    row = int(np.prod(x.shape[1:], dtype=np.int64))
    return build.emit("rows", [x, _placed_indices(build, indices)], result, row=row)


def spread(build: Builder, x: Secret, indices: Sequence[int] | NDArray[np.int64], *, shape: tuple[int, ...]) -> Secret:
    """Rows of x added up at places in a result of that shape; a place below 0 drops the row."""
    row = int(np.prod(shape[1:], dtype=np.int64))
    return build.emit("scatter", [x, _placed_indices(build, indices)], _shaped(x, shape), row=row)


def _placed_indices(build: Builder, indices: Sequence[int] | NDArray[np.int64]) -> int:
    words = np.array(indices, np.int64).view(np.uint64).reshape((1,) * build.depth + (len(indices),))
    return build.place(words, kind="int", whole=True)


@rule("rev")
def _rev(build: Builder, params: Any, x: Secret) -> Operand:
    return build.emit("view", [x], x.type, how="reverse", axes=tuple(params["dimensions"]))


@rule("pad")
def _pad(build: Builder, params: Any, x: Operand, value: Operand) -> Operand | Sequence[Operand]:
    if not isinstance(x, Secret) or not isinstance(value, Public) or value.only != 0:
        return moved(build, params, x, value)
    low, _, interior = (tuple(part) for part in zip(*params["padding_config"], strict=True))
    result = _shaped(x, tuple(params["__shapes__"][0]))
    return build.emit("view", [x], result, how="pad", low=low, interior=interior)


@rule("concatenate")
def _concatenate(build: Builder, params: Any, *parts: Operand) -> Operand:
    return joined(build, parts, axis=int(params["dimension"]))


def joined(build: Builder, parts: Sequence[Operand], *, axis: int) -> Secret:
    """Arrays in a row along an axis, in the finest scale of any; at least one must be secret."""
    secrets = [part for part in parts if isinstance(part, Secret)]
    fraction = max(part.type.fraction for part in secrets)
    kind = msgspec.structs.replace(secrets[0].type, fraction=fraction)
    shared = [build.shared(part, msgspec.structs.replace(kind, shape=part.shape)) for part in parts]
    shape = list(shared[0].shape)
    shape[axis] = sum(part.shape[axis] for part in shared)
    return build.emit("concatenate", shared, msgspec.structs.replace(kind, shape=tuple(shape)), axis=axis)


@rule("stack")
def _stack(build: Builder, params: Any, *parts: Operand) -> Operand:
    axis = int(params["axis"])
    shape = tuple(params["__shapes__"][0])
    single = (*shape[:axis], 1, *shape[axis + 1 :])
    wide = [
        reshape(build, part, single)
        if isinstance(part, Secret)
        else Public(part.array.reshape((*part.array.shape[: part.depth], *single)), part.depth)
        for part in parts
    ]
    return joined(build, wide, axis=axis)


def sliced_at(build: Builder, params: Any, x: Operand, *starts: Operand) -> Operand:
    """The part of x that begins at public starts."""
    if not isinstance(x, Secret):
        raise UnsupportedOperation("a slice of what turned out to be public")
    indices = [start for start in starts if isinstance(start, Public)]
    sizes = tuple(params["slice_sizes"])
    if sizes == x.shape:
        return x
    if not any(index.varies for index in indices):
        first = [
            int(np.clip(index.array.flat[0], 0, n - m)) for index, n, m in zip(indices, x.shape, sizes, strict=True)
        ]
        stop = tuple(low + size for low, size in zip(first, sizes, strict=True))
        return sliced(build, x, (tuple(first), stop, (1,) * len(sizes)), shape=sizes)
    lead = np.broadcast_shapes(*(index.array.shape for index in indices))
    together = np.stack([np.broadcast_to(index.array, lead) for index in indices], axis=-1)
    words = np.ascontiguousarray(together, np.int64).view(np.uint64)
    return build.emit("window", [x, build.place(words, kind="int", whole=True)], _shaped(x, sizes))


@rule("tile", "unstack", "split")
def moved(build: Builder, params: Any, *operands: Operand) -> Operand | Sequence[Operand]:
    """A rearrangement found by moving element numbers; indices are public and stay as they are."""
    return _move(build, params["__equation__"], operands)


_FIRST_INDEX = {"gather": 1, "scatter": 1, "dynamic_update_slice": 2}


def _is_index(name: str, position: int) -> bool:
    if name == "scatter":
        return position == 1
    return position >= _FIRST_INDEX.get(name, 1 << 30)


def _move(build: Builder, equation: Any, operands: Sequence[Operand]) -> Operand | list[Operand]:
    name = equation.primitive.name
    data = [operand for i, operand in enumerate(operands) if not _is_index(name, i)]
    offset, numbered = 1, []  # 0 stands for "no element": what jax fills in
    for position, operand in enumerate(operands):
        if _is_index(name, position) and isinstance(operand, Public):
            numbered.append(operand)
            continue
        size = int(np.prod(operand.shape, dtype=np.int64))
        numbered.append(build.public(np.arange(offset, offset + size).reshape(operand.shape)))
        offset += size
    params = {**equation.params, "fill_value": 0} if "fill_value" in equation.params else equation.params
    places = by_jax(build, equation.primitive, params, operands=numbered)
    shapes = [tuple(v.aval.shape) for v in equation.outvars]
    results = [taken(build, data, place, shape=shape) for place, shape in zip(places, shapes, strict=True)]
    return results if len(results) > 1 else results[0]


def taken(build: Builder, data: Sequence[Operand], places: Public, *, shape: tuple[int, ...]) -> Operand:
    """Elements of the flattened and joined data at the numbered places."""
    index = places.array.reshape((*places.array.shape[: build.depth], -1))
    if index.size and int(index.min()) < 1:
        raise UnsupportedOperation("a public index is outside the secret array")
    secrets = [part for part in data if isinstance(part, Secret)]
    if len(data) == 1:
        flat, row = secrets[0], _row_length(index, secrets[0].shape, shape)
    else:
        parts = [_flat(build, part) for part in data]
        flat, row = joined(build, parts, axis=0), 1
    rows = (index[..., ::row] - 1) // row
    words = np.ascontiguousarray(rows, np.int64).view(np.uint64)
    result = _shaped(flat, shape)
    return build.emit("rows", [flat, build.place(words, kind="int", whole=True)], result, row=row)


def _flat(build: Builder, part: Operand) -> Operand:
    if isinstance(part, Secret):
        return reshape(build, part, (-1,))
    return Public(part.array.reshape((*part.array.shape[: part.depth], -1)), part.depth)


def _row_length(index: np.ndarray[Any, Any], source: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """How many elements always move together: the longest whole number of trailing dimensions that do."""
    for axis in range(len(source)):
        row = int(np.prod(source[axis:], dtype=np.int64))
        if row <= 1 or index.shape[-1] % row:
            continue
        blocks = index.reshape((*index.shape[:-1], -1, row))
        together = blocks == blocks[..., :1] + np.arange(row)
        if bool(np.all(together)) and bool(np.all((blocks[..., 0] - 1) % row == 0)):
            return row
    return 1


def _shaped(x: Secret, shape: tuple[int, ...]) -> ValueType:
    return msgspec.structs.replace(x.type, shape=shape)
