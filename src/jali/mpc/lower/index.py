# SPDX-License-Identifier: Apache-2.0
"""Rules: reading and writing at secret places, which are compared with all that there are.

A secret index becomes a row of bits, one for each place where a part of the array can start; several indices make the
product of their rows. What is read is that row times all parts. Nothing depends on where the index points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import SecretIndex, UnsupportedOperation
from jali.mpc.fixed import encode
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, mul, neg, sub, sum_over
from jali.mpc.lower.bits import less, not_equal
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, kind_of, rule
from jali.mpc.lower.places import Layout, arranged
from jali.mpc.lower.scatter import at_public_places, finite
from jali.mpc.lower.views import broadcast, chosen_rows, joined, moved, reshape, sliced, sliced_at, spread, transpose

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__: list[str] = []

_MOST_PLACES = 1 << 24
_MOST_IN_TURN = 64


# -- reading --------------------------------------------------------------------------------------------------------


@rule("gather")
def _gather(build: Builder, params: Any, x: Operand, index: Operand) -> Operand | Sequence[Operand]:
    if isinstance(index, Public):
        return moved(build, params, x, index)
    dims = params["dimension_numbers"]
    layout = Layout(
        shape=x.shape,
        sizes=tuple(params["slice_sizes"]),
        indexed=_ints(dims.start_index_map),
        batch=_ints(dims.operand_batching_dims),
        index_batch=_ints(dims.start_indices_batching_dims),
        dropped=_ints(dims.collapsed_slice_dims),
    )
    fills = "FILL" in str(params["mode"])
    hot = _one_hot(build, layout, layout.indices(build, index), clipped=not fills)
    parts = _picked(build, layout, x, hot)
    if fills:
        parts = _with_fill(build, parts, hot, fill=_fill(params))
    shape = tuple(params["__shapes__"][0])
    found = layout.to_output(build, parts, index.shape[:-1], _ints(dims.offset_dims), shape=shape)
    return _as_kind(build, found, x)


@rule("dynamic_slice")
def _dynamic_slice(build: Builder, params: Any, x: Operand, *starts: Operand) -> Operand:
    if all(isinstance(start, Public) for start in starts):
        return sliced_at(build, params, x, *starts)
    layout, indices = _from_starts(build, x.shape, tuple(params["slice_sizes"]), starts)
    parts = _picked(build, layout, x, _one_hot(build, layout, indices, clipped=True))
    return _as_kind(build, reshape(build, parts, tuple(params["__shapes__"][0])), x)


def _picked(build: Builder, layout: Layout, x: Operand, hot: Secret) -> Secret:
    """The parts that the bits point at. Shapes: hot (b, m, k); the result (b, m, s)."""
    numbers = layout.parts
    if isinstance(x, Secret):
        flat = reshape(build, _number(build, x), (-1,))
        return _weighed(build, hot, reshape(build, chosen_rows(build, flat, numbers.reshape(-1)), numbers.shape))
    lead = x.array.shape[: x.depth]
    return _weighed(build, hot, Public(x.array.reshape((*lead, -1))[..., numbers], x.depth))


def _weighed(build: Builder, hot: Secret, table: Operand) -> Secret:
    """Sums of the rows of a table whose bits are set: (b, m, k) bits and (b, k, s) numbers make (b, m, s)."""
    weights = build.emit("convert", [hot], ValueType(shape=hot.shape, kind="int"))
    shape = (hot.shape[0], hot.shape[1], table.shape[2])
    if isinstance(table, Secret):
        return build.emit("dot", [weights, table], msgspec.structs.replace(table.type, shape=shape), shift=0)
    kind = "fixed" if kind_of(table.array.dtype) == "fixed" else "int"
    fraction = build.fraction if kind == "fixed" else 0
    words = encode(table.array if kind == "fixed" else table.array.astype(np.int64), kind=kind, fraction=fraction)
    known = build.place(words, kind=kind, fraction=fraction, whole=True)
    return build.emit("dot", [weights, known], ValueType(shape=shape, kind=kind, fraction=fraction), shift=0)


def _with_fill(build: Builder, parts: Secret, hot: Secret, *, fill: float) -> Secret:
    """Where no bit is set, what jax fills in."""
    if fill == 0:
        return parts
    found = sum_over(build, hot, (2,))
    outside = build.shared(sub(build, build.public(np.int64(1)), found), found.type)
    wide = broadcast(build, reshape(build, outside, (*found.shape, 1)), parts.shape)
    if parts.type.kind == "fixed":
        wide = build.emit("convert", [wide], parts.type)
    return build.shared(add(build, parts, mul(build, wide, build.public(fill))), parts.type)


def _fill(params: Any) -> float:
    """The number that jax takes outside the array. For fractions that is "not a number", which here is 0."""
    given, dtype = params["fill_value"], params["__equation__"].outvars[0].aval.dtype
    if dtype.kind == "f":
        return 0.0 if given is None or np.isnan(given) else float(given)
    if given is not None:
        return int(given)
    return int(np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max if dtype.kind == "u" else 1)


# -- writing --------------------------------------------------------------------------------------------------------


@rule("scatter", "scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max")
def _scatter(build: Builder, params: Any, x: Operand, index: Operand, updates: Operand) -> Operand | Sequence[Operand]:
    how = params["__equation__"].primitive.name.partition("-")[2]
    if how == "sub":
        how, updates = (
            "add",
            neg(build, updates) if isinstance(updates, Secret) else Public(-updates.array, updates.depth),
        )
    if isinstance(index, Public):
        if not how:
            return moved(build, params, x, index, updates)
        return at_public_places(build, params["__equation__"], (x, index, updates), how=how)
    dims = params["dimension_numbers"]
    batch, dropped = _ints(dims.operand_batching_dims), _ints(dims.inserted_window_dims)
    windows = iter(updates.shape[k] for k in _ints(dims.update_window_dims))
    layout = Layout(
        shape=x.shape,
        sizes=tuple(1 if k in (*dropped, *batch) else next(windows) for k in range(len(x.shape))),
        indexed=_ints(dims.scatter_dims_to_operand_dims),
        batch=batch,
        index_batch=_ints(dims.scatter_indices_batching_dims),
        dropped=dropped,
    )
    hot = _one_hot(build, layout, layout.indices(build, index), clipped="CLIP" in str(params["mode"]))
    given = layout.from_updates(build, updates, index.shape[:-1], _ints(dims.update_window_dims))
    return _written(build, layout, x, hot, given=given, how=how, unique=bool(params["unique_indices"]))


@rule("dynamic_update_slice")
def _dynamic_update_slice(
    build: Builder, params: Any, x: Operand, update: Operand, *starts: Operand
) -> Operand | Sequence[Operand]:
    if all(isinstance(start, Public) for start in starts):
        return moved(build, params, x, update, *starts)
    layout, indices = _from_starts(build, x.shape, update.shape, starts)
    hot = _one_hot(build, layout, indices, clipped=True)
    given = arranged(build, update, tuple(range(len(update.shape))), shape=(1, 1, -1))
    return _written(build, layout, x, hot, given=given, how="", unique=True)


def _written(
    build: Builder, layout: Layout, x: Operand, hot: Secret, *, given: Operand, how: str, unique: bool
) -> Operand:
    """x with what is given put where the bits point. Shapes: hot (b, m, k); given (b, m, s)."""
    flat = reshape(build, _number(build, finite(x) if how in {"min", "max"} else x), (-1,))
    given = _number(build, given) if isinstance(given, Secret) else given
    if how == "add":
        added = _weighed(build, transpose(build, hot, (0, 2, 1)), given)
        spots = layout.parts.reshape(-1)
        result = add(build, flat, spread(build, reshape(build, added, (-1,)), spots, shape=flat.shape))
    else:
        result = _replaced(
            build, flat, *_placed(build, layout, hot, given, size=flat.type.size), how=how, unique=unique
        )
    return _as_kind(build, reshape(build, build.shared(result, flat.type), x.shape), x)


def _placed(build: Builder, layout: Layout, hot: Secret, given: Operand, *, size: int) -> tuple[Secret, Secret]:
    """What each of the m indices writes to each element, and 1 where it writes anything. Shapes: both are (m, size)."""
    batches, count, starts = hot.shape
    parts = layout.parts
    each = reshape(build, hot, (batches * count, starts, 1))
    axes = tuple(range(3))
    written = _weighed(build, each, arranged(build, given, axes, shape=(batches * count, 1, -1)))
    whether = build.emit("convert", [each], ValueType(shape=each.shape, kind="int"))
    offsets = size * np.arange(count)[:, np.newaxis, np.newaxis]
    spots = (parts[:, np.newaxis] + offsets).reshape(-1)  # (b, m, k, s)
    together = [reshape(build, broadcast(build, values, written.shape), (-1,)) for values in (written, whether)]
    value, covered = (
        reshape(build, spread(build, values, spots, shape=(count * size,)), (count, size)) for values in together
    )
    return value, covered


def _replaced(build: Builder, x: Secret, value: Secret, covered: Secret, *, how: str, unique: bool) -> Operand:
    """x with the values of m indices where they cover it. Shapes: x (size,); value and covered (m, size)."""
    count = value.shape[0]
    if how == "" and (unique or count == 1):
        return _covered(build, x, sum_over(build, value, (0,)), sum_over(build, covered, (0,)))
    if how == "mul":
        one = build.public(np.float64(1.0) if x.type.kind == "fixed" else np.int64(1))
        none = build.shared(one, msgspec.structs.replace(x.type, shape=()))
        factors = _covered(build, broadcast(build, none, value.shape), value, covered)
        return _in_turn(build, x, factors, combine=lambda a, b: mul(build, a, b))
    if how == "":
        return _last_of(build, x, value, covered)
    turned = (lambda a: neg(build, a)) if how == "min" else (lambda a: a)
    candidates = _covered(build, broadcast(build, reshape(build, x, (1, -1)), value.shape), value, covered)
    pile = joined(build, [turned(candidates), turned(reshape(build, x, (1, -1)))], axis=0)
    return turned(build.emit("maximum", [pile], x.type, axis=0))


def _covered(build: Builder, x: Secret, value: Secret, covered: Secret) -> Secret:
    """x + value - covered x, where value is 0 if covered is."""
    hidden = build.emit("mul", [x, covered], x.type, shift=0)
    return build.shared(add(build, sub(build, x, hidden), value), x.type)


def _last_of(build: Builder, x: Secret, value: Secret, covered: Secret) -> Secret:
    """Where several indices write to one element the last one stays."""
    _few(value.shape[0])
    for k in range(value.shape[0]):
        row, where = (reshape(build, chosen_rows(build, part, [k]), x.shape) for part in (value, covered))
        x = _covered(build, x, row, where)
    return x


def _in_turn(build: Builder, x: Secret, pile: Secret, *, combine: Any) -> Secret:
    _few(pile.shape[0])
    for k in range(pile.shape[0]):
        x = build.shared(combine(x, reshape(build, chosen_rows(build, pile, [k]), x.shape)), x.type)
    return x


def _few(count: int) -> None:
    if count > _MOST_IN_TURN:
        raise SecretIndex(
            f"{count} secret places are written to one after the other, since two of them may be the same: say "
            "unique_indices=True if they are not, use .add, or sort the updates by place first (jax.lax.sort)"
        )


# -- indices --------------------------------------------------------------------------------------------------------


def _one_hot(build: Builder, layout: Layout, indices: Sequence[Secret], *, clipped: bool) -> Secret:
    """A bit for each start, in the order of `layout.parts`. Shapes: indices (b, m) each; the result (b, m, k)."""
    rows, places = indices[0].type.size, int(np.prod(layout.counts, dtype=np.int64))
    work = rows * max(sum(layout.counts), places)
    if work > _MOST_PLACES:
        raise SecretIndex(
            f"{rows} secret indices into {places} places would be compared with each place, {work} in all, and at most "
            f"{_MOST_PLACES} are: look up fewer at a time, or sort table and indices together (jax.lax.sort) and read "
            "what stands side by side"
        )
    hot = None
    for index, count in zip(indices, layout.counts, strict=True):
        row = build.emit("one_hot", [index], ValueType(shape=(*index.shape, count), kind="bool"))
        row = _with_ends(build, row, index) if clipped else row
        hot = row if hot is None else _outer(build, hot, row)
    if hot is None:
        raise UnsupportedOperation("a secret index without components")
    return hot


def _outer(build: Builder, x: Secret, y: Secret) -> Secret:
    """All products of two rows of bits. Shapes: (b, m, k) and (b, m, l) make (b, m, k l)."""
    b, m, k = x.shape
    pairs = ValueType(shape=(b, m, k, y.shape[2]), kind="bool")
    left = broadcast(build, reshape(build, x, (b, m, k, 1)), pairs.shape)
    right = broadcast(build, reshape(build, y, (b, m, 1, y.shape[2])), pairs.shape)
    return reshape(build, build.emit("and", [left, right], pairs), (b, m, -1))


def _with_ends(build: Builder, row: Secret, index: Secret) -> Secret:
    """The bits of an index that is moved inside, as jax does: what is outside counts for the first or last place.

    Cost: two comparisons beside those of the places, and no round more.
    """
    b, m, count = row.shape
    if count == 1:
        ones = Public(np.ones((1,) * build.depth + row.shape, np.bool_), build.depth)
        return build.shared(ones, row.type)
    outside = [less(build, index, build.public(np.int64(0))), less(build, build.public(np.int64(count - 1)), index)]
    end = ValueType(shape=(b, m, 1), kind="bool")
    parts = []
    for start, bit in zip((0, count - 1), outside, strict=True):
        place = _between(build, row, start, start + 1)
        beyond = reshape(build, build.shared(bit, ValueType(shape=(b, m), kind="bool")), end.shape)
        parts.append(build.emit("xor", [place, beyond], end))
    middle = [_between(build, row, 1, count - 1)] if count > 2 else []
    return joined(build, [parts[0], *middle, parts[1]], axis=2)


def _between(build: Builder, row: Secret, start: int, stop: int) -> Secret:
    b, m, _ = row.shape
    return sliced(build, row, ((0, 0, start), (b, m, stop), (1, 1, 1)), shape=(b, m, stop - start))


def _from_starts(
    build: Builder, shape: tuple[int, ...], sizes: tuple[int, ...], starts: Sequence[Operand]
) -> tuple[Layout, list[Secret]]:
    """Starts that are the same in every iteration are known; the others are indices."""
    known: dict[int, int] = {}
    indices: dict[int, Secret] = {}
    for axis, start in enumerate(starts):
        if isinstance(start, Public) and start.only is not None:
            known[axis] = int(np.clip(start.only, 0, shape[axis] - sizes[axis]))
        else:
            secret = build.shared(start, ValueType(shape=(), kind="int"))
            indices[axis] = reshape(build, secret, (1, 1))
    return Layout(shape=shape, sizes=sizes, indexed=tuple(indices), known=known), list(indices.values())


def _ints(dims: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(k) for k in dims)


# -- kinds ----------------------------------------------------------------------------------------------------------


def _number(build: Builder, x: Operand) -> Secret:
    """x as secret numbers in the usual scale: bits are 0 and 1."""
    kind = x.type.kind if isinstance(x, Secret) else kind_of(x.array.dtype)
    secret = build.shared(x, ValueType(shape=x.shape, kind=kind, fraction=build.fraction if kind == "fixed" else 0))
    return build.emit("convert", [secret], ValueType(shape=x.shape, kind="int")) if kind == "bool" else secret


def _as_kind(build: Builder, found: Secret, x: Operand) -> Operand:
    """Numbers as bits again, if x was an array of bits."""
    if (x.type.kind if isinstance(x, Secret) else kind_of(x.array.dtype)) != "bool":
        return found
    return not_equal(build, found, build.public(np.int64(0)))
