# SPDX-License-Identifier: Apache-2.0
"""From jax's intermediate representation to ours: the builder, and the walk over equations.

What the program can know before it runs is folded away here: an equation whose operands are all public is evaluated
at once (`jali.mpc.lower.public`), and only those that touch a secret become operations. Inside a loop a public value
may differ from one iteration to the next (an index, a schedule); it is computed for all iterations and handed to the
body one by one. So a running program has no public computation at all.

Fixed-point scales are tracked for each value. A product of secrets is truncated where it stands, which costs no
round; a product with a public number only raises the scale, and the truncation waits until something needs the
usual scale. Rules for the primitives live in this package, a file a family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from jali.core.errors import InternalError, ProgramError, UnsupportedOperation
from jali.core.extras import need
from jali.mpc.fixed import encode
from jali.mpc.ir import DEFAULT_FRACTION, Constant, Op, Program, ValueType

__all__ = [
    "MOST_FRACTION",
    "Builder",
    "Operand",
    "Public",
    "Rule",
    "Secret",
    "as_secret",
    "kind_of",
    "library",
    "registered",
    "rule",
]

# A product's scale: leaves 62 - 46 = 16 bits before the point, and those above 36 come from factors below one.
MOST_FRACTION = 46

_INTERACTIVE = {"mul", "truncate", "less", "equal", "and", "select", "convert"}  # elementwise


class Public(msgspec.Struct, frozen=True, eq=False):
    """An array that everybody knows: one leading axis for each loop around, of size 1 where it does not vary."""

    array: NDArray[Any]
    depth: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape without the iterations."""
        return self.array.shape[self.depth :]

    @property
    def varies(self) -> bool:
        """Whether it differs between iterations."""
        return any(n != 1 for n in self.array.shape[: self.depth])

    @property
    def only(self) -> Any:
        """The one number that all elements are, or None."""
        array = self.array
        if array.size == 0 or not isinstance(array, np.ndarray):
            return None
        first = array.flat[0]
        return first.item() if bool(np.all(array == first)) else None


class Secret(msgspec.Struct, frozen=True, eq=False):
    """A value of the program being built."""

    value: int
    type: ValueType

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.type.shape


Operand = Public | Secret
Rule = Callable[..., "Operand | Sequence[Operand]"]

_RULES: dict[str, Rule] = {}
_RULE_MODULES = (
    "arithmetic",
    "bits",
    "control",
    "convolution",
    "division",
    "functions",
    "index",
    "integers",
    "jacobi",
    "linalg",
    "order",
    "scans",
    "search",
    "sort",
    "special",
    "views",
    "windows",
)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for jax primitives: called with the builder, the equation's parameters and its operands."""

    def register(function: Rule) -> Rule:
        for name in names:
            if name in _RULES:
                raise InternalError(f"two rules for {name}")
            _RULES[name] = function
        return function

    return register


@cache
def registered() -> dict[str, Rule]:
    """All rules by primitive."""
    for name in _RULE_MODULES:
        import_module(f"jali.mpc.lower.{name}")
    return _RULES


def kind_of(dtype: Any, *, what: str = "value") -> str:
    """The kind of value that a jax or numpy type becomes.

    Raises: UnsupportedOperation if there is none (complex numbers, keys, text).
    """
    kind = np.dtype(dtype).kind if not hasattr(dtype, "_impl") else "key"
    if kind == "b":
        return "bool"
    if kind in "iu":
        return "int"
    if kind == "f":
        return "fixed"
    raise UnsupportedOperation(f"an mpc device computes with numbers and booleans; {what} has the type {dtype}")


class Builder:
    """Collects the operations of one program, or of one loop body (then `parent` builds what is around it)."""

    def __init__(self, name: str, *, fraction: int = DEFAULT_FRACTION, parent: Builder | None = None) -> None:
        """Begin a program."""
        self.name = name
        self.fraction = fraction
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.source: str = "" if parent is None else parent.source
        self.pinned: bool = parent is not None and parent.pinned  # whether equations have no source lines of their own
        self.types: list[ValueType] = []
        self.ops: list[Op] = []
        self.inputs: list[int] = []
        self.defining: dict[int, Op] = {}
        self.constants: list[tuple[int, int]] = []  # (value of the parent, value here): the same in each iteration
        self.stacks: list[tuple[int, int]] = []  # (value of the parent, value here): one part an iteration
        self.factors: dict[int, tuple[Secret, Public]] = {}  # products with a public number, to merge with the next
        self._known: dict[Any, int] = {}
        self._known_together: dict[Any, tuple[int, ...]] = {}

    # -- values -------------------------------------------------------------------------------------------------

    def given(self, kind: ValueType) -> Secret:
        """A new input."""
        value = self._new(kind)
        self.inputs.append(value)
        return Secret(value, kind)

    def emit(self, kind: str, operands: Sequence[Operand | int], result: ValueType, **attributes: Any) -> Secret:
        """An operation with one result; the same one twice is the same value.

        Protocols never meet arrays without dimensions where they draw masks: numpy turns those into scalars, which
        have other rules. Interactive operations take them as arrays of one element.
        """
        if result.shape == () and self._interactive(kind, operands):
            lifted = [self._lifted(o) if isinstance(o, Secret) else o for o in self._secrets(operands)]
            single = self.emit(kind, lifted, msgspec.structs.replace(result, shape=(1,)), **attributes)
            return self.emit("view", [single], result, how="reshape")
        inputs = tuple(o.value if isinstance(o, Secret) else o for o in operands if not isinstance(o, Public))
        if len(inputs) != len(operands):
            raise ProgramError(f"{kind}: a public operand must be encoded first")
        key = (kind, inputs, result, tuple(sorted(attributes.items())))
        if key not in self._known:
            value = self._new(result)
            op = Op(kind=kind, inputs=inputs, outputs=(value,), attributes=attributes, source=self.source)
            self.append(op)
            self._known[key] = value
        return Secret(self._known[key], result)

    def _interactive(self, kind: str, operands: Sequence[Operand | int]) -> bool:
        if kind not in _INTERACTIVE:
            return False
        types = [o.type if isinstance(o, Secret) else self.types[o] for o in operands if not isinstance(o, Public)]
        if kind == "mul":
            return all(t.secret for t in types)
        return kind != "convert" or types[0].kind == "bool"

    def _secrets(self, operands: Sequence[Operand | int]) -> list[Operand | int]:
        return [self.operand(o) if isinstance(o, int) and self.types[o].secret else o for o in operands]

    def _lifted(self, x: Secret) -> Secret:
        if x.shape != ():
            return x
        return self.emit("view", [x], msgspec.structs.replace(x.type, shape=(1,)), how="reshape")

    def emit_many(self, op: Op, results: Sequence[ValueType]) -> list[Secret]:
        """An operation with several results; its `outputs` are filled in.

        The same one comes once, unless it has a body, or nothing that it depends on: it draws something new.
        """
        key = (op.kind, op.inputs, tuple(sorted(op.attributes.items())))
        pure = op.body is None and bool(op.inputs)
        outputs = self._known_together.get(key) if pure else None
        if outputs is None:
            outputs = tuple(self._new(kind) for kind in results)
            self.append(msgspec.structs.replace(op, outputs=outputs, source=self.source))
            if pure:
                self._known_together[key] = outputs
        return [Secret(value, kind) for value, kind in zip(outputs, results, strict=True)]

    def bounded(self, x: Secret, low: int, high: int) -> Secret:
        """The same ring elements, of which the caller has shown that they lie there, for the analysis of ranges."""
        return self.emit("view", [x], x.type, how="reshape", within=(low, high))

    def append(self, op: Op) -> None:
        """Add a finished operation."""
        self.ops.append(op)
        for value in op.outputs:
            self.defining[value] = op

    def made_by(self, x: Operand, kind: str) -> Op | None:
        """The operation that makes x, if it is of that kind."""
        op = self.defining.get(x.value) if isinstance(x, Secret) else None
        return op if op is not None and op.kind == kind else None

    def bit_behind(self, x: Operand) -> Secret | None:
        """The bit whose conversion to a number x is, if it is one."""
        op = self.defining.get(x.value) if isinstance(x, Secret) else None
        if op is None:
            return None
        if op.kind == "convert" and self.types[op.inputs[0]].kind == "bool":
            return self.operand(op.inputs[0])
        if op.kind != "view":
            return None
        bit = self.bit_behind(self.operand(op.inputs[0]))
        if bit is None:
            return None
        return self.emit("view", [bit], msgspec.structs.replace(bit.type, shape=x.shape), **op.attributes)

    def operand(self, value: int) -> Secret:
        """A value by its number."""
        return Secret(value, self.types[value])

    # -- public values ------------------------------------------------------------------------------------------

    def public(self, array: Any) -> Public:
        """A public value that is the same in every iteration."""
        plain = np.asarray(array) if isinstance(array, int | float) or hasattr(array.dtype, "kind") else array
        return Public(plain.reshape((1,) * self.depth + plain.shape), self.depth)

    def encoded(self, x: Public, *, kind: str, fraction: int = 0) -> int:
        """A public value as a constant of the program (or as an input of the loop body), in a given scale."""
        return self.place(encode(x.array, kind=kind, fraction=fraction), kind=kind, fraction=fraction)

    def place(self, words: NDArray[Any], *, kind: str, fraction: int = 0, whole: bool = False) -> int:
        """Put encoded words where this program can use them; leading axes are the iterations of the loops around.

        A value that is one number throughout is kept as that number, unless `whole`.
        """
        words = _constant_axes(words, self.depth)
        lead, shape = words.shape[: self.depth], words.shape[self.depth :]
        flat = words.reshape((*lead, -1)) if words.size else words
        if not whole and words.size and shape and bool(np.all(flat == flat[..., :1])):
            words, shape = flat[..., 0], ()
        key = ("constant", kind, fraction, whole, words.shape, words.tobytes())
        if key not in self._known:
            self._known[key] = self._placed(words, ValueType(shape=shape, kind=kind, fraction=fraction, secret=False))
        return self._known[key]

    def _placed(self, words: NDArray[Any], kind: ValueType) -> int:
        lead = words.shape[: self.depth]
        value = self._new(kind)
        if self.parent is None or all(n == 1 for n in lead):
            constant = Constant.of(words.reshape(kind.shape))
            self.append(Op(kind="constant", outputs=(value,), constant=constant))
            return value
        # for the program around, the iterations of this loop are the first axis of a value
        stacked = lead[-1] != 1
        around = words if stacked else words.reshape((*lead[:-1], *kind.shape))
        outer = self.parent.place(around, kind=kind.kind, fraction=kind.fraction, whole=stacked)
        (self.stacks if stacked else self.constants).append((outer, value))
        return value

    # -- scales -------------------------------------------------------------------------------------------------

    def scaled(self, x: Secret, fraction: int) -> Secret:
        """x with another number of fraction bits: a free multiplication up, a truncation down."""
        if x.type.kind != "fixed" or x.type.fraction == fraction:
            return x
        result = msgspec.structs.replace(x.type, fraction=fraction)
        if fraction > x.type.fraction:
            return self.emit("convert", [x], result)
        return self.emit("truncate", [x], result, bits=x.type.fraction - fraction)

    def usual(self, x: Secret) -> Secret:
        """x in the program's scale."""
        return self.scaled(x, self.fraction)

    def shared(self, x: Operand, kind: ValueType) -> Secret:
        """x as a secret of that type; a public value becomes one."""
        if isinstance(x, Secret):
            return self.scaled(x, kind.fraction)
        value = self.encoded(x, kind=kind.kind, fraction=kind.fraction)
        return self.emit("share", [value], kind)

    # -- the end ------------------------------------------------------------------------------------------------

    def needed(self, outputs: Sequence[int]) -> tuple[set[int], list[Op]]:
        """The values and operations on which the outputs depend."""
        needed, kept = set(outputs), []
        for op in reversed(self.ops):
            if any(value in needed for value in op.outputs):
                needed.update(op.inputs)
                kept.append(op)
        return needed, kept[::-1]

    def finish(self, outputs: Sequence[int], *, inputs: Sequence[int] | None = None) -> Program:
        """The program, without what nobody needs, renumbered so that the inputs come first."""
        wanted = list(self.inputs if inputs is None else inputs)
        _, kept = self.needed(outputs)
        order = [*wanted, *(value for op in kept for value in op.outputs)]
        number = {value: index for index, value in enumerate(order)}
        ops = tuple(
            msgspec.structs.replace(
                op, inputs=tuple(number[v] for v in op.inputs), outputs=tuple(number[v] for v in op.outputs)
            )
            for op in kept
        )
        return Program(
            name=self.name,
            inputs=len(wanted),
            types=tuple(self.types[value] for value in order),
            ops=ops,
            outputs=tuple(number[value] for value in outputs),
            fraction=self.fraction,
        )

    def _new(self, kind: ValueType) -> int:
        self.types.append(kind)
        return len(self.types) - 1


def as_secret(x: Operand) -> Secret:
    """x, which an operation on a secret has made.

    Raises: UnsupportedOperation if it turned out to be public: nothing secret is left of it.
    """
    if isinstance(x, Public):
        raise UnsupportedOperation("an operation on a secret whose result turned out to be public")
    return x


def library(array: Any) -> Any:
    """numpy, or jax.numpy for the keys of jax.random, which only jax can hold."""
    return np if isinstance(array, np.ndarray) else need("jax.numpy", extra="jax")


def _constant_axes(words: NDArray[Any], depth: int) -> NDArray[Any]:
    """The same with size 1 for each leading axis along which nothing changes."""
    for axis in range(depth):
        first = words[(slice(None),) * axis + (slice(0, 1),)]
        if words.shape[axis] > 1 and bool(np.all(words == first)):
            words = first
    return words
