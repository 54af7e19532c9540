# SPDX-License-Identifier: Apache-2.0
"""The choice of rings, operation by operation.

Products that do not fit Z_2^64 within the declared bounds are made in Z_2^128; comparisons of numbers that are proven
to be small take place in Z_2^32 or Z_2^16.
"""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import msgspec

from jali.mpc.ranges.analysis import products_to_widen
from jali.mpc.rings import Ring, smallest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from jali.mpc.ir import Op, Program
    from jali.mpc.ranges.analysis import Compared
    from jali.mpc.ranges.rules import Known

    Memory = WeakKeyDictionary[Program, dict[tuple[int, ...], Program]]

__all__ = ["notes_on_rings", "with_wide_products", "with_widths"]

_ROUNDING = 1 + 2.0**-30  # ends of intervals are rounded
_MOST_KEPT = 8
_MOST_BITS = 62
_PRODUCTS = {"mul", "dot"}

_NARROW: Memory = WeakKeyDictionary()
_WIDE: Memory = WeakKeyDictionary()
_JOINED: WeakKeyDictionary[Program, Program] = WeakKeyDictionary()
_LOCK = Lock()


def with_widths(program: Program, compared: Mapping[int, Compared], limits: Sequence[float]) -> Program:
    """The program whose comparisons say in how many bits they can be made; the same one for the same answer.

    `compared` says how large the numbers get, by the identity of operations, and `limits` to which bounds owners hold
    inputs of undeclared size.
    """
    sizes = {op: known.within(limits) * _ROUNDING + 1 for op, known in compared.items()}
    decided = {op: (smallest(size), min(_bits(size / 2), _MOST_BITS)) for op, size in sizes.items()}
    if all(width == Ring.WORDS and bits == _MOST_BITS for width, bits in decided.values()):
        return program
    key = tuple(number for pair in decided.values() for number in pair)
    return _kept(_NARROW, program, key, lambda op: _with_width(op, decided.get(id(op))))


def _kept(memory: Memory, program: Program, key: tuple[int, ...], change: Callable[[Op], Op]) -> Program:
    """The changed program, made once for a key."""
    with _LOCK:
        kept = memory.setdefault(program, {})
        if key not in kept:
            if len(kept) >= _MOST_KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = _changed(program, change)
        return kept[key]


def with_wide_products(program: Program, given: Sequence[Known]) -> Program:
    """The program with the products in Z_2^128 that need it; the same one if none does.

    A product with a public number that is truncated at once counts as one operation.
    """
    with _LOCK:
        if program not in _JOINED:
            _JOINED[program] = _joined(program)
        joined = _JOINED[program]
    wide = products_to_widen(joined, given)
    if not wide:
        return program
    return _kept(_WIDE, joined, tuple(sorted(wide)), lambda op: _with(op, wide=1) if id(op) in wide else op)


def _joined(program: Program) -> Program:
    """Products whose only use is a truncation, together with it."""
    users: dict[int, list[Op]] = {value: [] for value in range(len(program.types))}
    for op in program.ops:
        for value in op.inputs:
            users[value] += [op]
    makers = {value: op for op in program.ops for value in op.outputs}
    ops = []
    for op in program.ops:
        if op.kind in _PRODUCTS and _only_truncated(op, program, users):
            continue
        made = makers.get(op.inputs[0]) if op.kind == "truncate" else None
        if made is not None and made.kind in _PRODUCTS and _only_truncated(made, program, users):
            shifted = _with(made, shift=op.attributes["bits"])
            ops.append(msgspec.structs.replace(shifted, outputs=op.outputs))
        elif op.body is not None:
            ops.append(msgspec.structs.replace(op, body=_joined(op.body)))
        else:
            ops.append(op)
    return msgspec.structs.replace(program, ops=tuple(ops))


def _only_truncated(op: Op, program: Program, users: Mapping[int, Sequence[Op]]) -> bool:
    (value,) = op.outputs
    using = users[value]
    once = len(using) == 1 and using[0].kind == "truncate" and value not in program.outputs
    return once and not op.attributes.get("shift") and program.types[using[0].outputs[0]].kind == "fixed"


def notes_on_rings(program: Program) -> list[str]:
    """What is made in another ring than Z_2^64, in words."""
    ops = _all_ops(program)
    wide = [op for op in ops if op.attributes.get("wide")]
    places = ", ".join(dict.fromkeys(op.source for op in wide if op.source))
    notes = [f"{_count(wide, 'product')} in Z_2^128: at {places}"] if wide else []
    for width in (32, 16):
        narrow = [op for op in ops if op.attributes.get("width") == width]
        notes += [f"{_count(narrow, 'comparison')} in Z_2^{width}"] if narrow else []
    return notes


def _count(ops: Sequence[Op], what: str) -> str:
    return f"{len(ops)} {what}{'' if len(ops) == 1 else 's'}"


def _all_ops(program: Program) -> list[Op]:
    """Those of loops too."""
    bodies = [op.body for op in program.ops if op.body is not None]
    return [*program.ops, *(op for body in bodies for op in _all_ops(body))]


def _with(op: Op, **attributes: Any) -> Op:
    return msgspec.structs.replace(op, attributes={**op.attributes, **attributes})


def _with_width(op: Op, decided: tuple[int, int] | None) -> Op:
    """A comparison with its width; a sort, which adds places to its keys, with the bits of these."""
    if decided is None:
        return op
    width, bits = decided
    if op.kind != "sort":
        return op if width == Ring.WORDS else _with(op, width=width)
    known = op.attributes["bits"]
    return _with(op, bits=bits) if isinstance(known, int) and bits < known else op


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
