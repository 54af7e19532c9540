# SPDX-License-Identifier: Apache-2.0
"""The walk over equations, and rules for what contains equations: calls, loops and conditionals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import ProgramError, SecretControl, UnsupportedOperation
from jali.mpc.ir import Op, ValueType
from jali.mpc.lower.bits import choose, less, not_equal
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, kind_of, library, registered, rule
from jali.mpc.lower.complex import complex_results, touches_complex
from jali.mpc.lower.functions import HOOKS
from jali.mpc.lower.hooks import applies
from jali.mpc.lower.public import fold
from jali.mpc.lower.random import drawn, draws

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["among", "walk"]

_MOST_ITERATIONS = 100_000
_CONTROL = {"scan", "while", "cond"}
_REDUCING = {"reduce", "reduce_window"}  # what they contain takes two elements, not their operands
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def walk(build: Builder, jaxpr: Any, operands: Sequence[Operand]) -> list[Operand]:
    """The outputs of a closed jaxpr: public equations are folded, the others become operations.

    Raises: UnsupportedOperation for a primitive without a rule, with the user's source line.
    """
    environment = _bound(build, jaxpr, operands)
    for equation in jaxpr.jaxpr.eqns:
        inputs = [_read(build, environment, atom) for atom in equation.invars]
        build.source = (not build.pinned and _source(equation)) or build.source
        results = _results(build, equation, inputs)
        environment.update(zip(equation.outvars, results, strict=True))
    return [_read(build, environment, atom) for atom in jaxpr.jaxpr.outvars]


def _bound(build: Builder, jaxpr: Any, operands: Sequence[Operand | None]) -> dict[Any, Any]:
    environment: dict[Any, Any] = dict(zip(jaxpr.jaxpr.constvars, map(build.public, jaxpr.consts), strict=True))
    environment.update(zip(jaxpr.jaxpr.invars, operands, strict=True))
    return environment


def _read(build: Builder, environment: dict[Any, Any], atom: Any) -> Any:
    return build.public(np.asarray(atom.val, atom.aval.dtype)) if hasattr(atom, "val") else environment[atom]


def _results(build: Builder, equation: Any, inputs: list[Operand]) -> list[Operand]:
    name = equation.primitive.name
    if draws(equation):
        return [drawn(build, equation)]
    inner = _inner(equation)
    if inner is not None:
        return _call(build, equation, inner, inputs)
    if name in _CONTROL:
        return _rule(build, equation, inputs)
    if all(isinstance(x, Public) for x in inputs):
        return [*fold(build, equation, [x for x in inputs if isinstance(x, Public)])]
    return _rule(build, equation, inputs)


def _rule(build: Builder, equation: Any, inputs: list[Operand]) -> list[Operand]:
    name = equation.primitive.name
    found = registered().get(name)
    if touches_complex(equation) and not (name == "cond" and isinstance(inputs[0], Public)):
        found = _complex
    if found is None:
        raise UnsupportedOperation(
            f"jax's {name!r} has no rule for secret data: write it with sums, products, comparisons and jnp.where, or "
            "compute it before the data go to the mpc device",
            source=build.source or None,
        )
    shapes = [tuple(v.aval.shape) for v in equation.outvars]
    params = {**equation.params, "__shapes__": shapes, "__equation__": equation}
    try:
        result = found(build, params, *inputs)
    except ProgramError as error:
        error.source = error.source or build.source or None
        raise
    return [result] if isinstance(result, Public | Secret) else [*result]


def _complex(build: Builder, params: Any, *inputs: Any) -> Sequence[Any]:
    return complex_results(build, params["__equation__"], inputs)


# -- calls ----------------------------------------------------------------------------------------------------------


def _inner(equation: Any) -> Any:
    """The equations inside a call: whatever has exactly one jaxpr is unwrapped, if that is for its operands."""
    if equation.primitive.name in _CONTROL | _REDUCING:
        return None
    found = [equation.params[key] for key in _INNER if hasattr(equation.params.get(key), "eqns")]
    return found[0] if len(found) == 1 else None


def _call(build: Builder, equation: Any, inner: Any, inputs: list[Operand]) -> list[Operand]:
    rules, name = registered(), _called(equation, inner)  # the modules with rules bring hooks, too
    if any(isinstance(x, Secret) for x in inputs):
        hook, found = HOOKS.get(name), rules.get(f"jit {name}")
        result = hook.lower(build, *inputs) if hook is not None and applies(hook, equation, inner) else None
        if result is not None:
            return [result] if isinstance(result, Public | Secret) else [*result]
        # a rule for a call sees the equations inside; if it gives nothing, they are taken
        results = found(build, {**equation.params, "__inner__": inner}, *inputs) if found is not None else []
        if results:
            return [results] if isinstance(results, Public | Secret) else [*results]
    return walk(build, _closed(inner), inputs)


def _called(equation: Any, inner: Any) -> str:
    """The name of the jax function that an equation calls."""
    if "name" in equation.params:
        return str(equation.params["name"])
    debug = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
    return str(getattr(debug, "func_src_info", "") or "").partition(" ")[0]


def _closed(jaxpr: Any) -> Any:
    if hasattr(jaxpr, "consts"):
        return jaxpr
    from jali.core.extras import need

    return need("jax.extend.core", extra="jax").ClosedJaxpr(jaxpr, ())


@rule("cond")
def _cond(build: Builder, params: Any, index: Operand, *operands: Operand) -> Sequence[Operand]:
    """A public predicate takes its branch; a secret one (or one that varies in a loop) runs all and chooses."""
    branches = params["branches"]
    if isinstance(index, Public) and index.only is not None:
        return walk(build, branches[int(np.clip(index.only, 0, len(branches) - 1))], operands)
    results = [walk(build, branch, operands) for branch in branches]
    if len(branches) != 2:
        return [among(build, index, 0, cases) for cases in zip(*results, strict=True)]
    bit = _as_bit(build, index)
    return [_either(build, bit, first, second) for second, first in zip(*results, strict=True)]


def among(build: Builder, index: Operand, start: int, cases: Sequence[Operand]) -> Operand:
    """The case that the index names, of those that are numbered from `start`; the first or last one beyond them.

    Cost: a comparison for each case but one, all at once; log2 of the number of cases choices in a row.
    """
    if len(cases) == 1:
        return cases[0]
    half = len(cases) // 2
    middle = build.public(np.int64(start + half))
    if isinstance(index, Public):
        below: Operand = Public(index.array < middle.array, index.depth)
    else:
        below = less(build, index, middle)
    first, second = among(build, index, start, cases[:half]), among(build, index, start + half, cases[half:])
    return _either(build, below, first, second)


def _either(build: Builder, bit: Operand, x: Operand, y: Operand) -> Operand:
    """x where the bit is 1, else y; public if all three are."""
    if not isinstance(bit, Public) or not isinstance(x, Public) or not isinstance(y, Public):
        return choose(build, bit, x, y)
    rank = len(x.shape)
    mask = bit.array.reshape((*bit.array.shape, *(1,) * rank))
    return Public(np.where(mask, x.array, y.array), build.depth)


def _as_bit(build: Builder, index: Operand) -> Operand:
    if isinstance(index, Public):
        return Public(index.array != 0, index.depth)
    return build.bit_behind(index) or not_equal(build, index, build.public(np.int64(0)))


# -- loops ----------------------------------------------------------------------------------------------------------


@rule("scan")
def _scan(build: Builder, params: Any, *operands: Operand) -> Sequence[Operand]:
    """A loop with a known number of iterations."""
    n_consts, n_carry = _split_of(params)
    loop = _Loop(
        build,
        params["jaxpr"],
        consts=operands[:n_consts],
        init=operands[n_consts : n_consts + n_carry],
        stacked=operands[n_consts + n_carry :],
    )
    return loop.lower(count=int(params["length"]), backwards=bool(params["reverse"]))


def _split_of(params: Any) -> tuple[int, int]:
    """How many constants and carries a scan has; jax 0.12 gives their trees in place of their numbers."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()
    return len(consts.vals), len(carry.vals)


@rule("while")
def _while(build: Builder, params: Any, *operands: Operand) -> Sequence[Operand]:
    """A loop whose condition is public: its iterations are counted here, and it is then a scan."""
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond_consts = operands[:n_cond]
    loop = _Loop(
        build,
        params["body_jaxpr"],
        consts=operands[n_cond : n_cond + n_body],
        init=operands[n_cond + n_body :],
        stacked=(),
    )
    return loop.lower(count=loop.iterations(params["cond_jaxpr"], cond_consts), backwards=False)


class _Loop:
    """One loop on its way to an operation.

    A carry is public if it starts so and no secret flows into it; all its values are computed here.
    """

    def __init__(
        self,
        build: Builder,
        jaxpr: Any,
        *,
        consts: Sequence[Operand],
        init: Sequence[Operand],
        stacked: Sequence[Operand],
    ) -> None:
        self.build = build
        self.jaxpr = jaxpr
        self.consts = list(consts)
        self.init = list(init)
        self.stacked = list(stacked)
        self.public = self._public_carries()

    def _public_carries(self) -> list[bool]:
        """The greatest set of carries that stay public: shrink until nothing changes."""
        public = [isinstance(x, Public) for x in self.init]
        outside = [isinstance(x, Public) for x in self.consts]
        inside = [isinstance(x, Public) for x in self.stacked]
        while True:
            after = _known(self.jaxpr.jaxpr, [*outside, *public, *inside])[: len(public)]
            smaller = [a and b for a, b in zip(public, after, strict=True)]
            if smaller == public:
                return public
            public = smaller

    def _step(self, carry: list[Public | None], slices: list[Public | None]) -> list[Public | None]:
        """One iteration of what is public."""
        consts = [x if isinstance(x, Public) else None for x in self.consts]
        return _partial(self.build, self.jaxpr, [*consts, *carry, *slices])

    def _start(self) -> list[Public | None]:
        return [x if isinstance(x, Public) and p else None for x, p in zip(self.init, self.public, strict=True)]

    def iterations(self, condition: Any, consts: Sequence[Operand]) -> int:
        """How often a while loop runs.

        Raises: SecretControl if that depends on a secret; UnsupportedOperation if it does not seem to end.
        """
        carry = self._start()
        known = [x if isinstance(x, Public) else None for x in consts]
        for count in range(_MOST_ITERATIONS):
            goes_on = _partial(self.build, condition, [*known, *carry])[0]
            if goes_on is None:
                raise SecretControl(
                    "a while loop runs until a condition on secret data holds, so the number of its iterations would "
                    "show them: use jali.mpc.bounded_while(condition, body, init, most=...), which runs to a bound "
                    "that everybody knows, or lax.fori_loop with a fixed number of iterations"
                )
            if goes_on.only is None:
                raise UnsupportedOperation("a while loop whose number of iterations depends on the loop around it")
            if not goes_on.only:
                return count
            carry = [x if p else None for x, p in zip(self._step(carry, []), self.public, strict=True)]
        raise UnsupportedOperation(f"a loop was still running after {_MOST_ITERATIONS} iterations")

    def lower(self, *, count: int, backwards: bool) -> list[Operand]:
        """The loop as an operation (or as nothing, if it is all public)."""
        if count == 0:
            raise UnsupportedOperation("a loop that never runs")
        before, last, collected = self._simulate(count, backwards=backwards)
        carried = [self._carried(index) for index, public in enumerate(self.public) if not public]
        body = Builder("body", fraction=self.build.fraction, parent=self.build)
        constants = {i: self.build.usual(x) for i, x in enumerate(self.consts) if isinstance(x, Secret)}
        parts = {i: self.build.usual(x) for i, x in enumerate(self.stacked) if isinstance(x, Secret)}
        given_constants = {i: body.given(x.type) for i, x in constants.items()}
        given_carries = [body.given(x.type) for x in carried]
        given_parts = {i: body.given(msgspec.structs.replace(x.type, shape=x.shape[1:])) for i, x in parts.items()}
        carries = iter(given_carries)
        operands: list[Operand] = [
            *(given_constants.get(i) or _inside(x) for i, x in enumerate(self.consts)),
            *(_placed(before[i]) if public else next(carries) for i, public in enumerate(self.public)),
            *(given_parts.get(i) or _iterated(x, count) for i, x in enumerate(self.stacked)),
        ]
        results = walk(body, self.jaxpr, operands)
        outputs = self._body_outputs(body, results, types=[x.type for x in carried])
        stacks = [(k, x) for k, x in enumerate(results[len(self.public) :]) if k not in collected]
        values = [*outputs, *(self._stacked_output(body, x).value for _, x in stacks)]
        made = (
            self._emit(body, values, [list(constants.values()), carried, list(parts.values())], count, backwards)
            if values
            else []
        )
        secret = iter(made)
        final = [last[i] if public else next(secret) for i, public in enumerate(self.public)]
        ys = [collected.get(k) or next(secret) for k in range(len(results) - len(self.public))]
        return [x for x in (*final, *ys) if x is not None]

    def _carried(self, index: int) -> Secret:
        """A secret carry's first value in the usual scale."""
        variable = self.jaxpr.jaxpr.invars[len(self.consts) + index]
        kind = kind_of(variable.aval.dtype)
        fraction = self.build.fraction if kind == "fixed" else 0
        shape = tuple(variable.aval.shape)
        return self.build.shared(self.init[index], ValueType(shape=shape, kind=kind, fraction=fraction))

    def _simulate(
        self, count: int, *, backwards: bool
    ) -> tuple[list[Public | None], list[Public | None], dict[int, Public]]:
        """Public carries before each iteration (stacked) and after the last, and the outputs that are public."""
        depth = self.build.depth
        carry = self._start()
        n = len(self.public)
        known = _known(
            self.jaxpr.jaxpr,
            [
                *(isinstance(x, Public) for x in self.consts),
                *self.public,
                *(isinstance(x, Public) for x in self.stacked),
            ],
        )
        wanted = [k for k, flag in enumerate(known[n:]) if flag]
        if not any(self.public) and not wanted:
            return carry, carry, {}
        before: list[list[Public | None]] = []
        after: list[list[Public | None]] = []
        order = range(count - 1, -1, -1) if backwards else range(count)
        for index in order:
            slices = [_part(x, index) if isinstance(x, Public) else None for x in self.stacked]
            results = self._step(carry, slices)
            before.append(carry)
            after.append(results[n:])
            carry = [x if p else None for x, p in zip(results, self.public, strict=False)]
        if backwards:
            before.reverse()
            after.reverse()
        stacked = [_stack([row[i] for row in before], depth) if p else None for i, p in enumerate(self.public)]
        collected = {k: _as_value(_stack([row[k] for row in after], depth)) for k in wanted}
        return stacked, carry, collected

    def _body_outputs(self, body: Builder, results: list[Operand], *, types: list[ValueType]) -> list[int]:
        secret = [x for x, public in zip(results, self.public, strict=False) if not public]
        return [body.shared(x, kind).value for x, kind in zip(secret, types, strict=True)]

    def _stacked_output(self, body: Builder, x: Operand) -> Secret:
        if isinstance(x, Secret):
            return body.usual(x)
        kind = kind_of(x.array.dtype)
        return body.shared(x, ValueType(shape=x.shape, kind=kind, fraction=body.fraction if kind == "fixed" else 0))

    def _emit(
        self,
        body: Builder,
        values: list[int],
        given: list[list[Secret]],
        count: int,
        backwards: bool,  # noqa: FBT001
    ) -> list[Secret]:
        build = self.build
        constants, carried, parts = given
        needed, _ = body.needed(values)
        own = body.inputs
        groups = (
            own[: len(constants)],
            own[len(constants) : len(constants) + len(carried)],
            own[len(constants) + len(carried) :],
        )
        fixed = [(x.value, v) for x, v in zip(constants, groups[0], strict=True) if v in needed]
        fixed += [pair for pair in body.constants if pair[1] in needed]
        sliced = [(x.value, v) for x, v in zip(parts, groups[2], strict=True) if v in needed]
        sliced += [pair for pair in body.stacks if pair[1] in needed]
        program = body.finish(values, inputs=[*(v for _, v in fixed), *groups[1], *(v for _, v in sliced)])
        results = [
            *program.output_types[: len(carried)],
            *(msgspec.structs.replace(t, shape=(count, *t.shape)) for t in program.output_types[len(carried) :]),
        ]
        op = Op(
            kind="loop",
            inputs=(*(v for v, _ in fixed), *(x.value for x in carried), *(v for v, _ in sliced)),
            attributes={"count": count, "constants": len(fixed), "carries": len(carried), "reverse": int(backwards)},
            body=program,
        )
        return build.emit_many(op, results)


# -- what is public inside a loop -----------------------------------------------------------------------------------


def _partial(build: Builder, jaxpr: Any, operands: Sequence[Public | None]) -> list[Public | None]:
    """The outputs of a jaxpr that follow from the known operands alone; None for the others."""
    environment = _bound(build, jaxpr, operands)
    for equation in jaxpr.jaxpr.eqns:
        inputs = [_read(build, environment, atom) for atom in equation.invars]
        inner = _inner(equation)
        results: Sequence[Any]
        if draws(equation):
            results = [None]
        elif inner is not None:
            results = _partial(build, _closed(inner), inputs)
        elif any(x is None for x in inputs):
            results = [None] * len(equation.outvars)
        elif equation.primitive.name in _CONTROL:
            results = _rule(build, equation, inputs)
        else:
            results = fold(build, equation, inputs)
        environment.update(zip(equation.outvars, results, strict=True))
    return [_read(build, environment, atom) for atom in jaxpr.jaxpr.outvars]


def _known(jaxpr: Any, flags: Sequence[bool]) -> list[bool]:
    """Which outputs follow from the operands whose flags are set."""
    known: dict[Any, bool] = dict.fromkeys(jaxpr.constvars, True)
    known.update(zip(jaxpr.invars, flags, strict=True))

    def flag(atom: Any) -> bool:
        return hasattr(atom, "val") or known[atom]

    for equation in jaxpr.eqns:
        inputs = [flag(atom) for atom in equation.invars]
        inner = _inner(equation)
        alike = [all(inputs)] * len(equation.outvars)
        if draws(equation):
            alike = [False]
        elif inner is not None:
            alike = _known(_closed(inner).jaxpr, inputs)
        known.update(zip(equation.outvars, alike, strict=True))
    return [flag(atom) for atom in jaxpr.outvars]


def _part(x: Public, index: int) -> Public:
    """Element `index` of the first axis."""
    return Public(x.array[(slice(None),) * x.depth + (index,)], x.depth)


def _stack(rows: Sequence[Public | None], depth: int) -> Public | None:
    """Values of all iterations along a new axis behind those of the loops around."""
    arrays = [row.array for row in rows if row is not None]
    lead = np.broadcast_shapes(*(a.shape[:depth] for a in arrays))
    numbers = library(arrays[0])
    wide = [numbers.broadcast_to(a, (*lead, *a.shape[depth:])) for a in arrays]
    return Public(numbers.stack(wide, axis=depth), depth)


def _as_value(x: Public | None) -> Public:
    if x is None:
        raise UnsupportedOperation("a loop without iterations")
    return x


def _placed(x: Public | None) -> Public:
    """A stack of all iterations as a value inside the loop."""
    stacked = _as_value(x)
    return Public(stacked.array, stacked.depth + 1)


def _inside(x: Operand) -> Public:
    """A public value from outside the loop: the same in each iteration."""
    if isinstance(x, Secret):
        raise UnsupportedOperation("a secret constant of a loop was lost")
    return Public(library(x.array).expand_dims(x.array, x.depth), x.depth + 1)


def _iterated(x: Operand, count: int) -> Public:
    """A public array over which the loop runs."""
    if isinstance(x, Secret):
        raise UnsupportedOperation("a secret array of a loop was lost")
    lead = x.array.shape[: x.depth]
    return Public(library(x.array).broadcast_to(x.array, (*lead, count, *x.array.shape[x.depth + 1 :])), x.depth + 1)


def _source(equation: Any) -> str:
    """The user's line: the innermost frame that is neither jax's nor ours."""
    traceback = equation.source_info.traceback
    if traceback is None:
        return ""
    for frame in traceback.frames:
        name = frame.file_name
        if "/jax/" in name or "/jaxlib/" in name or "/jali/mpc/" in name or name.startswith("<"):
            continue
        return f"{name.rpartition('/')[2]}:{frame.line_num if hasattr(frame, 'line_num') else frame.start_line}"
    return ""
