# SPDX-License-Identifier: Apache-2.0
"""Range rules: for every kind of operation, the interval of its result, and what must fit for it to be right.

A rule looks at an operation once and gives a `Transfer`, which maps the intervals of the operands to that of the
result and tells whoever watches what has to fit. Booleans have no interval (None).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from jali.mpc.functions.power import QUOTIENT_MOST_DIVISOR, QUOTIENT_SHIFT
from jali.mpc.ranges import functions as known
from jali.mpc.ranges.gaps import Gap, gap_of
from jali.mpc.ranges.intervals import ANYTHING, RING, Interval, hull, minus, plus, point, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.mpc.ir import Op, Program, ValueType
    from jali.mpc.ranges.facts import Condition, Facts

__all__ = ["KINDS", "Check", "Known", "Transfer", "Watch", "constant_interval", "transfer_of"]

_ROUNDING = 1 - 2.0**-30  # ends of intervals are rounded
HEADROOM = 2.0**62 * _ROUNDING
WIDE_HEADROOM = 2.0**126 * _ROUNDING
WRAP = RING * _ROUNDING
_QUOTIENT_ERROR = 2.0**-15

Known = Interval | None


class Check(NamedTuple):
    """Something that must fit: what it is, where the user wrote it, and the fraction bits that it has."""

    what: str
    source: str
    fraction: int
    limit: float = HEADROOM
    low: float | None = None


class Watch(Protocol):
    """Who is told what must fit."""

    def require(self, check: Check, x: Interval) -> None:
        """|x| < limit, or low <= x < limit where the check says so."""
        ...

    def widens(self, op: Op, z: Interval) -> bool:
        """Whether to take it that a product is made in Z_2^128, from how large it gets before it is truncated."""
        ...


Compute = Callable[["Watch", "Sequence[Known]"], Known]


class Transfer(NamedTuple):
    """From the intervals of the values in `reads` to that of the result.

    `gap` says how large the numbers get that the operation compares with zero, from its operands; None if it does not.
    """

    compute: Compute
    reads: tuple[int, ...]
    gap: Gap | None = None


class _Node(NamedTuple):
    """An operation with the types around it."""

    op: Op
    types: list[ValueType]
    result: ValueType
    facts: Facts

    def check(self, what: str, *, fraction: int | None = None, limit: float = HEADROOM) -> Check:
        """Something of this operation that must fit."""
        return Check(what, self.op.source, self.result.fraction if fraction is None else fraction, limit)

    def integer(self, key: str) -> int:
        """A number among the attributes."""
        value = self.op.attributes.get(key, 0)
        return value if isinstance(value, int) else 0


def transfer_of(op: Op, program: Program, facts: Facts) -> Transfer:
    """The transfer of an operation that is no constant and no loop; one without a rule can give anything."""
    node = _Node(op, [program.types[value] for value in op.inputs], program.types[op.outputs[0]], facts)
    gap = gap_of(op, program)
    if node.result.kind == "bool" and op.kind != "less":
        return Transfer(lambda _, __: None, (), gap)
    condition = facts.condition(op.inputs[0]) if op.kind == "select" else None
    if condition is not None:
        return Transfer(_Branches(node, condition).compute, (*op.inputs, condition.p, condition.q))
    if op.kind not in _RULES:
        return Transfer(lambda _, __: ANYTHING, ())
    return Transfer(_RULES[op.kind](node), op.inputs, gap)


def constant_interval(op: Op) -> Known:
    """From the least to the greatest element of a constant."""
    if op.constant is None or op.constant.bits:
        return None
    words = op.constant.array.view(np.int64)
    return point(float(words.min()), float(words.max())) if words.size else point(0.0)


def _of(x: Known) -> Interval:
    return ANYTHING if x is None else x


# -- sums -----------------------------------------------------------------------------------------------------------


def _checked(node: _Node, what: str) -> Callable[[Watch, Interval], Interval]:
    """Fixed-point numbers must stay in the ring; whole numbers wrap around as numpy's do."""
    check = node.check(what, limit=WRAP)
    if node.result.kind == "fixed":

        def require(watch: Watch, x: Interval) -> Interval:
            watch.require(check, x)
            return x.clipped()

        return require
    return lambda _, x: _wrapped(x)


def _wrapped(x: Interval) -> Interval:
    lost = x.magnitude >= WRAP
    if not lost.any():
        return x
    return Interval(np.where(lost, -RING, x.low), np.where(lost, RING, x.high))


def _add(node: _Node) -> Compute:
    keep = _checked(node, "a sum")
    return lambda watch, v: keep(watch, plus(_of(v[0]), _of(v[1])))


def _sub(node: _Node) -> Compute:
    keep = _checked(node, "a difference")
    below = node.facts.is_below_maximum(node.op)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        gap = minus(_of(v[0]), _of(v[1]))
        return keep(watch, gap.between(-np.inf, 0.0) if below else gap)

    return compute


def _neg(_: _Node) -> Compute:
    return lambda _, v: Interval(-_of(v[0]).high, -_of(v[0]).low).clipped()


def _sum(node: _Node) -> Compute:
    keep = _checked(node, "a sum")
    count = node.types[0].size / max(node.result.size, 1)
    if node.types[0].size == 0:
        return lambda _, __: point(0.0)
    chosen = node.facts.one_of_many(node.op)
    has_one = node.facts.has_the_maximum(node.op)
    least = (1 - 2.0**-10) * 2.0 ** node.types[0].fraction

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        x = _of(v[0])
        if chosen is not None:
            return hull([x, point(0.0)])
        total = x.scaled(count)
        if has_one:
            total = Interval(np.where(x.low >= 0, np.maximum(total.low, least), total.low), total.high)
        return keep(watch, total)

    return compute


def _cumsum(node: _Node) -> Compute:
    keep = _checked(node, "a running sum")
    count = float(node.types[0].shape[node.integer("axis")])
    return lambda watch, v: keep(watch, hull([_of(v[0]), _of(v[0]).scaled(count)]))


# -- products -------------------------------------------------------------------------------------------------------


def _mul(node: _Node) -> Compute:
    return _product(node, "a product", 1.0)


def _dot(node: _Node) -> Compute:
    count = float(node.types[0].shape[-1])
    weights = _weights(node)
    if weights is None:
        return _product(node, "a matrix product", count)
    positive, negative, secret = weights
    keep = _kept(node, "a matrix product")

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        low, high = _of(v[secret])
        return keep(
            watch,
            Interval(
                positive * np.minimum(low, 0) - negative * np.maximum(high, 0),
                positive * np.maximum(high, 0) - negative * np.minimum(low, 0),
            ),
        )

    return compute


def _weights(node: _Node) -> tuple[float, float, int] | None:
    """The greatest sums of positive and of negative weights of a public matrix, and which operand is secret."""
    for public, secret, axis in ((0, 1, -1), (1, 0, -2)):
        op = node.facts.maker(node.op.inputs[public])
        if op is None or op.constant is None:
            continue
        words = op.constant.array.view(np.int64).astype(np.float64)
        if not words.size:
            continue
        positive, negative = (np.maximum(side, 0).sum(axis=axis).max() for side in (words, -words))
        return float(positive), float(negative), secret
    return None


def _product(node: _Node, what: str, count: float) -> Compute:
    keep = _kept(node, what)
    square = node.facts.is_square(node.op)
    quotient = node.facts.quotient(node.op) if node.op.kind == "mul" else None
    side = None if quotient is None else node.op.inputs.index(quotient)
    one = 2.0 ** (node.types[0].fraction + node.types[1].fraction)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        x, y = _of(v[0]), _of(v[1])
        z = _squared(x) if square else times(x, y)
        if side is not None:
            z = _at_most_one(z, (x, y)[side], one=one, fraction=node.types[side].fraction)
        return keep(watch, z.scaled(count) if count > 1 else z)

    return compute


def _squared(x: Interval) -> Interval:
    ends = (x.low * x.low, x.high * x.high)
    least = np.where((x.low <= 0) & (x.high >= 0), 0.0, np.minimum(*ends))
    return Interval(least, np.maximum(*ends))


def _at_most_one(z: Interval, x: Interval, *, one: float, fraction: int) -> Interval:
    """x / sum(x) for x that are not negative; the inverse has an error, which x multiplies."""
    most = one * (1 + _QUOTIENT_ERROR * (1 + x.high * 2.0**-fraction))
    positive = x.low >= 0
    return Interval(
        np.where(positive, np.maximum(z.low, 0), z.low), np.where(positive, np.minimum(z.high, most), z.high)
    )


def _kept(node: _Node, what: str) -> Callable[[Watch, Interval], Interval]:
    """A product, and its truncation."""
    shift = node.integer("shift")
    if node.result.kind != "fixed":
        return lambda _, z: _wrapped(z)
    check = node.check(what, fraction=node.result.fraction + shift, limit=HEADROOM if shift else WRAP)
    in_wide = node.check(what, fraction=node.result.fraction + shift, limit=WIDE_HEADROOM)
    truncated = node.check(f"{what}, truncated,")

    def require(watch: Watch, z: Interval) -> Interval:
        if shift and (node.integer("wide") or watch.widens(node.op, z)):
            watch.require(in_wide, z)
            y = _shifted(z, shift, lost=z.magnitude >= in_wide.limit)
            watch.require(truncated, y)
            return y.clipped()
        watch.require(check, z)
        return _shifted(z, shift, lost=z.magnitude >= check.limit)

    return require


def _shifted(z: Interval, bits: int, *, lost: Any) -> Interval:
    """floor(z / 2^bits) + e; anything where z does not fit."""
    if not bits:
        return z.clipped()
    low, high = np.floor(z.low * 2.0**-bits), np.floor(z.high * 2.0**-bits) + 1
    if lost.any():
        low, high = np.where(lost, -RING, low), np.where(lost, RING, high)
    return Interval(low, high)


def _truncate(node: _Node) -> Compute:
    bits = node.integer("bits")
    check = node.check("a number to round", fraction=node.types[0].fraction)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        x = _of(v[0])
        watch.require(check, x)
        return _shifted(x, bits, lost=x.magnitude >= HEADROOM)

    return compute


# -- rearrangements -------------------------------------------------------------------------------------------------


def _same(_: _Node) -> Compute:
    return lambda _, v: v[0]


def _sort(node: _Node) -> Compute:
    check = node.check("the difference of two keys that are compared", limit=WRAP)
    keys = node.integer("keys")

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        for x in v[:keys]:
            if x is not None:
                watch.require(check, minus(x, x))
        return v[0]

    return compute


def _scatter(node: _Node) -> Compute:
    """Rows may all meet at one place."""
    keep = _checked(node, "a sum of what meets at one place")
    rows = node.types[0].size // max(node.integer("row"), 1)
    return lambda watch, v: keep(watch, hull([_of(v[0]).scaled(max(rows, 1)), point(0.0)]))


def _view(node: _Node) -> Compute:
    if node.op.attributes["how"] == "pad":
        return lambda _, v: hull([_of(v[0]), point(0.0)])
    within = node.op.attributes.get("within")
    if isinstance(within, tuple):
        low, high = map(float, within)
        return lambda _, v: _of(v[0]).between(low, high)
    return _same(node)


def _concatenate(_: _Node) -> Compute:
    return lambda _, v: hull([_of(x) for x in v])


# -- bits -----------------------------------------------------------------------------------------------------------


def _less(node: _Node) -> Compute:
    check = node.check("the difference of two numbers that are compared", fraction=node.types[0].fraction, limit=WRAP)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        watch.require(check, minus(_of(v[0]), _of(v[1])))
        return None

    return compute


def _select(_: _Node) -> Compute:
    return lambda _, v: hull([_of(v[1]), _of(v[2])])


class _Branches:
    """A choice by p < q: what is chosen where that holds is known to be smaller, and so on."""

    def __init__(self, node: _Node, condition: Condition) -> None:
        self.below, self.above = (1, 2) if condition.direct else (2, 1)
        self.kinds = [self._kind(node.facts, node.op.inputs[side], condition) for side in (self.below, self.above)]

    def _kind(self, facts: Facts, value: int, condition: Condition) -> str:
        sign = facts.relation(value, condition.p, condition)
        if sign:
            return "p" if sign > 0 else "-p"
        return "q" if facts.relation(value, condition.q, condition) > 0 else ""

    def compute(self, _: Watch, v: Sequence[Known]) -> Known:
        """The hull of both, each with what the condition says of it; p and q are handed in behind the operands."""
        p, q = _of(v[3]), _of(v[4])
        first, second = _of(v[self.below]), _of(v[self.above])
        if self.kinds[0] == "p":
            first = Interval(first.low, np.minimum(first.high, q.high))
        elif self.kinds[0] == "q":
            first = Interval(np.maximum(first.low, p.low), first.high)
        elif self.kinds[0] == "-p":
            first = Interval(np.maximum(first.low, -q.high), first.high)
        if self.kinds[1] == "p":
            second = Interval(np.maximum(second.low, q.low), second.high)
        elif self.kinds[1] == "q":
            second = Interval(second.low, np.minimum(second.high, p.high))
        elif self.kinds[1] == "-p":
            second = Interval(second.low, np.minimum(second.high, -q.low))
        never, always = p.low >= q.high, p.high < q.low
        low, high = hull([first, second])
        return Interval(
            np.where(never, second.low, np.where(always, first.low, low)),
            np.where(never, second.high, np.where(always, first.high, high)),
        )


def _convert(node: _Node) -> Compute:
    if node.types[0].kind == "bool":
        return lambda _, __: point(0.0, 2.0**node.result.fraction)
    keep = _checked(node, "a number with more fraction bits")
    factor = 2.0 ** (node.result.fraction - node.types[0].fraction)
    return lambda watch, v: keep(watch, _of(v[0]).scaled(factor))


# -- composites -----------------------------------------------------------------------------------------------------


def _function(node: _Node) -> Compute:
    name, fraction = str(node.op.attributes["name"]), node.result.fraction
    limits = known.domain(name, fraction=fraction)
    check = Check(f"the argument of {name}", node.op.source, fraction, limits.high, limits.low)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        x = _of(v[0])
        watch.require(check, x)
        return known.result(name, x, fraction=fraction)

    return compute


def _divide(node: _Node) -> Compute:
    fraction = node.result.fraction
    unit = 2.0**fraction
    most = 2.0 ** (QUOTIENT_MOST_DIVISOR + fraction)
    least = -1.0 if node.integer("positive") else -most
    divisor = Check("what a secret is divided by", node.op.source, fraction, most, least)
    check = node.check("a quotient", fraction=fraction + QUOTIENT_SHIFT)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        x, y = _of(v[0]), _of(v[1])
        watch.require(divisor, y)
        inverse = known.result("reciprocal", y, fraction=fraction)
        z = times(x, inverse).scaled(1 / unit)
        room = 2.0 + 2e-5 * z.magnitude
        z = Interval(z.low - room, z.high + room)
        scaled = z.scaled(2.0**QUOTIENT_SHIFT)
        watch.require(check, scaled)
        return _shifted(scaled, QUOTIENT_SHIFT, lost=scaled.magnitude >= HEADROOM)

    return compute


def _maximum(node: _Node) -> Compute:
    check = node.check("the difference of two numbers that are compared", limit=WRAP)

    def compute(watch: Watch, v: Sequence[Known]) -> Known:
        x = _of(v[0])
        watch.require(check, minus(x, x))
        return x

    return compute


_RULES: dict[str, Callable[[_Node], Compute]] = {
    "add": _add,
    "concatenate": _concatenate,
    "convert": _convert,
    "cumsum": _cumsum,
    "divide": _divide,
    "dot": _dot,
    "function": _function,
    "less": _less,
    "maximum": _maximum,
    "mul": _mul,
    "neg": _neg,
    "rescale": _same,
    "rows": _same,
    "scatter": _scatter,
    "select": _select,
    "share": _same,
    "sort": _sort,
    "sub": _sub,
    "sum": _sum,
    "truncate": _truncate,
    "view": _view,
    "window": _same,
}

KINDS = frozenset(_RULES)
"""The operations on numbers that have a rule; booleans need none."""
