# SPDX-License-Identifier: Apache-2.0
"""Running a program: every operation of the IR as a step over the contract of the protocols.

`run_program` is a generator of rounds, so programs nest (a loop's body is one) and several can run side by side.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from jali import kernels
from jali.core.errors import InternalError
from jali.mpc.functions.basis import call
from jali.mpc.functions.power import divide
from jali.mpc.order.indexing import one_hot
from jali.mpc.order.radix import sort_by_digits
from jali.mpc.order.schedule import digits_are_cheaper
from jali.mpc.order.sorting import sort_columns
from jali.mpc.order.tournament import greatest
from jali.mpc.schedule import Plan, Step, run_steps
from jali.mpc.views import rows_of, scatter_of, view_function, window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Boolean, MpcProtocol
    from jali.mpc.ir import Op, Program, ValueType
    from jali.mpc.rounds import Round

    Start = Callable[[MpcProtocol, list[Any]], Any]
    Talk = Generator[Round, Any, Any]

__all__ = ["plan_of", "run_program"]

_PLANS: WeakKeyDictionary[Program, Plan] = WeakKeyDictionary()
_LOCK = Lock()


def run_program(program: Program, protocol: MpcProtocol, inputs: Sequence[Any]) -> Generator[Round, Any, list[Any]]:
    """Run a program at one role: shares (or arrays in clear, where a type is public) in and out.

    Security: what the protocol's operations show, and nothing else; the order of messages depends on the program only.
    Cost: rounds of the longest chain of interactive operations.
    Raises: InternalError if the number of inputs is wrong.
    """
    if len(inputs) != program.inputs:
        raise InternalError(f"program {program.name!r} takes {program.inputs} inputs, found {len(inputs)}")
    return (yield from run_steps(plan_of(program), protocol, inputs))


def plan_of(program: Program) -> Plan:
    """The steps of a program, made once in a process."""
    with _LOCK:
        plan = _PLANS.get(program)
    if plan is None:
        plan = _plan(program)
        with _LOCK:
            _PLANS[program] = plan
    return plan


class _Node:
    """An operation with the types around it; `result` is that of its first output."""

    __slots__ = ("op", "result", "types")

    def __init__(self, op: Op, types: list[ValueType], *, result: ValueType) -> None:
        self.op = op
        self.types = types
        self.result = result


def _plan(program: Program) -> Plan:
    steps: list[Step] = []
    initial: dict[int, Any] = {}
    for op in program.ops:
        if op.constant is not None:
            initial[op.outputs[0]] = op.constant.array
            continue
        types = [program.types[value] for value in op.inputs]
        node = _Node(op, types, result=program.types[op.outputs[0]])
        builder = _BUILDERS.get(op.kind)
        if builder is None:
            raise InternalError(f"no step for an operation of kind {op.kind!r}")
        start, interactive = builder(node)
        step = Step(
            start,
            op.inputs,
            outputs=op.outputs,
            interactive=interactive,
            many=op.kind in _MANY,
            kind=op.kind,
            source=op.source,
        )
        steps.append(step)
    return Plan(steps, size=len(program.types), given=program.inputs, outputs=program.outputs, initial=initial)


# -- arithmetic ---------------------------------------------------------------------------------------------------


def _add(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    if node.types[0].secret and node.types[1].secret:
        return lambda p, v: p.linear(np.add, v[0], v[1], shape=shape), False
    if node.types[0].secret:
        return lambda p, v: p.add_public(v[0], v[1]), False
    return lambda p, v: p.add_public(v[1], v[0]), False


def _sub(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    if node.types[0].secret and node.types[1].secret:
        return lambda p, v: p.linear(np.subtract, v[0], v[1], shape=shape), False
    if node.types[0].secret:
        return lambda p, v: p.add_public(v[0], np.negative(v[1])), False
    return lambda p, v: p.add_public(p.linear(np.negative, v[1], shape=shape), v[0]), False


def _neg(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    return lambda p, v: p.linear(np.negative, v[0], shape=shape), False


def _mul(node: _Node) -> tuple[Start, bool]:
    shift, shape, how = _integer(node.op, "shift"), node.result.shape, _how(node)
    if node.types[0].secret and node.types[1].secret:
        return lambda p, v: p.mul(v[0], v[1], shift=shift, **how), True
    secret, public = (0, 1) if node.types[0].secret else (1, 0)
    if how["wide"]:
        return lambda p, v: p.mul(v[secret], p.public(_filled(v[public], shape)), shift=shift, **how), True

    def scaled(p: MpcProtocol, v: list[Any]) -> Any:
        factor = v[public]
        return p.linear(lambda a: np.multiply(a, factor), v[secret], shape=shape)

    return _truncated(scaled, shift)


def _how(node: _Node) -> dict[str, bool]:
    """In which ring a product is made, and whether it is rounded there."""
    return {key: bool(_integer(node.op, key)) for key in ("wide", "exact")}


def _truncated(linear: Start, shift: int) -> tuple[Start, bool]:
    """A local product, and its truncation."""
    if not shift:
        return linear, False
    return lambda p, v: p.truncate(linear(p, v), shift), True


def _dot(node: _Node) -> tuple[Start, bool]:
    shift, shape, how = _integer(node.op, "shift"), node.result.shape, _how(node)
    if node.types[0].secret and node.types[1].secret:
        return lambda p, v: p.dot(v[0], v[1], shift=shift, **how), True
    if how["wide"]:
        return lambda p, v: p.dot(*_both_secret(p, node.types, v), shift=shift, **how), True

    def product(p: MpcProtocol, v: list[Any]) -> Any:
        if node.types[0].secret:
            right = np.ascontiguousarray(v[1])
            return p.linear(lambda a: kernels.matmul(np.ascontiguousarray(a), right), v[0], shape=shape)
        left = np.ascontiguousarray(v[0])
        return p.linear(lambda a: kernels.matmul(left, np.ascontiguousarray(a)), v[1], shape=shape)

    return _truncated(product, shift)


def _both_secret(p: MpcProtocol, types: list[ValueType], values: list[Any]) -> list[Any]:
    return [x if kind.secret else p.public(_filled(x, kind.shape)) for kind, x in zip(types, values, strict=True)]


def _truncate(node: _Node) -> tuple[Start, bool]:
    bits = _integer(node.op, "bits")
    return lambda p, v: p.truncate(v[0], bits), True


def _rescale(_: _Node) -> tuple[Start, bool]:
    return lambda _, v: v[0], False


def _sum(node: _Node) -> tuple[Start, bool]:
    axes: Any = node.op.attributes["axes"]
    shape = node.result.shape

    def total(a: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return np.asarray(np.add.reduce(a, axis=axes))

    return lambda p, v: p.linear(total, v[0], shape=shape), False


def _cumsum(node: _Node) -> tuple[Start, bool]:
    axis, backwards, shape = _integer(node.op, "axis"), _integer(node.op, "reverse"), node.result.shape

    def total(a: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return np.flip(np.cumsum(np.flip(a, axis), axis), axis) if backwards else np.cumsum(a, axis)

    return lambda p, v: p.linear(total, v[0], shape=shape), False


# -- rearrangements -----------------------------------------------------------------------------------------------


def _rearranged(
    function: Callable[..., NDArray[Any]], types: list[ValueType], result: ValueType, *, operands: int = 1
) -> Start:
    """The same rearrangement of shares, of bits or of arrays in clear."""
    shape = result.shape
    if not types[0].secret:
        return lambda _, v: function(*v)
    if result.kind == "bool":
        if len(types) == operands:
            return lambda p, v: p.permute_bits(function, *v, shape=shape)
        return lambda p, v: p.permute_bits(lambda *a: function(*a, *v[operands:]), *v[:operands], shape=shape)
    if len(types) == operands:
        return lambda p, v: p.linear(function, *v, shape=shape)
    return lambda p, v: p.linear(lambda *a: function(*a, *v[operands:]), *v[:operands], shape=shape)


def _view(node: _Node) -> tuple[Start, bool]:
    return _rearranged(view_function(node.op.attributes, node.result.shape), node.types, node.result), False


def _window(node: _Node) -> tuple[Start, bool]:
    return _rearranged(window_of(node.result.shape), node.types, node.result), False


def _rows(node: _Node) -> tuple[Start, bool]:
    return _rearranged(rows_of(_integer(node.op, "row"), node.result.shape), node.types, node.result), False


def _scatter(node: _Node) -> tuple[Start, bool]:
    return _rearranged(scatter_of(_integer(node.op, "row"), node.result.shape), node.types, node.result), False


def _concatenate(node: _Node) -> tuple[Start, bool]:
    axis = _integer(node.op, "axis")
    return _rearranged(
        lambda *a: np.concatenate(a, axis=axis), node.types, node.result, operands=len(node.types)
    ), False


def _share(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    if node.result.kind == "bool":
        return lambda p, v: p.public_bits(_filled(v[0], shape)), False
    return lambda p, v: p.public(_filled(v[0], shape)), False


def _random(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    return lambda p, _: p.random_bits(shape), False


# -- bits ---------------------------------------------------------------------------------------------------------


def _compare(node: _Node) -> tuple[Start, bool]:
    difference, _ = _sub(node)
    width = _width(node)
    if node.op.kind == "less":
        return lambda p, v: p.sign(difference(p, v), bits=width), True
    return lambda p, v: p.is_zero(difference(p, v), bits=width), True


def _width(node: _Node) -> int:
    """In how many bits an operation may compare."""
    return _integer(node.op, "width") or 64


def _not(_: _Node) -> tuple[Start, bool]:
    return lambda p, v: p.invert(v[0]), False


def _xor(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape

    def bits(p: MpcProtocol, value: Any, kind: ValueType) -> Boolean:
        if kind.secret:
            return value  # type: ignore[no-any-return]
        return p.public_bits(_filled(value, shape))

    return lambda p, v: p.xor(bits(p, v[0], node.types[0]), bits(p, v[1], node.types[1])), False


def _and(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    if node.types[0].secret and node.types[1].secret:
        return lambda p, v: p.conjunction(v[0], v[1]), True
    secret, public = (0, 1) if node.types[0].secret else (1, 0)

    def start(p: MpcProtocol, v: list[Any]) -> Any:
        mask = v[public]
        zeros = p.public_bits(np.zeros(shape, np.bool_))
        return p.permute_bits(lambda a, z: _where(mask, a, z), v[secret], zeros, shape=shape)

    return start, False


def _select(node: _Node) -> tuple[Start, bool]:
    if not node.types[0].secret:
        return _select_public(node.result), False
    return (_select_bits() if node.result.kind == "bool" else _select_number(node.types, node.result)), True


def _select_public(result: ValueType) -> Start:
    shape = result.shape

    def start(p: MpcProtocol, v: list[Any]) -> Any:
        mask = v[0]
        combine = p.permute_bits if result.kind == "bool" else p.linear
        return combine(lambda a, b: _where(mask, a, b), v[1], v[2], shape=shape)

    return start


def _select_number(types: list[ValueType], result: ValueType) -> Start:
    """y + b (x - y)."""
    first, second = types[1], types[2]
    shape = result.shape

    def start(p: MpcProtocol, v: list[Any]) -> Talk:
        bit, x, y = v
        if not first.secret and not second.secret:
            weight = np.subtract(x, y)
            number = yield from p.to_arithmetic(bit)
            return p.add_public(p.linear(lambda a: np.multiply(a, weight), number, shape=shape), y)
        if first.secret and second.secret:
            chosen = yield from p.select(bit, p.linear(np.subtract, x, y, shape=shape))
            return p.linear(np.add, chosen, y, shape=shape)
        if first.secret:
            shifted = x if not np.any(y) else p.add_public(x, np.negative(y))
            chosen = yield from p.select(bit, shifted)
            return chosen if shifted is x else p.add_public(chosen, y)
        chosen = yield from p.select(bit, p.add_public(p.linear(np.negative, y, shape=shape), x))
        return p.linear(np.add, chosen, y, shape=shape)

    return start


def _select_bits() -> Start:
    """y xor (b and (x xor y)), for shared x and y."""

    def start(p: MpcProtocol, v: list[Any]) -> Talk:
        bit, x, y = v
        chosen = yield from p.conjunction(bit, p.xor(x, y))
        return p.xor(chosen, y)

    return start


def _convert(node: _Node) -> tuple[Start, bool]:
    shape = node.result.shape
    if node.types[0].kind == "bool":
        unit = np.uint64(1 << node.result.fraction)

        def start(p: MpcProtocol, v: list[Any]) -> Talk:
            number = yield from p.to_arithmetic(v[0])
            return (
                number if node.result.fraction == 0 else p.linear(lambda a: np.multiply(a, unit), number, shape=shape)
            )

        return start, True
    factor = np.uint64(1 << (node.result.fraction - node.types[0].fraction))
    return lambda p, v: p.linear(lambda a: np.multiply(a, factor), v[0], shape=shape), False


# -- composites ---------------------------------------------------------------------------------------------------


def _function(node: _Node) -> tuple[Start, bool]:
    name, fraction = str(node.op.attributes["name"]), node.result.fraction
    return lambda p, v: call(name, p, v[0], fraction=fraction), True


def _divide(node: _Node) -> tuple[Start, bool]:
    fraction, positive = node.result.fraction, bool(_integer(node.op, "positive"))
    return lambda p, v: divide(p, v[0], v[1], fraction=fraction, positive=positive), True


def _maximum(node: _Node) -> tuple[Start, bool]:
    axis, shape, width = _integer(node.op, "axis"), node.result.shape, _width(node)

    def start(p: MpcProtocol, v: list[Any]) -> Talk:
        pile = p.linear(lambda a: np.moveaxis(a, axis, 0), v[0], shape=(node.types[0].shape[axis], *shape))
        return greatest(p, pile, width=width)

    return start, True


def _one_hot(node: _Node) -> tuple[Start, bool]:
    count, width = node.result.shape[-1], _width(node)
    return lambda p, v: one_hot(p, v[0], count, width=width), True


def _sort(node: _Node) -> tuple[Start, bool]:
    keys, bits = _integer(node.op, "keys"), _integer(node.op, "bits")
    if node.op.attributes["of"] == "bits":
        return lambda p, v: sort_by_digits(p, v, keys=keys), True
    count, batch = node.result.shape[-1], node.result.shape[0]
    if count > 1 and digits_are_cheaper(count, batch, keys=keys, bits=bits):
        return lambda p, v: sort_by_digits(p, v, keys=keys, bits=bits), True
    return lambda p, v: sort_columns(p, v, keys=keys, bits=bits), True


def _loop(node: _Node) -> tuple[Start, bool]:
    if node.op.body is None:
        raise InternalError("a loop without a body")
    body, plan = node.op.body, plan_of(node.op.body)
    count, constants, carries = (_integer(node.op, key) for key in ("count", "constants", "carries"))
    order = range(count - 1, -1, -1) if _integer(node.op, "reverse") else range(count)
    stacked = node.types[constants + carries :]
    outputs = body.output_types

    def start(p: MpcProtocol, v: list[Any]) -> Talk:
        fixed, carry, sources = v[:constants], v[constants : constants + carries], v[constants + carries :]
        collected: list[list[Any]] = [[] for _ in outputs[carries:]]
        for index in order:
            slices = [_slice(p, x, kind, index) for x, kind in zip(sources, stacked, strict=True)]
            results = yield from run_steps(plan, p, [*fixed, *carry, *slices])
            carry = results[:carries]
            for pile, value in zip(collected, results[carries:], strict=True):
                pile.append(value)
        piles = (pile[::-1] if _integer(node.op, "reverse") else pile for pile in collected)
        return [*carry, *(_stack(p, pile, kind) for pile, kind in zip(piles, outputs[carries:], strict=True))]

    return start, True


def _slice(p: MpcProtocol, x: Any, kind: ValueType, index: int) -> Any:
    if not kind.secret:
        return x[index]
    if kind.kind == "bool":
        return p.permute_bits(lambda a: a[index], x, shape=kind.shape[1:])
    return p.linear(lambda a: a[index], x, shape=kind.shape[1:])


def _stack(p: MpcProtocol, pile: list[Any], kind: ValueType) -> Any:
    shape = (len(pile), *kind.shape)
    if kind.kind == "bool":
        return p.permute_bits(lambda *a: np.stack(a), *pile, shape=shape)
    return p.linear(lambda *a: np.stack(a), *pile, shape=shape)


def _filled(value: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.array(np.broadcast_to(value, shape), order="C")


def _where(mask: NDArray[np.bool_], a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.where(mask, a, b))


def _integer(op: Op, key: str) -> int:
    value = op.attributes.get(key, 0)
    if not isinstance(value, int):
        raise InternalError(f"{op.kind}: expected a number as {key!r}")
    return value


_MANY = {"loop", "sort"}  # kinds with several results
_BUILDERS: dict[str, Callable[[_Node], tuple[Start, bool]]] = {
    "add": _add,
    "and": _and,
    "concatenate": _concatenate,
    "convert": _convert,
    "cumsum": _cumsum,
    "divide": _divide,
    "dot": _dot,
    "equal": _compare,
    "function": _function,
    "less": _compare,
    "loop": _loop,
    "maximum": _maximum,
    "mul": _mul,
    "neg": _neg,
    "not": _not,
    "one_hot": _one_hot,
    "random": _random,
    "rescale": _rescale,
    "rows": _rows,
    "scatter": _scatter,
    "select": _select,
    "share": _share,
    "sort": _sort,
    "sub": _sub,
    "sum": _sum,
    "truncate": _truncate,
    "view": _view,
    "window": _window,
    "xor": _xor,
}
