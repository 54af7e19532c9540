# SPDX-License-Identifier: Apache-2.0
"""How far the carries of a loop get without following it: what each iteration adds to them.

A carry c of a body is often a c + (the rest) with 0 <= a <= 1: a weight plus a step, a momentum that fades. If the rest
lies in R as long as all carries lie in G, then after n iterations, each within G, c lies in

    a^n S + (1 + a + ... + a^(n-1)) R,

which for a < 1 lies between S and R / (1 - a), and for a = 1 grows by R each time. If that is within G for all n up to
the end, so are the carries, by induction. S is where they are now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jali.mpc.ranges.intervals import ANYTHING, RING, Interval, hull, plus, point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.mpc.ir import Op, Program

__all__ = ["Growth", "grown"]

_LOCAL = {"rescale", "rows", "view", "window"}


class _Form(NamedTuple):
    """The sum of factors times elements of carries, and a rest; `aligned` if those elements are at the same places."""

    factors: dict[int, float]
    rest: Interval
    aligned: bool = True

    def scaled(self, factor: float) -> _Form:
        """Times a number."""
        ends = Interval(self.rest.low * factor, self.rest.high * factor)
        rest = ends if factor >= 0 else Interval(ends.high, ends.low)
        return _Form({carry: a * factor for carry, a in self.factors.items()}, rest, self.aligned)

    def plus(self, other: _Form) -> _Form | None:
        """The sum of both; None where different elements of a carry could be taken for a difference of the same."""
        factors = dict(self.factors)
        for carry, a in other.factors.items():
            if factors.get(carry, 0.0) * a < 0 and not (self.aligned and other.aligned):
                return None
            factors[carry] = factors.get(carry, 0.0) + a
        return _Form(factors, plus(self.rest, other.rest), self.aligned and other.aligned)


class Growth:
    """What the body of a loop does to its carries."""

    def __init__(self, program: Program) -> None:
        """Look at a body."""
        self.program = program
        self._constants = {op.outputs[0]: op for op in program.ops if op.constant is not None}

    def rests(self, found: Sequence[Interval | None], carried: range) -> list[tuple[float, Interval] | None]:
        """For each carry its factor a and the interval of the rest, from the intervals of all values of the body."""
        forms = {carry: _Form({carry: 1.0}, point(0.0)) for carry in carried if found[carry] is not None}
        for op in self.program.ops:
            form = self._form(op, forms, found)
            if form is not None:
                forms[op.outputs[0]] = form
        return [
            self._rest(forms.get(value), carry, found, interval=found[value])
            for value, carry in zip(self.program.outputs, carried, strict=False)
        ]

    def _rest(
        self, form: _Form | None, carry: int, found: Sequence[Interval | None], *, interval: Interval | None
    ) -> tuple[float, Interval] | None:
        if interval is None:
            return None
        own = 0.0 if form is None else form.factors.get(carry, 0.0)
        if form is None or not 0 < own <= 1:
            return 0.0, interval
        rest = form.rest
        for other, factor in form.factors.items():
            if other != carry:
                rest = plus(rest, _Form({}, found[other] or ANYTHING).scaled(factor).rest)
        return own, rest

    def _form(self, op: Op, forms: dict[int, _Form], found: Sequence[Interval | None]) -> _Form | None:
        known = [forms.get(value) for value in op.inputs]
        if not any(known) or op.body is not None:
            return None
        if op.kind in {"add", "sub"}:
            x, y = (form or _Form({}, found[value] or ANYTHING) for form, value in zip(known, op.inputs, strict=True))
            return x.plus(y if op.kind == "add" else y.scaled(-1.0))
        factor = self._factor(op)
        form = known[0] or known[-1]
        if factor is None or form is None:
            return None
        moved = form.scaled(factor)
        if op.kind in _LOCAL and op.kind != "rescale" and op.attributes.get("how") != "reshape":
            return moved._replace(aligned=False)
        return moved._replace(rest=plus(moved.rest, point(-1.0, 1.0))) if op.kind == "truncate" else moved

    def _factor(self, op: Op) -> float | None:
        """What an operation multiplies its operand by, if that is all it does."""
        types = self.program.types
        if op.kind in _LOCAL:
            return 1.0 if op.attributes.get("how") != "pad" else None
        if op.kind == "neg":
            return -1.0
        if op.kind in {"convert", "truncate"} and types[op.inputs[0]].kind == types[op.outputs[0]].kind == "fixed":
            return 2.0 ** (types[op.outputs[0]].fraction - types[op.inputs[0]].fraction)
        if op.kind == "mul" and not op.attributes["shift"]:
            return next((self._number(value) for value in op.inputs if value in self._constants), None)
        return None

    def _number(self, value: int) -> float | None:
        constant = self._constants[value].constant
        if constant is None or constant.bits:
            return None
        words = constant.array.view(np.int64)
        return float(words.flat[0]) if words.size and bool(np.all(words == words.flat[0])) else None


def grown(state: Interval, factor: float, rest: Interval, *, times: int) -> Interval:
    """What contains the carry during so many iterations; anything, where that leaves the ring."""
    if factor < 1:
        reached = hull([state, rest.scaled(1 / (1 - factor))])
    else:
        reached = plus(state, hull([point(0.0), rest.scaled(float(times))]))
    lost = reached.magnitude >= RING
    return Interval(np.where(lost, -RING, reached.low), np.where(lost, RING, reached.high))
