# SPDX-License-Identifier: Apache-2.0
"""Rules: sorting, of one array or of several by some of them, and the greatest elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.ir import Op, ValueType
from jali.mpc.lower.arithmetic import add, neg, sub
from jali.mpc.lower.bits import choose, less, not_equal
from jali.mpc.lower.bounds import bits_of
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, kind_of, rule
from jali.mpc.lower.public import by_jax
from jali.mpc.lower.views import chosen_rows, joined, reshape, sliced, taken, transpose
from jali.mpc.order.schedule import network, network_is_cheaper

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sorted_by"]


@rule("sort")
def _sort(build: Builder, params: Any, *operands: Operand) -> Sequence[Operand]:
    """Ascending along an axis by the first `num_keys` operands; always stable."""
    axis, keys = int(params["dimension"]), int(params["num_keys"])
    if all(isinstance(x, Public) for x in operands[:keys]):
        return _by_public(build, params["__equation__"], operands, keys=keys)
    return sorted_by(build, operands, keys=keys, axis=axis)


@rule("top_k")
def _top_k(build: Builder, params: Any, x: Secret) -> Sequence[Operand]:
    """The greatest elements along an axis, from the greatest down, and their places; the first of equal ones first."""
    axis, count = int(params.get("axis", -1)) % len(x.shape), int(params["k"])
    places = np.arange(x.shape[axis]).reshape(tuple(-1 if k == axis else 1 for k in range(len(x.shape))))
    values, where = sorted_by(
        build,
        [neg(build, x), build.public(np.ascontiguousarray(np.broadcast_to(places, x.shape)))],
        keys=1,
        axis=axis,
    )
    return [neg(build, _first(build, values, count, axis=axis)), _first(build, where, count, axis=axis)]


def _first(build: Builder, x: Secret, count: int, *, axis: int) -> Secret:
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return sliced(build, x, ((0,) * len(shape), shape, (1,) * len(shape)), shape=shape)


def sorted_by(build: Builder, operands: Sequence[Operand], *, keys: int, axis: int) -> list[Secret]:
    """Arrays of one shape, sorted along an axis by the first `keys` of them; at least one is secret.

    Cost: that of `jali.mpc.order.sorting`, of `jali.mpc.order.bits` if all keys are bits, or of a network for very few
    elements.
    """
    shape = operands[0].shape
    axes = (*(k for k in range(len(shape)) if k != axis), axis)
    batch, count = int(np.prod([shape[k] for k in axes[:-1]], dtype=np.int64)), shape[axis]
    bits = [_kind(x) == "bool" for x in operands]
    numbers = [_number(build, x) for x in operands]
    wide = tuple(shape[k] for k in axes)
    if len(numbers) == 1 and network_is_cheaper(count, batch):
        results = [_by_network(build, transpose(build, numbers[0], (axis, *axes[:-1])), wide)]
    else:
        columns = [reshape(build, transpose(build, x, axes), (batch, count)) for x in numbers]
        how = "bits" if all(bits[:keys]) else "numbers"
        most = max(bits_of(build, x.value) for x in columns[:keys])
        attributes: dict[str, Any] = {"keys": keys, "of": how, "bits": most}
        op = Op(kind="sort", inputs=tuple(x.value for x in columns), attributes=attributes)
        results = build.emit_many(op, [x.type for x in columns])
    back = tuple(int(k) for k in np.argsort(axes))
    placed = [transpose(build, reshape(build, x, wide), back) for x in results]
    return [_as_bits(build, x) if bit else x for x, bit in zip(placed, bits, strict=True)]


def _kind(x: Operand) -> str:
    return x.type.kind if isinstance(x, Secret) else kind_of(x.array.dtype)


def _number(build: Builder, x: Operand) -> Secret:
    """x as a secret number in the usual scale."""
    kind = _kind(x)
    secret = build.shared(x, ValueType(shape=x.shape, kind=kind, fraction=build.fraction if kind == "fixed" else 0))
    if kind != "bool":
        return secret
    return build.emit("convert", [secret], ValueType(shape=x.shape, kind="int"))


def _as_bits(build: Builder, x: Secret) -> Secret:
    bits = not_equal(build, x, build.public(np.int64(0)))
    return build.shared(bits, ValueType(shape=x.shape, kind="bool"))


def _by_public(build: Builder, equation: Any, operands: Sequence[Operand], *, keys: int) -> Sequence[Operand]:
    """Sorting by what everybody knows moves secrets to places that everybody knows."""
    numbered = [
        x if isinstance(x, Public) else build.public(np.arange(1, 1 + x.type.size).reshape(x.shape)) for x in operands
    ]
    found = by_jax(build, equation.primitive, equation.params, operands=numbered)
    return [
        place if isinstance(x, Public) else taken(build, [x], place, shape=x.shape)
        for x, place in zip(operands, found, strict=True)
    ]


# -- very few elements ----------------------------------------------------------------------------------------------


def _by_network(build: Builder, pile: Secret, wide: tuple[int, ...]) -> Secret:
    """The first axis sorted by exchanges in secret, and put last."""
    for level in network(pile.shape[0]):
        pile = _exchanged(build, pile, level)
    return transpose(build, pile, (*range(1, len(wide)), 0))


def _exchanged(build: Builder, pile: Secret, pairs: list[tuple[int, int]]) -> Secret:
    """The lesser of each pair first."""
    low, high = (chosen_rows(build, pile, [pair[side] for pair in pairs]) for side in (0, 1))
    least = choose(build, less(build, high, low), high, low)
    greatest = sub(build, add(build, low, high), least)
    touched = [i for pair in pairs for i in pair]
    rest = [i for i in range(pile.shape[0]) if i not in touched]
    parts = [least, greatest, *([chosen_rows(build, pile, rest)] if rest else [])]
    order = [pair[0] for pair in pairs] + [pair[1] for pair in pairs] + rest
    return chosen_rows(build, joined(build, parts, axis=0), [order.index(i) for i in range(pile.shape[0])])
