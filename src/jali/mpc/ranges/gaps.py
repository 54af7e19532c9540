# SPDX-License-Identifier: Apache-2.0
"""How large the numbers get that an operation compares with zero, from the intervals of its operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jali.mpc.ranges.intervals import ANYTHING, Interval, minus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.mpc.ir import Op, Program

__all__ = ["Gap", "gap_of"]

Gap = Callable[["Sequence[Interval | None]"], float]


def gap_of(op: Op, program: Program) -> Gap | None:
    """For an operation that compares, what it compares with zero: the largest magnitude for any inputs."""
    if op.kind in {"less", "equal"}:
        return lambda v: _largest(minus(_of(v[0]), _of(v[1])))
    if op.kind == "maximum":
        return lambda v: _largest(minus(_of(v[0]), _of(v[0])))
    if op.kind == "one_hot":
        places = program.types[op.outputs[0]].shape[-1]
        return lambda v: _largest(_of(v[0])) + places
    if op.kind == "sort":
        keys = op.attributes["keys"]
        return lambda v: 2 * max(_largest(_of(x)) for x in (v[:keys] if isinstance(keys, int) else v))
    return None


def _largest(x: Interval) -> float:
    return float(x.magnitude.max())


def _of(x: Interval | None) -> Interval:
    return ANYTHING if x is None else x
