# SPDX-License-Identifier: Apache-2.0
"""Rules: comparisons, choices, logic, and what is made of them."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import LARGE, aligned, neg, sub, sum_over
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, kind_of, rule
from jali.mpc.lower.views import broadcast, reshape, transpose

__all__ = ["choose", "equal", "less", "not_equal"]


# -- comparisons ----------------------------------------------------------------------------------------------------


def less(build: Builder, x: Operand, y: Operand) -> Operand:
    """x < y: the sign of the difference, exact."""
    if (known := _against_infinity(build, x, y)) is not None:
        return known
    left, right, kind = aligned(build, _finite(x), _finite(y))
    return build.emit("less", [left, right], ValueType(shape=kind.shape, kind="bool"))


def _against_infinity(build: Builder, x: Operand, y: Operand) -> Operand | None:
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    if isinstance(y, Public) and (y.only is not None and np.isinf(y.only)):
        return build.public(np.full(shape, y.only > 0))
    if isinstance(x, Public) and (x.only is not None and np.isinf(x.only)):
        return build.public(np.full(shape, x.only < 0))
    return None


def _finite(x: Operand) -> Operand:
    if isinstance(x, Public) and x.array.dtype.kind == "f":
        return Public(np.clip(x.array, -LARGE, LARGE), x.depth)
    return x


def _holdable(x: Operand) -> Operand:
    """A public side of a choice in numbers that fixed point has: a large one for infinity, 0 for NaN."""
    if isinstance(x, Public) and x.array.dtype.kind == "f":
        return Public(np.clip(np.nan_to_num(x.array, nan=0.0, posinf=LARGE, neginf=-LARGE), -LARGE, LARGE), x.depth)
    return x


def equal(build: Builder, x: Operand, y: Operand) -> Operand:
    """Whether x and y are the same, exact."""
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    if isinstance(x, Secret) and isinstance(y, Secret) and x.value == y.value:
        return build.public(np.ones(shape, np.bool_))
    for public in (x, y):
        if isinstance(public, Public) and public.array.dtype.kind == "f" and not np.any(np.isfinite(public.array)):
            return build.public(np.zeros(shape, np.bool_))
    if _is_bool(x) or _is_bool(y):
        return _not(build, _xor(build, x, y))
    left, right, kind = aligned(build, _finite(x), _finite(y))
    return build.emit("equal", [left, right], ValueType(shape=kind.shape, kind="bool"))


def _is_bool(x: Operand) -> bool:
    return x.type.kind == "bool" if isinstance(x, Secret) else x.array.dtype == np.bool_


@rule("lt", "lt_to")
def _lt(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return less(build, x, y)


@rule("gt")
def _gt(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return less(build, y, x)


@rule("le", "le_to")
def _le(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return _not(build, less(build, y, x))


@rule("ge")
def _ge(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return _not(build, less(build, x, y))


@rule("eq", "eq_to")
def _eq(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return equal(build, x, y)


@rule("ne")
def _ne(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return not_equal(build, x, y)


def not_equal(build: Builder, x: Operand, y: Operand) -> Operand:
    """Whether x and y differ, exact."""
    return _not(build, equal(build, x, y))


@rule("is_finite")
def _is_finite(build: Builder, params: Any, x: Secret) -> Operand:
    return build.public(np.ones(x.shape, np.bool_))


# -- logic ----------------------------------------------------------------------------------------------------------


def _not(build: Builder, x: Operand) -> Operand:
    if isinstance(x, Public):
        return Public(np.logical_not(x.array), x.depth)
    return build.emit("not", [x], x.type)


def _bits(build: Builder, x: Operand, shape: tuple[int, ...]) -> int:
    if isinstance(x, Secret):
        return broadcast(build, x, shape).value
    return build.encoded(x, kind="bool")


def _logic(build: Builder, kind: str, x: Operand, y: Operand) -> Operand:
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    result = ValueType(shape=shape, kind="bool")
    return build.emit(kind, [_bits(build, x, shape), _bits(build, y, shape)], result)


def _xor(build: Builder, x: Operand, y: Operand) -> Operand:
    for one, other in ((x, y), (y, x)):
        if isinstance(one, Public) and isinstance(other, Secret) and one.only in (0, 1):
            return _not(build, other) if one.only else other
    return _logic(build, "xor", x, y)


def _and(build: Builder, x: Operand, y: Operand) -> Operand:
    for one, other in ((x, y), (y, x)):
        if isinstance(one, Public) and one.only in (0, 1):
            return other if one.only else build.public(np.zeros(other.shape, np.bool_))
    return _logic(build, "and", x, y)


@rule("and", "or", "xor")
def _rule_logic(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    from jali.mpc.lower.integers import whole_and, whole_or, whole_xor

    name, dtype = params["__equation__"].primitive.name, params["__equation__"].outvars[0].aval.dtype
    if not (_is_bool(x) or _is_bool(y)):
        return {"and": whole_and, "or": whole_or, "xor": whole_xor}[name](build, x, y, dtype=dtype)
    if name == "or":
        return _not(build, _and(build, _not(build, x), _not(build, y)))
    return _and(build, x, y) if name == "and" else _xor(build, x, y)


@rule("not")
def _rule_not(build: Builder, params: Any, x: Secret) -> Operand:
    from jali.mpc.lower.integers import whole_not

    if x.type.kind != "bool":
        return whole_not(build, x, dtype=params["__equation__"].outvars[0].aval.dtype)
    return _not(build, x)


@rule("reduce_or", "reduce_and")
def _reduce_bits(build: Builder, params: Any, x: Secret) -> Operand:
    """Any: the count of ones is not 0. All: the count of zeros is 0."""
    every = params["__equation__"].primitive.name == "reduce_and"
    counted = _not(build, x) if every else x
    if not isinstance(counted, Secret):
        return counted
    none = equal(build, sum_over(build, counted, tuple(params["axes"])), build.public(np.int64(0)))
    return none if every else _not(build, none)


# -- choices --------------------------------------------------------------------------------------------------------


@rule("select_n")
def _select_n(build: Builder, params: Any, which: Operand, *cases: Operand) -> Operand:
    if isinstance(which, Public) and which.only is not None:
        return cases[int(which.only)]
    if len(cases) == 1:
        return cases[0]
    if len(cases) != 2:
        from jali.mpc.lower.control import among

        return among(build, which, 0, cases)
    return choose(build, which, cases[1], cases[0])


def choose(build: Builder, bit: Operand, x: Operand, y: Operand) -> Operand:
    """x where the bit is 1, else y."""
    if isinstance(x, Secret) and isinstance(y, Secret) and x.value == y.value:
        return x
    shape = tuple(np.broadcast_shapes(bit.shape, x.shape, y.shape))
    if isinstance(x, Public) and isinstance(y, Public) and _is_bool(x):
        x = build.shared(x, ValueType(shape=shape, kind="bool"))
    where = _bits(build, bit, shape)
    if _is_bool(x) or _is_bool(y):
        kind = ValueType(shape=shape, kind="bool")
        first, second = (
            broadcast(build, build.shared(o, msgspec.structs.replace(kind, shape=o.shape)), shape) for o in (x, y)
        )
        return build.emit("select", [where, first, second], kind)
    return _choose_numbers(build, where, x, y, shape=shape)


def _choose_numbers(build: Builder, where: int, x: Operand, y: Operand, *, shape: tuple[int, ...]) -> Operand:
    x, y = _holdable(x), _holdable(y)
    secrets = [o for o in (x, y) if isinstance(o, Secret)]
    kind = secrets[0].type.kind if secrets else kind_of(x.array.dtype)  # type: ignore[union-attr]
    usual = build.fraction if kind == "fixed" else 0
    fraction = max((o.type.fraction for o in secrets), default=usual)
    if kind == "fixed" and any(_needs_room(o, fraction) for o in (x, y)):
        fraction = usual
    result = ValueType(shape=shape, kind=kind, fraction=fraction)
    public_choice = not build.types[where].secret  # then both sides are rearranged, so both must be secret
    values = []
    for o in (x, y):
        if isinstance(o, Secret):
            values.append(build.scaled(broadcast(build, o, shape), fraction).value)
        elif public_choice:
            values.append(
                broadcast(build, build.shared(o, msgspec.structs.replace(result, shape=o.shape)), shape).value
            )
        else:
            values.append(build.encoded(o, kind=kind, fraction=fraction))
    return build.emit("select", [where, *values], result)


def _needs_room(x: Operand, fraction: int) -> bool:
    """Whether a public number is too large for a scale."""
    return isinstance(x, Public) and float(np.max(np.abs(x.array), initial=0.0)) >= 2.0 ** (61 - fraction)


@rule("max")
def _max(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return _extreme(build, x, y, smaller=False)


@rule("min")
def _min(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return _extreme(build, x, y, smaller=True)


def _extreme(build: Builder, x: Operand, y: Operand, *, smaller: bool) -> Operand:
    if _is_bool(x) or _is_bool(y):
        if smaller:
            return _and(build, x, y)
        return _not(build, _and(build, _not(build, x), _not(build, y)))
    if isinstance(x, Public):
        x, y = y, x  # the comparison is then with a public number, and the choice of one secret
    below = less(build, x, y)
    if isinstance(below, Public):  # against infinity
        return x if below.only == smaller else y
    return choose(build, below, x, y) if smaller else choose(build, below, y, x)


@rule("clamp")
def _clamp(build: Builder, params: Any, low: Operand, x: Operand, high: Operand) -> Operand:
    return _extreme(build, _extreme(build, x, low, smaller=False), high, smaller=True)


@rule("abs")
def _abs(build: Builder, params: Any, x: Secret) -> Operand:
    zero = build.public(np.zeros((), np.float64 if x.type.kind == "fixed" else np.int64))
    return choose(build, less(build, x, zero), neg(build, x), x)


@rule("sign")
def _sign(build: Builder, params: Any, x: Secret) -> Operand:
    zero = build.public(np.zeros((), np.float64 if x.type.kind == "fixed" else np.int64))
    target = msgspec.structs.replace(x.type, fraction=build.fraction if x.type.kind == "fixed" else 0)
    above, below = (
        build.emit("convert", [bit], target) if isinstance(bit, Secret) else bit
        for bit in (less(build, zero, x), less(build, x, zero))
    )
    return sub(build, above, below)


@rule("reduce_max")
def _reduce_max(build: Builder, params: Any, x: Secret) -> Operand:
    return _greatest(build, x, tuple(params["axes"]))


@rule("reduce_min")
def _reduce_min(build: Builder, params: Any, x: Secret) -> Operand:
    return neg(build, _greatest(build, neg(build, x), tuple(params["axes"])))


def _greatest(build: Builder, x: Secret, axes: tuple[int, ...]) -> Secret:
    kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    shape = tuple(x.shape[axis] for axis in kept)
    pile = reshape(build, transpose(build, x, (*axes, *kept)), (-1, *shape))
    return build.emit("maximum", [pile], msgspec.structs.replace(x.type, shape=shape), axis=0)


@rule("convert_element_type")
def _convert(build: Builder, params: Any, x: Secret) -> Operand:
    target = kind_of(params["new_dtype"])
    if target == x.type.kind:
        return x
    if target == "bool":
        zero = build.public(np.zeros((), np.float64 if x.type.kind == "fixed" else np.int64))
        return _not(build, equal(build, x, zero))
    if target == "int" and x.type.kind == "fixed":
        from jali.mpc.lower.order import whole

        return whole(build, x)
    fraction = build.fraction if target == "fixed" else 0
    return build.emit("convert", [x], ValueType(shape=x.shape, kind=target, fraction=fraction))
