# SPDX-License-Identifier: Apache-2.0
"""How large a secret value can be, as far as the program that makes it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jali.mpc.lower.builder import Builder

__all__ = ["MOST_BITS", "bits_of"]

MOST_BITS = 62
_SAME = {"view", "rows", "window", "share", "neg"}
_BELOW_TWO = {"sigmoid", "tanh"}


def bits_of(build: Builder, value: int, *, limit: int = 24) -> int:
    """The ring elements of a value lie between -2^b and 2^b; 62 if nothing is known, and 1 for bits."""
    kind, op = build.types[value], build.defining.get(value)
    if kind.kind == "bool":
        return 1
    if op is None or limit == 0:
        return MOST_BITS
    if op.constant is not None:
        return int(np.abs(op.constant.array.view(np.int64)).max(initial=1)).bit_length()
    if op.kind == "function" and op.attributes["name"] in _BELOW_TWO:
        return kind.fraction + 1
    inputs = {
        "select": op.inputs[1:],
        "concatenate": op.inputs,
        "convert": op.inputs,
        "sort": op.inputs[op.outputs.index(value) :][:1],
    }.get(op.kind, op.inputs[:1] if op.kind in _SAME else ())
    if not inputs:
        return MOST_BITS
    found = max(bits_of(build, given, limit=limit - 1) for given in inputs)
    raised = kind.fraction - build.types[op.inputs[0]].fraction if op.kind == "convert" else 0
    return min(MOST_BITS, found + raised)
