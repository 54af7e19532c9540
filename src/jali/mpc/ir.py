# SPDX-License-Identifier: Apache-2.0
"""The program that every role runs: typed, single assignment, about twenty kinds of operation.

A value is an array over Z_2^64 (`fixed` with so many fraction bits, or `int`) or an array of bits (`bool`), and is
either public or secret. jax has some 130 primitives; the front end rewrites them into these kinds:

=============  ===========================================================================================
kind           result
=============  ===========================================================================================
constant       a public array that stands in the program
add, sub, neg  ring arithmetic; operands have one fraction
mul, dot       product, then truncation by `shift` bits; a public operand makes it local when `shift` is 0. `wide`
               products are made in Z_2^128; `exact` ones round to nearest
truncate       x / 2^bits, or one unit more; into `int` it drops the fraction
rescale        the same ring elements, read with another number of fraction bits: times a power of two, for free
view           a rearrangement of x: `how` is reshape, transpose, broadcast, slice, pad or reverse
window         the part of x at public start indices
rows           rows of x (as a matrix of `row` columns) at public indices
scatter        rows of x added up at public indices of zeros (as a matrix of `row` columns); below 0 they are dropped
concatenate    arrays joined along `axis`
sum, cumsum    additions along `axes` / `axis`
less, equal    comparison, a bit; this, `maximum` and `one_hot` take place in Z_2^`width` where it says so
and, xor, not  of bits
select         `b ? x : y`
convert        a bit as a number; a number as one of another scale
share          a public value as a secret one
random         fresh bits that nobody knows
function       a named approximation of `jali.mpc.functions.basis`
divide         x / y; `positive` says that y is known not to be negative
maximum        greatest along `axis`, by a tournament
one_hot        a bit for each place that an index can point at, along a new last axis; none outside
sort           arrays of shape (b, n), the rows of all rearranged so that the first `keys` of them ascend; stable.
               Keys are "bits", 0 and 1, or "numbers", between -2^`bits` and 2^`bits`: `of` says which
loop           `body` run `count` times: constants, carries, and arrays of which iteration i takes the i-th part
=============  ===========================================================================================

Other producers (queries, statistics) can build the same programs. `Program.digest` is what the parties agree on;
source lines are kept for messages and are no part of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.tree import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEFAULT_FRACTION", "Constant", "Op", "Program", "ValueType", "render"]

DEFAULT_FRACTION = 18
IR_VERSION = 1
_DIGEST_LABEL = b"jali/mpc/ir/1"


class ValueType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a value before anything runs: `kind` is "fixed", "int" or "bool".

    `bound` is the range in which the owner of an input says that its numbers lie; it is public.
    """

    shape: tuple[int, ...]
    kind: str
    secret: bool = True
    fraction: int = 0
    bound: tuple[float, float] | None = None

    def __str__(self) -> str:
        """For instance `secret fixed18[64,30]`, or `secret fixed18[64,30] within -8..8`."""
        number = f"fixed{self.fraction}" if self.kind == "fixed" else self.kind
        size = ",".join(str(n) for n in self.shape)
        within = "" if self.bound is None else f" within {self.bound[0]:g}..{self.bound[1]:g}"
        return f"{'secret' if self.secret else 'public'} {number}[{size}]{within}"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


class Constant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public array: uint64 ring elements, or bits one to a byte; little-endian, C order."""

    shape: tuple[int, ...]
    bits: bool
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Any]) -> Constant:
        """Keep a uint64 or bool array."""
        bits = array.dtype == np.bool_
        data = np.asarray(array, np.dtype(np.uint8) if bits else np.dtype("<u8"), order="C")
        return cls(shape=array.shape, bits=bool(bits), data=data.tobytes())

    @property
    def array(self) -> NDArray[Any]:
        """The array again (read-only)."""
        dtype: Any = np.bool_ if self.bits else np.dtype("<u8")
        return np.frombuffer(self.data, dtype).reshape(self.shape)


class Op(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One operation: value numbers in and out, static attributes, a loop's body, and where the user wrote it."""

    kind: str
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    attributes: dict[str, int | str | tuple[int, ...]] = {}
    constant: Constant | None = None
    body: Program | None = None
    source: str = ""


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False, weakref=True):
    """Operations in order over numbered values.

    The first `inputs` values are given; `types[i]` is the type of value i; `outputs` are value numbers. The trees
    say how the flat inputs and outputs nest in the user's function (`jali.core.tree.Structure.to_value`).
    """

    name: str
    inputs: int
    types: tuple[ValueType, ...]
    ops: tuple[Op, ...]
    outputs: tuple[int, ...]
    fraction: int = DEFAULT_FRACTION
    input_tree: list[Any] | None = None
    output_tree: list[Any] | None = None
    version: int = IR_VERSION

    @property
    def input_types(self) -> tuple[ValueType, ...]:
        """Types of the inputs."""
        return self.types[: self.inputs]

    @property
    def output_types(self) -> tuple[ValueType, ...]:
        """Types of the outputs."""
        return tuple(self.types[value] for value in self.outputs)

    @property
    def output_structure(self) -> Structure:
        """How the outputs nest; a tuple of them unless the function's own nesting is known."""
        if self.output_tree is None:
            return Structure("tuple", tuple(Structure("leaf") for _ in self.outputs))
        return Structure.from_value(self.output_tree)

    def digest(self) -> bytes:
        """32 bytes that two programs share exactly if they compute the same in the same steps (source lines aside)."""
        return hashlib.sha256(_DIGEST_LABEL + msgspec.msgpack.encode(_without_source(self), order="sorted")).digest()

    def encode(self) -> bytes:
        """The program as msgpack."""
        return msgspec.msgpack.encode(self, order="sorted")

    @classmethod
    def decode(cls, data: bytes) -> Program:
        """A program from `encode`.

        Raises: msgspec.ValidationError if the bytes are not one.
        """
        return _DECODER.decode(data)

    def __str__(self) -> str:
        """`render` of the program."""
        return render(self)


_DECODER = msgspec.msgpack.Decoder(Program)


def render(program: Program) -> str:
    """The program as text, one line an operation.

    Example: `%3 = dot(%0, %2, shift=18) : secret fixed18[64]  # fit.py:12`
    """
    return "\n".join(_lines(program, indent=""))


def _lines(program: Program, *, indent: str) -> list[str]:
    given = ", ".join(f"%{i}: {kind}" for i, kind in enumerate(program.input_types))
    lines = [f"{indent}{program.name}({given})"]
    for op in program.ops:
        names = ", ".join(f"%{value}" for value in op.outputs)
        terms = [f"%{value}" for value in op.inputs]
        terms += [f"{key}={_plain(item)}" for key, item in sorted(op.attributes.items())]
        types = ", ".join(str(program.types[value]) for value in op.outputs)
        where = f"  # {op.source}" if op.source else ""
        lines.append(f"{indent}  {names} = {op.kind}({', '.join(terms)}) : {types}{where}")
        if op.body is not None:
            lines.extend(_lines(op.body, indent=indent + "    "))
    lines.append(f"{indent}  return {', '.join(f'%{value}' for value in program.outputs)}")
    return lines


def _plain(item: Any) -> str:
    return str(item).replace(" ", "")


def _without_source(program: Program) -> Program:
    ops = tuple(
        msgspec.structs.replace(op, source="", body=None if op.body is None else _without_source(op.body))
        for op in program.ops
    )
    return msgspec.structs.replace(program, ops=ops)
