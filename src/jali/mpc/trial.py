# SPDX-License-Identifier: Apache-2.0
"""Trying a function on sample data before a long job: in fixed point, in clear, beside float64."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.tree import flatten, unflatten
from jali.mpc.bounds import largest_of
from jali.mpc.engine import compile_function, execute, reveal_outputs, share_inputs, type_of
from jali.mpc.ir import DEFAULT_FRACTION
from jali.mpc.plain import PlainProtocol
from jali.mpc.ranges.analysis import analyse, input_interval
from jali.mpc.rounds import drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from jali.core.tree import Structure
    from jali.mpc.ir import Program

__all__ = ["Deviation", "DryRun", "LineUse", "SampleBound", "dry_run"]

_MOST_BITS = 62.0


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """How far fixed point was from float64 for one output: greatest error, and that over the greatest result."""

    shape: tuple[int, ...]
    absolute: float
    relative: float


class LineUse(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the 62 bits the numbers of a line needed before they were truncated."""

    what: str
    source: str
    bits: float

    @property
    def headroom(self) -> float:
        """The bits that were left."""
        return _MOST_BITS - self.bits


class SampleBound(msgspec.Struct, frozen=True, kw_only=True):
    """How large an input of the sample was, and the bound to declare: the next power of two above twice that."""

    position: int
    shape: tuple[int, ...]
    largest: float
    bound: float


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial showed: print it, show it in a notebook, or take the `Deviation` of each output from it in order.

    `lines` are those with products and truncations, the one that came nearest to the limit first. `verdict` says
    whether the suggested bounds of the inputs make the program provably safe.
    """

    name: str
    outputs: tuple[Deviation, ...]
    lines: tuple[LineUse, ...]
    bounds: tuple[SampleBound, ...]
    verdict: str

    def __iter__(self) -> Iterator[Deviation]:
        """The outputs in order."""
        return iter(self.outputs)

    def __len__(self) -> int:
        """How many outputs there are."""
        return len(self.outputs)

    def __getitem__(self, index: int) -> Deviation:
        """One output."""
        return self.outputs[index]

    def __str__(self) -> str:
        """Aligned text: errors, room, bounds."""
        return "\n\n".join("\n".join([title, *(f"  {row}" for row in rows)]) for title, rows in self._sections())

    def _repr_html_(self) -> str:
        parts = []
        for title, rows in self._sections():
            items = "".join(f"<li>{escape(row)}</li>" for row in rows)
            parts.append(f"<b>{escape(title)}</b><ul>{items}</ul>")
        return "".join(parts)

    def _sections(self) -> list[tuple[str, list[str]]]:
        errors = [
            f"output {index} {list(o.shape)}: absolute error {o.absolute:.2g}, relative {o.relative:.2g}"
            for index, o in enumerate(self.outputs)
        ]
        room = [
            f"{line.what} at {line.source}: {line.bits:.0f} of 62 bits, {line.headroom:.0f} left" for line in self.lines
        ]
        bounds = [
            f"input {b.position} {list(b.shape)}: up to {b.largest:.4g}; declare bounded(x, {b.bound:g})"
            for b in self.bounds
        ]
        return [
            (f"{self.name} in fixed point, beside float64", errors),
            ("Room for products, the narrowest first", room or ["no line needs any"]),
            ("Bounds that the sample suggests", [*bounds, self.verdict]),
        ]


def dry_run(function: Callable[..., Any], *samples: Any, fraction: int = DEFAULT_FRACTION) -> DryRun:
    """Run a function on sample data in fixed point, in clear, and compare with float64.

    The check to make before a long job: it raises where a secure protocol would silently give garbage, and says how
    much room was left where it would not.

    Raises: FixedPointRangeError, with the line, if a number leaves the range or a function's domain; what
    `compile_function` raises.

    Example:
    >>> report = dry_run(lambda x: x * x, np.array([1.0, 200.0]))
    >>> report[0].absolute < 2**-17
    True
    >>> round(report.lines[0].headroom)
    11
    >>> report.bounds[0].bound
    512.0
    """
    from jali.core.extras import need

    leaves, structure = flatten(list(samples))
    arrays = [np.asarray(leaf) for leaf in leaves]
    types = [type_of(array, fraction=fraction) for array in arrays]
    program = compile_function(function, unflatten(structure, types), fraction=fraction)
    reached: dict[tuple[str, str], float] = {}

    def watch(what: str, source: str, magnitude: float) -> None:
        reached[what, source] = max(reached.get((what, source), 1.0), magnitude)

    protocol: Any = PlainProtocol(watch=watch)
    shared = drive(share_inputs(protocol, arrays, owner=0, types=types), {})
    results = execute(program, protocol, shared, streams={})
    opened = drive(reveal_outputs(protocol, results, to=[0]), {})
    expected = _in_float64(function, arrays, structure, jax=need("jax", extra="jax"))
    lines = [LineUse(what=what, source=source, bits=math.log2(size)) for (what, source), size in reached.items()]
    bounds = [_suggested(position, array) for position, array in enumerate(arrays) if largest_of(array) is not None]
    return DryRun(
        name=program.name,
        outputs=tuple(_deviation(a, b) for a, b in zip(opened, expected, strict=True)),
        lines=tuple(sorted(lines, key=lambda line: (-line.bits, line.source))),
        bounds=tuple(bounds),
        verdict=_verdict(program, bounds),
    )


def _suggested(position: int, array: NDArray[Any]) -> SampleBound:
    largest = largest_of(array) or 0.0
    bound = 2.0 ** math.ceil(math.log2(max(2 * largest, 1.0)))
    return SampleBound(position=position, shape=array.shape, largest=largest, bound=bound)


def _verdict(program: Program, bounds: Sequence[SampleBound]) -> str:
    declared = {b.position: (-b.bound, b.bound) for b in bounds}
    kinds = [msgspec.structs.replace(kind, bound=declared.get(i)) for i, kind in enumerate(program.input_types)]
    unproven = analyse(program, [input_interval(kind) for kind in kinds]).unproven
    return f"not proven safe within them: {unproven[0]}" if unproven else "within them the program is proven safe"


def _in_float64(
    function: Callable[..., Any], arrays: Sequence[NDArray[Any]], structure: Structure, *, jax: Any
) -> list[NDArray[Any]]:
    from jali.mpc.lower.trace import in_64_bits, numpy_as_jax

    with in_64_bits(jax):
        wide = [jax.numpy.asarray(a, np.float64) if a.dtype.kind == "f" else jax.numpy.asarray(a) for a in arrays]
        outputs, _ = flatten(numpy_as_jax(function)(*unflatten(structure, wide)))
        return [np.asarray(output) for output in outputs]


def _deviation(found: NDArray[Any] | None, expected: NDArray[Any]) -> Deviation:
    gap = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    worst = float(np.max(gap, initial=0.0))
    largest = float(np.max(np.abs(np.asarray(expected, np.float64)), initial=2.0**-DEFAULT_FRACTION))
    return Deviation(shape=expected.shape, absolute=worst, relative=worst / largest)
