# SPDX-License-Identifier: Apache-2.0
"""The choice of rings: comparisons of numbers that are proven to be small take place in Z_2^32 or Z_2^16."""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import msgspec

from jali.mpc.rings import smallest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jali.mpc.ir import Op, Program

__all__ = ["with_widths"]

_ROUNDING = 1 + 2.0**-30  # ends of intervals are rounded
_MOST_KEPT = 8
_MOST_BITS = 62

_KEPT: WeakKeyDictionary[Program, dict[tuple[int, ...], Program]] = WeakKeyDictionary()
_LOCK = Lock()


def with_widths(program: Program, compared: Mapping[int, float]) -> Program:
    """The program whose comparisons say in how many bits they can be made; the same one for the same answer.

    `compared` says how large the numbers get, by the identity of operations (`jali.mpc.ranges.analysis`).
    """
    sizes = {op: size * _ROUNDING + 1 for op, size in compared.items()}
    key = tuple(_bits(size) for size in sizes.values())
    if all(bits >= _MOST_BITS for bits in key):
        return program
    with _LOCK:
        kept = _KEPT.setdefault(program, {})
        if key not in kept:
            if len(kept) >= _MOST_KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = _changed(program, lambda op: _with_width(op, sizes.get(id(op))))
        return kept[key]


def _with_width(op: Op, size: float | None) -> Op:
    if size is None:
        return op
    if op.kind == "sort":  # which adds places to its keys, and finds the width itself
        key, value = "bits", min(_bits(size / 2), int(op.attributes["bits"]))
    else:
        key, value = "width", smallest(size)
    return op if value >= _MOST_BITS else msgspec.structs.replace(op, attributes={**op.attributes, key: value})


def _bits(size: float) -> int:
    """b with size <= 2^b."""
    return math.ceil(math.log2(size))


def _changed(program: Program, change: Callable[[Op], Op]) -> Program:
    """With other operations, in the bodies of loops too."""
    ops = []
    for op in program.ops:
        if op.body is None:
            ops.append(change(op))
        else:
            ops.append(msgspec.structs.replace(op, body=_changed(op.body, change)))
    return msgspec.structs.replace(program, ops=tuple(ops))
