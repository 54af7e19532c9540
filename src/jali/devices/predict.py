# SPDX-License-Identifier: Apache-2.0
"""What a program will cost and whom it trusts, before it runs, from shapes alone.

Rounds and bytes are exact: the roles of every MPC node are run on arrays that have shapes and no content, and they
take the decisions that the real roles take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from jali.core.threat import Cost
from jali.core.tree import flatten, map_leaves, unflatten
from jali.devices.moves import sharing
from jali.devices.mpc import run_on_secrets
from jali.devices.pinned import pinned_types
from jali.devices.roles import RoleParts
from jali.devices.secret_moves import groups_of, received
from jali.devices.specs import type_of_spec
from jali.mpc.engine import SecretArray, reveal_outputs, round_outputs
from jali.mpc.estimate import Priced, price
from jali.mpc.ir import ValueType
from jali.mpc.parts import added, from_parts
from jali.mpc.prepare import prepare
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.core.tree import Structure
    from jali.devices.roles import Layout
    from jali.graph.node import Node
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.prepare import Prepared
    from jali.mpc.rounds import Round

__all__ = ["Prediction", "predict", "trust"]


class Prediction(NamedTuple):
    """Costs by node index, and what is known of how large the numbers of each program may be."""

    costs: dict[int, Priced]
    ranges: tuple[str, ...]


def predict(nodes: Sequence[Node], outlines: Mapping[int, Any]) -> Prediction:
    """Exact rounds and bytes, and what is dealt, of the MPC nodes whose inputs' shapes are known; ranges of programs.

    Shapes are known where `device(f, returns=...)` pins them, and from `outlines` of a run: (structure, types) of
    what was shared or loaded, by node index.

    Raises: RangesUnsafe if a program can overflow.
    """
    values: dict[int, Any] = {}
    ranges: dict[str, None] = {}
    costs: dict[int, Priced] = {}
    for node in nodes:
        handler = _HANDLERS.get(node.operation)
        inputs = [values.get(used.index) for used in node.inputs]
        if node.operation == "mpc.share" and node.index in outlines:
            inputs = [unflatten(*outlines[node.index])]
        if node.operation == "mpc.load":
            layout: Layout = node.attributes["device"]
            known = outlines.get(node.index) or pinned_types(node.attributes["returns"], layout.numbers)
            inputs = [known]
        if handler is None or any(value is None for value in inputs):
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
    layouts = dict.fromkeys(
        n.attributes[key]
        for n in nodes
        if n.operation in _TRUSTING
        for key in ("source", "device")
        if key in n.attributes
    )
    lines = []
    for layout in dict.fromkeys(msgspec.structs.replace(layout, store="") for layout in layouts):
        protocol = PROTOCOLS.get(layout.protocol)
        threat = protocol.threat
        named = [party or "somebody who dealt before" for party in layout.roles]
        players = ", ".join(f"{party} ({name})" for name, party in zip(protocol.roles, named, strict=True))
        assumed = "; ".join(threat.assumptions)
        if layout.insecure:
            assumed = f"INSECURE: {layout.insecure} computes and deals, so it can read every secret of this device"
        lines.append(
            f"{layout.protocol} of {players}: {threat.adversary}, {threat.corrupt} of {threat.parties} may be corrupt; "
            f"{assumed} ({threat.paper})"
        )
    return tuple(dict.fromkeys([*lines, *(n.attributes["trust"] for n in nodes if "trust" in n.attributes)]))


_TRUSTING = {"mpc.call", "mpc.move", "mpc.load", "mpc.save"}


def _plain_call(node: Node, inputs: list[Any]) -> tuple[Any, None]:
    del inputs
    returns = node.attributes["returns"]
    return None if pinned_types(returns) is None else returns, None  # specs become types when a device takes them


def _item(node: Node, inputs: list[Any]) -> tuple[Any, None]:
    value = inputs[0]
    for key in node.attributes["path"]:
        value = RoleParts({r: v[key] for r, v in value.items()}) if isinstance(value, RoleParts) else value[key]
    return value, None


def _share(node: Node, inputs: list[Any]) -> tuple[RoleParts, Priced]:
    layout: Layout = node.attributes["device"]
    outlines, structure = flatten(inputs[0])
    types = [kind if isinstance(kind, ValueType) else type_of_spec(kind, layout.numbers) for kind in outlines]
    if len(layout.roles) == 1:
        return _alone(layout, structure, types)
    source = layout.input_role(node.attributes["owner"])

    def operation(side: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
        return sharing(layout)(side, None, owner=source, types=types)

    parts, cost = _priced(layout, operation, guest=operation if source == len(layout.roles) else None)
    return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()}), cost


def _move(node: Node, inputs: list[Any]) -> tuple[RoleParts, Priced]:
    source: Layout = node.attributes["source"]
    target: Layout = node.attributes["device"]
    secrets, structure = flatten(inputs[0][0])
    types = [secret.type for secret in secrets]
    columns: dict[int, list[Any]] = {role: [] for role in range(len(target.roles))}
    costs = []
    for group in groups_of(source, target):
        owners = dict.fromkeys(map(target.input_role, group))

        def operation(side: MpcProtocol, owners: dict[int, None] = owners) -> Generator[Round, Any, Any]:
            return received(side, owners, types)

        guest = operation if len(target.roles) in owners else None
        parts, priced = _priced(target, operation, guest=guest)
        costs.append(priced.cost)
        for role, shares in parts.items():
            columns[role].extend(shares)

    def total(side: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
        yield from ()
        return added(side, columns[side.role], types)

    sums, _ = _priced(target, total)
    return RoleParts({role: unflatten(structure, value) for role, value in sums.items()}), Priced(_at_once(costs))


def _save(node: Node, inputs: list[Any]) -> tuple[None, Priced]:
    del inputs
    layout: Layout = node.attributes["device"]
    return None, _nothing(layout)


def _load(node: Node, inputs: list[Any]) -> tuple[RoleParts, Priced]:
    layout: Layout = node.attributes["device"]
    structure, types = inputs[0]
    if len(layout.roles) == 1:
        return _alone(layout, structure, types)
    parts, cost = _priced(layout, lambda side: from_parts(side, None, types))
    return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()}), cost


def _mpc_call(node: Node, inputs: list[Any]) -> tuple[RoleParts, Priced]:
    layout: Layout = node.attributes["device"]
    arguments = node.attributes["arguments"]
    prepared = _prepared(node, inputs)
    program = prepared.program
    if len(layout.roles) == 1:
        return _alone(layout, program.output_structure, program.output_types)

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        own_args, own_kwargs = arguments.fill(tuple(parts[side.role] for parts in inputs))
        return run_on_secrets(prepared, side, own_args, own_kwargs, apart=layout.absent is not None)

    parts, priced = _priced(layout, operation)
    if layout.absent is not None:  # what was dealt is another node's cost
        priced = Priced(msgspec.structs.replace(priced.cost, offline_bytes=0))
    return parts, priced


def _prepared(node: Node, inputs: list[Any]) -> Prepared:
    layout: Layout = node.attributes["device"]
    args, kwargs = node.attributes["arguments"].fill(tuple(parts[0] for parts in inputs))
    return prepare(node.attributes["function"], args, keywords=kwargs, numbers=layout.numbers)


def _round(node: Node, inputs: list[Any]) -> tuple[RoleParts, Priced]:
    layout: Layout = node.attributes["device"]
    if len(layout.roles) == 1:
        secrets, structure = flatten(inputs[0][0])
        return _alone(layout, structure, [secret.type for secret in secrets])

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        secrets, structure = flatten(inputs[0][side.role])
        return unflatten(structure, (yield from round_outputs(side, secrets)))

    return _priced(layout, operation)


def _deal(node: Node, inputs: list[Any]) -> tuple[None, Priced]:
    del inputs
    count: int = node.attributes["count"]
    items = tuple(msgspec.structs.replace(item, count=count * item.count) for item in node.attributes["manifest"].items)
    cost = Cost(rounds=1, bytes_sent={}, offline_bytes=sum(item.size_bytes for item in items))
    return None, Priced(cost, items)


def _reveal(node: Node, inputs: list[Any]) -> tuple[Any, Priced]:
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

        costs.append(_priced(layout, operation, guest=guest if outside else None)[1].cost)
    return map_leaves(lambda secret: secret.type, parts[0]), Priced(_at_once(costs))


def _alone(layout: Layout, structure: Structure, types: Sequence[ValueType]) -> tuple[RoleParts, Priced]:
    """A value at the one role of a device, who has nobody to talk to."""
    value = unflatten(structure, [SecretArray(None, kind) for kind in types])
    return RoleParts({0: value}), _nothing(layout)


def _nothing(layout: Layout) -> Priced:
    return Priced(Cost(rounds=0, bytes_sent=dict.fromkeys(PROTOCOLS.get(layout.protocol).roles, 0)))


def _at_once(costs: Sequence[Cost]) -> Cost:
    """What instances of a protocol cost that run side by side."""
    total: dict[str, int] = {}
    for cost in costs:
        for role, size in cost.bytes_sent.items():
            total[role] = total.get(role, 0) + size
    return Cost(rounds=max(cost.rounds for cost in costs), bytes_sent=total)


def _priced(
    layout: Layout,
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
) -> tuple[RoleParts, Priced]:
    parts = RoleParts()

    def keeping(side: MpcProtocol) -> Generator[Round, Any, None]:
        parts[side.role] = yield from operation(side)

    return parts, price(layout.protocol, keeping, guest=guest)


_HANDLERS: dict[str, Callable[[Node, list[Any]], tuple[Any, Priced | None]]] = {
    "plain.call": _plain_call,
    "item": _item,
    "mpc.share": _share,
    "mpc.move": _move,
    "mpc.save": _save,
    "mpc.load": _load,
    "mpc.call": _mpc_call,
    "mpc.deal": _deal,
    "mpc.reveal": _reveal,
    "mpc.round": _round,
}
