# SPDX-License-Identifier: Apache-2.0
"""How large the numbers get that an operation compares with zero, from the intervals of its operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jali.mpc.ranges.intervals import ANYTHING, Interval, hull, minus

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jali.mpc.ir import Op, Program

__all__ = ["Gap", "gap_of"]

Gap = Callable[["Sequence[Interval | None]"], "NDArray[np.float64]"]


def gap_of(op: Op, program: Program) -> Gap | None:
    """The largest magnitude of what an operation compares with zero, by the points of the grid; None if it does not."""
    if op.kind in {"less", "equal"}:
        return lambda v: minus(_of(v[0]), _of(v[1])).magnitude
    if op.kind == "maximum":
        return lambda v: minus(_of(v[0]), _of(v[0])).magnitude
    if op.kind == "one_hot":
        places = program.types[op.outputs[0]].shape[-1]
        return lambda v: _of(v[0]).magnitude + places
    if op.kind == "sort":
        keys = op.attributes["keys"]
        return lambda v: 2 * hull([_of(x) for x in (v[:keys] if isinstance(keys, int) else v)]).magnitude
    return None


def _of(x: Interval | None) -> Interval:
    return ANYTHING if x is None else x
