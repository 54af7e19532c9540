# SPDX-License-Identifier: Apache-2.0
"""Rules: where numbers belong in a sorted array (jnp.searchsorted, jnp.digitize).

jax searches by halves, which reads at secret places. Counting smaller elements is cheaper for few, and sorting both
together for many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import sub, sum_over
from jali.mpc.lower.bits import less
from jali.mpc.lower.builder import Builder, Operand, Secret, rule
from jali.mpc.lower.places import arranged
from jali.mpc.lower.sort import sorted_by
from jali.mpc.lower.views import chosen_rows, joined, reshape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__: list[str] = []

_COMPARED_IN_SORTS = 40
"""Comparisons for each element of two sorts, against one for each element and number."""


@rule("jit _searchsorted_scan_impl")
def _searchsorted(build: Builder, params: Any, table: Operand, x: Operand) -> Operand | Sequence[Operand]:
    """For each number how many elements are smaller, or not larger; nothing if there are several tables."""
    if len(table.shape) != 1:
        return []
    count, size = table.shape[0], int(np.prod(x.shape, dtype=np.int64))
    # the search goes left where the number is not larger, or only where it is smaller
    before_equal = any(name in {"le", "le_to"} for name in _primitives(params["__inner__"]))
    if count * size > _COMPARED_IN_SORTS * (count + size):
        found = _by_sorting(build, table, arranged(build, x, tuple(range(len(x.shape))), shape=(-1,)), before_equal)
        return reshape(build, found, x.shape)
    wide = arranged(build, table, (0,), shape=(count, *(1 for _ in x.shape)))
    counted = less(build, wide, x) if before_equal else less(build, x, wide)
    number = sum_over(build, build.shared(counted, ValueType(shape=(count, *x.shape), kind="bool")), (0,))
    return number if before_equal else sub(build, build.public(np.int64(count)), number)


def _by_sorting(build: Builder, table: Operand, x: Operand, before_equal: bool) -> Secret:  # noqa: FBT001
    """Sort both together and count the elements so far; then sort the numbers back to where they stood."""
    count, size = table.shape[0], x.shape[0]
    order = (1, 0) if before_equal else (0, 1)
    parts = [(table, np.ones(count), size + np.arange(count)), (x, np.zeros(size), np.arange(size))]
    columns = list(zip(*(parts[k] for k in order), strict=True))
    keys = joined(build, columns[0], axis=0)
    marks, places = (build.public(np.concatenate(column).astype(np.int64)) for column in columns[1:])
    _, marked, place = sorted_by(build, [keys, marks, places], keys=1, axis=0)
    below = build.emit("cumsum", [marked], marked.type, axis=0, reverse=0)
    _, found = sorted_by(build, [place, below], keys=1, axis=0)
    return chosen_rows(build, found, range(size))


def _primitives(jaxpr: Any) -> Iterator[str]:
    """The names of all primitives inside."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            if hasattr(value, "eqns"):
                yield from _primitives(value)
