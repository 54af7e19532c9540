# SPDX-License-Identifier: Apache-2.0
"""What a program will cost and whom it trusts, before it runs, from shapes alone.

Rounds and bytes are exact: the roles of every MPC node are run on arrays that have shapes and no content, and they
take the decisions that the real roles take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from jali.core.threat import Cost
from jali.core.tree import flatten, map_leaves, unflatten
from jali.core.types import Spec
from jali.devices.moves import input_type
from jali.devices.mpc import run_on_secrets
from jali.devices.roles import RoleParts
from jali.mpc.engine import SecretArray, reveal_outputs, round_outputs, share_inputs
from jali.mpc.estimate import estimate
from jali.mpc.ir import ValueType
from jali.mpc.prepare import prepare
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.devices.roles import Layout
    from jali.graph.node import Node
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.numbers import Numbers
    from jali.mpc.prepare import Prepared
    from jali.mpc.rounds import Round

__all__ = ["Prediction", "predict", "trust"]


class Prediction(NamedTuple):
    """Costs by node index, and what is known of how large the numbers of each program may be."""

    costs: dict[int, Cost]
    ranges: tuple[str, ...]


def predict(nodes: Sequence[Node], outlines: Mapping[int, Any]) -> Prediction:
    """Exact rounds and bytes of the MPC nodes whose inputs' shapes are known, and the ranges of their programs.

    Shapes are known where `device(f, returns=...)` pins them, and from `outlines` of a run: (structure, types) of
    what was shared, by node index.

    Raises: RangesUnsafe if a program can overflow.
    """
    values: dict[int, Any] = {}
    ranges: dict[str, None] = {}
    costs: dict[int, Cost] = {}
    for node in nodes:
        handler = _HANDLERS.get(node.operation)
        inputs = [values.get(used.index) for used in node.inputs]
        if node.operation == "mpc.share" and node.index in outlines:
            inputs = [unflatten(*outlines[node.index])]
        layout = node.attributes.get("device") or node.attributes.get("layout")
        alone = layout is not None and len(layout.roles) == 1  # nobody to talk to: nothing to price
        if handler is None or alone or any(value is None for value in inputs):
            continue
        if node.operation == "mpc.call":
            prepared = _prepared(node, inputs)
            ranges.update(dict.fromkeys(f"{note} ({node.source})" for note in prepared.notes))
        values[node.index], cost = handler(node, inputs)
        if cost is not None:
            costs[node.index] = cost
    return Prediction(costs, tuple(ranges))


def trust(nodes: Sequence[Node]) -> tuple[str, ...]:
    """What each mpc device of the program assumes, in plain words."""
    layouts = dict.fromkeys(n.attributes["device"] for n in nodes if n.operation == "mpc.call")
    lines = []
    for layout in layouts:
        protocol = PROTOCOLS.get(layout.protocol)
        threat = protocol.threat
        players = ", ".join(f"{party} ({name})" for name, party in zip(protocol.roles, layout.roles, strict=True))
        assumed = "; ".join(threat.assumptions)
        if layout.insecure:
            assumed = f"INSECURE: {layout.insecure} computes and deals, so it can read every secret of this device"
        lines.append(
            f"{layout.protocol} of {players}: {threat.adversary}, {threat.corrupt} of {threat.parties} may be corrupt; "
            f"{assumed} ({threat.paper})"
        )
    return tuple(dict.fromkeys([*lines, *(n.attributes["trust"] for n in nodes if "trust" in n.attributes)]))


def _plain_call(node: Node, inputs: list[Any]) -> tuple[Any, None]:
    del inputs
    returns = node.attributes["returns"]
    if returns is None or isinstance(returns, int):
        return None, None
    leaves, structure = flatten(returns)
    if not all(isinstance(leaf, Spec) for leaf in leaves):
        return None, None
    return unflatten(structure, leaves), None


def _item(node: Node, inputs: list[Any]) -> tuple[Any, None]:
    value = inputs[0]
    for key in node.attributes["path"]:
        value = RoleParts({r: v[key] for r, v in value.items()}) if isinstance(value, RoleParts) else value[key]
    return value, None


def _share(node: Node, inputs: list[Any]) -> tuple[RoleParts, Cost]:
    layout: Layout = node.attributes["device"]
    outlines, structure = flatten(inputs[0])
    types = [kind if isinstance(kind, ValueType) else _pinned(kind, layout.numbers) for kind in outlines]
    first = layout.played_by(node.attributes["owner"])[:1]
    source = first[0] if first else len(layout.roles)

    def operation(side: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
        return share_inputs(side, None, owner=source, types=types)

    parts, cost = _priced(layout, operation, guest=None if first else operation)
    return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()}), cost


def _mpc_call(node: Node, inputs: list[Any]) -> tuple[RoleParts, Cost]:
    layout: Layout = node.attributes["device"]
    arguments = node.attributes["arguments"]
    prepared = _prepared(node, inputs)

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        own_args, own_kwargs = arguments.fill(tuple(parts[side.role] for parts in inputs))
        return run_on_secrets(prepared, side, own_args, own_kwargs)

    return _priced(layout, operation)


def _prepared(node: Node, inputs: list[Any]) -> Prepared:
    layout: Layout = node.attributes["device"]
    args, kwargs = node.attributes["arguments"].fill(tuple(parts[0] for parts in inputs))
    return prepare(node.attributes["function"], args, keywords=kwargs, numbers=layout.numbers)


def _pinned(spec: Spec, numbers: Numbers) -> ValueType:
    kind = input_type(np.broadcast_to(np.zeros((), spec.dtype), spec.shape), numbers)
    return kind if spec.bound is None else msgspec.structs.replace(kind, bound=spec.bound)


def _round(node: Node, inputs: list[Any]) -> tuple[RoleParts, Cost]:
    layout: Layout = node.attributes["device"]

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        secrets, structure = flatten(inputs[0][side.role])
        return unflatten(structure, (yield from round_outputs(side, secrets)))

    return _priced(layout, operation)


def _reveal(node: Node, inputs: list[Any]) -> tuple[Any, Cost]:
    layout: Layout = node.attributes["layout"]
    parts: RoleParts = inputs[0]
    secrets = {role: flatten(tree)[0] for role, tree in parts.items()}
    roles = [role for role, party in enumerate(layout.evaluators) if party in node.attributes["to"]]
    guests = [party for party in node.attributes["to"] if party not in layout.evaluators]
    costs = []
    for to, outside in [(roles, False), *(([len(layout.roles)], True) for _ in guests)]:
        if not to:
            continue

        def operation(side: MpcProtocol, to: Sequence[int] = to) -> Generator[Round, Any, Any]:
            return reveal_outputs(side, secrets.get(side.role, []), to=to)

        def guest(side: MpcProtocol, to: Sequence[int] = to) -> Generator[Round, Any, Any]:
            return reveal_outputs(side, [SecretArray(None, s.type) for s in secrets[0]], to=to)

        costs.append(_priced(layout, operation, guest=guest if outside else None)[1])
    total: dict[str, int] = {}
    for cost in costs:
        for role, size in cost.bytes_sent.items():
            total[role] = total.get(role, 0) + size
    types = map_leaves(lambda secret: secret.type, parts[0])
    return types, Cost(rounds=max(cost.rounds for cost in costs), bytes_sent=total)


def _priced(
    layout: Layout,
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
) -> tuple[RoleParts, Cost]:
    parts = RoleParts()

    def keeping(side: MpcProtocol) -> Generator[Round, Any, None]:
        parts[side.role] = yield from operation(side)

    return parts, estimate(layout.protocol, keeping, guest=guest)


_HANDLERS: dict[str, Callable[[Node, list[Any]], tuple[Any, Cost | None]]] = {
    "plain.call": _plain_call,
    "item": _item,
    "mpc.share": _share,
    "mpc.call": _mpc_call,
    "mpc.reveal": _reveal,
    "mpc.round": _round,
}
