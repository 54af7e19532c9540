# SPDX-License-Identifier: Apache-2.0
"""Exact rounding of what is revealed.

A truncation gives floor(z / 2^f) or one more, by a chance that depends on z's low bits and on the masks; whoever sees
it learns a little of z beyond the rounded value. So a result that comes out of a truncation keeps z next to it, and
before it is revealed it becomes floor(z / 2^f + 1/2), which says of z what rounding says and no more. Products in
Z_2^128, whose z does not fit, are rounded where they are made.

The same holds of a truncated number plus or minus an exact one. With d = z - 2^f y, which lies between -2^f and 2^f
whichever of the two y is,

    floor(z / 2^f + 1/2) = y - 1 + [d >= -2^(f-1)] + [d >= 2^(f-1)],

so two comparisons of one opened difference do it.

References: ePrint 2024/1127, on what probabilistic truncation gives away; the docs page "explanation/numbers".
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from jali.mpc.ir import Constant, Op
from jali.mpc.rings import smallest

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.contract import Arithmetic, MpcProtocol
    from jali.mpc.ir import Program, ValueType
    from jali.mpc.rounds import Round

__all__ = ["Whole", "WithWholes", "rounded", "with_wholes"]

_LOCAL = {"neg", "rows", "view", "window"}
_KEPT: WeakKeyDictionary[Program, WithWholes] = WeakKeyDictionary()
_LOCK = Lock()


class Whole(NamedTuple):
    """The number that a truncation by `shift` bits was made of, as a share."""

    share: Any
    shift: int


class WithWholes(NamedTuple):
    """A program with more outputs: at `places[i]` what output i was truncated from by `shifts[i]` bits, if it was."""

    program: Program
    places: tuple[int | None, ...]
    shifts: tuple[int, ...]


def with_wholes(program: Program) -> WithWholes:
    """The program that also gives what its outputs were truncated from, made once in a process.

    A product that is truncated on the way becomes a product and a truncation.
    Cost: none under m2k and aby3; under rep3 one round, and 8 B an element from role 2.
    """
    with _LOCK:
        kept = _KEPT.get(program)
        if kept is None:
            kept = _KEPT[program] = _Rewriting(program).result()
    return kept


class _Rewriting:
    """One program on its way."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.types = list(program.types)
        self.ops = list(program.ops)
        self.made_by = {value: op for op in program.ops for value in op.outputs}
        self.wholes: dict[int, tuple[int, int]] = {}  # value: (what it was truncated from, bits)

    def result(self) -> WithWholes:
        outputs = list(self.program.outputs)
        places: list[int | None] = []
        shifts = []
        for value in self.program.outputs:
            self._round_wide(value)
            found = self._whole(value)
            places.append(None if found is None else len(outputs))
            shifts.append(0 if found is None else found[1])
            if found is not None:
                outputs.append(found[0])
        changed = msgspec.structs.replace(
            self.program, types=tuple(self.types), ops=tuple(self.ops), outputs=tuple(outputs)
        )
        return WithWholes(changed, tuple(places), tuple(shifts))

    def _round_wide(self, value: int) -> None:
        """Round the products in Z_2^128 that a value is rearranged or added up from: their wholes do not fit Z_2^64."""
        op = self.made_by.get(value)
        if op is None:
            return
        if op.attributes.get("wide") and not op.attributes.get("exact"):
            exact = msgspec.structs.replace(op, attributes={**op.attributes, "exact": 1})
            self.ops[self.ops.index(op)] = self.made_by[value] = exact
        elif op.kind in _LOCAL or op.kind in {"add", "sub"}:
            for part in op.inputs:
                self._round_wide(part)

    def _whole(self, value: int) -> tuple[int, int] | None:
        """The value that this one was truncated from, in the same arrangement."""
        if value not in self.wholes:
            op = self.made_by.get(value)
            found = None if op is None else self._made(op)
            if found is None:
                return None
            self.wholes[value] = found
        return self.wholes[value]

    def _made(self, op: Op) -> tuple[int, int] | None:
        if self.types[op.outputs[0]].kind != "fixed":
            return None
        if op.kind in _LOCAL:
            found = self._whole(op.inputs[0])
            return None if found is None else (self._again(op, (found[0], *op.inputs[1:]), found[1]), found[1])
        if op.kind in {"add", "sub"}:
            return self._shifted(op)
        bits = op.attributes.get("bits" if op.kind == "truncate" else "shift", 0)
        if not isinstance(bits, int) or not bits or op.attributes.get("wide"):
            return None
        if op.kind == "truncate":
            return op.inputs[0], bits
        return (self._split(op, bits), bits) if op.kind in {"mul", "dot"} else None

    def _shifted(self, op: Op) -> tuple[int, int] | None:
        """A truncated number plus or minus one that is exact: the sum of what both were."""
        wholes = [self._whole(value) for value in op.inputs]
        for place, other in ((0, 1), (1, 0)):
            found = wholes[place]
            if found is None or wholes[other] is not None:
                continue
            finer = self._with_more_bits(op, op.inputs[other], found[1])
            inputs = (found[0], finer) if place == 0 else (finer, found[0])
            return self._again(op, inputs, found[1]), found[1]
        return None

    def _with_more_bits(self, before: Op, value: int, shift: int) -> int:
        """The same number with more fraction bits, in front of another operation."""
        kind, made = self._finer(self.types[value], shift), self.made_by.get(value)
        if made is not None and made.constant is not None:
            constant = Constant.of(made.constant.array << np.uint64(shift))
            return self._insert(before, msgspec.structs.replace(made, constant=constant), kind)
        return self._insert(before, Op(kind="convert", inputs=(value,), source=before.source), kind)

    def _again(self, op: Op, inputs: tuple[int, ...], shift: int) -> int:
        """The same operation on numbers with more fraction bits."""
        kind = self._finer(self.types[op.outputs[0]], shift)
        return self._insert(op, msgspec.structs.replace(op, inputs=inputs), kind)

    def _split(self, op: Op, bits: int) -> int:
        """The product without its truncation, which becomes an operation of its own."""
        attributes = {**op.attributes, "shift": 0}
        whole = self._insert(
            op, msgspec.structs.replace(op, attributes=attributes), self._finer(self.types[op.outputs[0]], bits)
        )
        place = self.ops.index(op)
        self.ops[place] = msgspec.structs.replace(op, kind="truncate", inputs=(whole,), attributes={"bits": bits})
        return whole

    def _finer(self, kind: ValueType, bits: int) -> ValueType:
        return msgspec.structs.replace(kind, fraction=kind.fraction + bits)

    def _insert(self, before: Op, op: Op, kind: ValueType) -> int:
        """Put an operation with a new result in front of another."""
        self.types.append(kind)
        value = len(self.types) - 1
        self.ops.insert(self.ops.index(before), msgspec.structs.replace(op, outputs=(value,)))
        return value


def rounded(protocol: MpcProtocol, y: Arithmetic, whole: Whole) -> Generator[Round, Any, Arithmetic]:
    """round(z / 2^f), halves up, from y in {floor(z / 2^f), floor(z / 2^f) + 1}.

    Security: that of the operations it is made of; nothing is opened but masked values.
    Cost: two comparisons of one opened difference (in Z_2^32 for up to 30 bits) and two conversions of bits: 4 rounds
    under m2k (9.3 B from each evaluator, 42.6 B dealt), 4 under rep3 (61 B in all), 8 under aby3 (170 B in all).
    """
    shape, shift = y.shape or (1,), whole.shift
    half = 1 << (shift - 1)
    d = protocol.linear(
        lambda z, t: z.reshape(shape) - (t.reshape(shape) << np.uint64(shift)), whole.share, y, shape=shape
    )
    above = yield from protocol.at_least(d, [-half, half], bits=smallest(3 * half))
    steps = yield from protocol.to_arithmetic(above)
    nearest = protocol.linear(lambda t, s: t.reshape(shape) + s[0] + s[1], y, steps, shape=shape)
    nearest = protocol.add_public(nearest, np.asarray(np.uint64(2**64 - 1)))
    return protocol.linear(lambda t: t.reshape(y.shape), nearest, shape=y.shape)
