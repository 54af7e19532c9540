# SPDX-License-Identifier: Apache-2.0
"""What a program will cost and whom it trusts, before it runs, from shapes alone.

Rounds and bytes are exact: the roles of every MPC node are run on arrays that have shapes and no content, and they
take the decisions that the real roles take. Seconds follow from them, a network, and the speed of this machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from jali.core.threat import Cost, Dealt
from jali.core.tree import flatten, map_leaves, unflatten
from jali.devices.moves import sharing
from jali.devices.mpc import run_on_secrets
from jali.devices.pinned import pinned_types
from jali.devices.roles import RoleParts
from jali.devices.secret_moves import groups_of, received
from jali.devices.specs import type_of_spec
from jali.graph.operation import OPERATIONS
from jali.mpc.cost.duration import Duration
from jali.mpc.cost.estimate import transcribe
from jali.mpc.cost.pace import pace_of
from jali.mpc.engine import SecretArray, reveal_outputs, round_outputs, seconds_to_compile
from jali.mpc.ir import ValueType
from jali.mpc.parts import added, from_parts
from jali.mpc.prepare import prepare
from jali.mpc.registry import PROTOCOLS
from jali.transport.network import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.core.tree import Structure
    from jali.devices.roles import Layout
    from jali.graph.node import Node
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.ir import Program
    from jali.mpc.prepare import Prepared
    from jali.mpc.rounds import Round
    from jali.transport.network import Network

    _Handler = Callable[[Node, list[Any], "_Pricing"], tuple[Any, "Planned | None"]]

__all__ = ["Planned", "Prediction", "notes", "predict", "trust"]

_SHOWN = 5


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a node will cost, and what is dealt for it; `time` is None where no network was named or nobody knows.

    `note` says what was chosen.
    """

    cost: Cost
    dealt: tuple[Dealt, ...] = ()
    time: Duration | None = None
    note: str = ""


class Prediction(NamedTuple):
    """Plans by node index, what is known of how large the numbers of each program may be, and what was chosen."""

    costs: dict[int, Planned]
    ranges: tuple[str, ...]
    chosen: tuple[str, ...] = ()


def predict(nodes: Sequence[Node], outlines: Mapping[int, Any], *, network: str | Network | None = None) -> Prediction:
    """Exact rounds and bytes, and what is dealt, of the MPC nodes whose inputs' shapes are known; ranges of programs.

    With a network, seconds too.

    Shapes are known where `device(f, returns=...)` pins them, and from `outlines` of a run: (structure, types) of
    what was shared or loaded, by node index.

    Raises: RangesUnsafe if a program can overflow.
    """
    values: dict[int, Any] = {}
    ranges: dict[str, None] = {}
    costs: dict[int, Planned] = {}
    pricing = _Pricing(nodes, network)
    for node in nodes:
        handler = _HANDLERS.get(node.operation) or _planner(node.operation)
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
        values[node.index], cost = handler(node, inputs, pricing)
        if cost is not None:
            costs[node.index] = cost
    chosen = (f"{nodes[index].text}: {plan.note}" for index, plan in costs.items() if plan.note)
    return Prediction(costs, tuple(ranges), tuple(dict.fromkeys(chosen)))


def _planner(operation: str) -> _Handler | None:
    """Of an operation of a layer above, which plans itself; what its value will be is not known."""
    plan = getattr(OPERATIONS.get(operation), "plan", None)
    if plan is None:
        return None
    return lambda node, inputs, pricing: (None, OPERATIONS.get(operation)().plan(node, inputs, pricing.network))


def notes(nodes: Sequence[Node], planned: Mapping[int, Planned], network: str | Network | None) -> tuple[str, ...]:
    """What to know of predicted seconds: for which network, of the whole program, and what they leave out."""
    if network is None:
        return ()
    found = network_of(network)
    name = f"{network} " if isinstance(network, str) else ""
    limits = [f"{found.rtt_s * 1e3:g} ms there and back"] if found.rtt_s else []
    limits += [f"{found.bandwidth / 1e6:g} Mbit/s out of each party"] if found.bandwidth else []
    where = ", ".join(limits) or "no limit but the processor's"
    ends: dict[int, float] = {}
    for node in nodes:
        time = planned[node.index].time if node.index in planned else None
        start = max((ends[used.index] for used in node.inputs), default=0.0)
        ends[node.index] = start + (0.0 if time is None else time.seconds)
    known = {index for index, plan in planned.items() if plan.time is not None}
    unknown = [node.name for node in nodes if node.index not in known and node.operation != "item"]
    lines = [
        f"network {name}({where}), and parties as fast as this machine",
        f"in all at least {max(ends.values(), default=0.0):.3f} s, the longest chain of nodes",
    ]
    if unknown:
        shown = ", ".join(unknown[:_SHOWN]) + (f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else "")
        lines.append(f"not predicted, and not in the sum: {shown}")
    return tuple(lines)


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


class _Pricing:
    """Prices operations, in seconds too if there is a network."""

    def __init__(self, nodes: Sequence[Node], network: str | Network | None) -> None:
        self.network = network
        self._compiled: set[Program] = set()
        self._windows: dict[Layout, dict[tuple[object, object], float]] = {}
        layouts = [n.attributes["device"] for n in nodes if n.operation in _COMPUTING]
        protocols = dict.fromkeys(layout.protocol for layout in layouts if len(layout.roles) > 1)
        self._pace = pace_of(*protocols) if network is not None and protocols else None

    def price(
        self,
        layout: Layout,
        operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
        *,
        guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
        program: Program | None = None,
        converted: tuple[Sequence[int], Sequence[ValueType], bool] | None = None,
    ) -> tuple[RoleParts, Planned]:
        """The parts of the result by role, and the cost; a `program` is compiled and agreed on first.

        `converted` says which roles make ring elements of numbers of which types first, or numbers of them at the end.
        """
        parts = RoleParts()

        def keeping(side: MpcProtocol) -> Generator[Round, Any, None]:
            parts[side.role] = yield from operation(side)

        transcript = transcribe(layout.protocol, keeping, guest=guest)
        if layout.absent is not None:
            transcript = transcript.without_dealer()
        if converted is not None:
            roles, types, back = converted
            for role in roles:
                transcript.convert(role, sum(math.prod(kind.shape) for kind in types), back=back)
        time = None
        if self.network is not None and self._pace is not None and len(layout.roles) > 1:
            prepare_s = None if program is None else self._prepare_s(program)
            time = self._pace.duration(
                transcript,
                protocol=layout.protocol,
                network=self.network,
                prepare_s=prepare_s,
                windows=self._windows.setdefault(layout, {}),
            )
        return parts, Planned(cost=transcript.cost, dealt=transcript.dealt, time=time)

    def _prepare_s(self, program: Program) -> float:
        """A program is traced where it is first used."""
        known = program in self._compiled
        self._compiled.add(program)
        return 0.0 if known else seconds_to_compile(program)


_TRUSTING = {"mpc.call", "mpc.move", "mpc.load", "mpc.save"}
_COMPUTING = {"mpc.share", "mpc.move", "mpc.load", "mpc.call", "mpc.round"}


def _plain_call(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[Any, None]:
    del inputs, pricing
    returns = node.attributes["returns"]
    return None if pinned_types(returns) is None else returns, None  # specs become types when a device takes them


def _item(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[Any, None]:
    del pricing
    value = inputs[0]
    for key in node.attributes["path"]:
        value = RoleParts({r: v[key] for r, v in value.items()}) if isinstance(value, RoleParts) else value[key]
    return value, None


def _share(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    layout: Layout = node.attributes["device"]
    outlines, structure = flatten(inputs[0])
    types = [kind if isinstance(kind, ValueType) else type_of_spec(kind, layout.numbers) for kind in outlines]
    if len(layout.roles) == 1:
        return _alone(layout, structure, types)
    source = layout.input_role(node.attributes["owner"])

    def operation(side: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
        return sharing(layout)(side, None, owner=source, types=types)

    guest = operation if source == len(layout.roles) else None
    parts, cost = pricing.price(layout, operation, guest=guest, converted=([source], types, False))
    return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()}), cost


def _move(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    source: Layout = node.attributes["source"]
    target: Layout = node.attributes["device"]
    secrets, structure = flatten(inputs[0][0])
    types = [secret.type for secret in secrets]
    columns: dict[int, list[Any]] = {role: [] for role in range(len(target.roles))}
    plans = []
    for group in groups_of(source.holders, target):
        owners = dict.fromkeys(map(target.input_role, group))

        def operation(side: MpcProtocol, owners: dict[int, None] = owners) -> Generator[Round, Any, Any]:
            return received(side, owners, types)

        guest = operation if len(target.roles) in owners else None
        parts, planned = pricing.price(target, operation, guest=guest)
        plans.append(planned)
        for role, shares in parts.items():
            columns[role].extend(shares)

    def total(side: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
        yield from ()
        return added(side, columns[side.role], types)

    sums, _ = pricing.price(target, total)
    return RoleParts({role: unflatten(structure, value) for role, value in sums.items()}), _side_by_side(plans)


def _save(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[None, Planned]:
    del inputs, pricing
    return None, _nothing(node.attributes["device"])


def _load(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    layout: Layout = node.attributes["device"]
    structure, types = inputs[0]
    if len(layout.roles) == 1:
        return _alone(layout, structure, types)
    parts, cost = pricing.price(layout, lambda side: from_parts(side, None, types))
    return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()}), cost


def _mpc_call(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    layout: Layout = node.attributes["device"]
    arguments = node.attributes["arguments"]
    prepared = _prepared(node, inputs)
    program = prepared.program
    if len(layout.roles) == 1:
        return _alone(layout, program.output_structure, program.output_types)

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        own_args, own_kwargs = arguments.fill(tuple(parts[side.role] for parts in inputs))
        return run_on_secrets(prepared, side, own_args, own_kwargs, apart=layout.absent is not None)

    return pricing.price(layout, operation, program=program)


def _prepared(node: Node, inputs: list[Any]) -> Prepared:
    layout: Layout = node.attributes["device"]
    args, kwargs = node.attributes["arguments"].fill(tuple(parts[0] for parts in inputs))
    dealt = layout.absent is not None
    return prepare(node.attributes["function"], args, keywords=kwargs, numbers=layout.numbers, beforehand=dealt)


def _round(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    layout: Layout = node.attributes["device"]
    if len(layout.roles) == 1:
        secrets, structure = flatten(inputs[0][0])
        return _alone(layout, structure, [secret.type for secret in secrets])

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        secrets, structure = flatten(inputs[0][side.role])
        return unflatten(structure, (yield from round_outputs(side, secrets)))

    return pricing.price(layout, operation)


def _deal(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[None, Planned]:
    del inputs, pricing
    count: int = node.attributes["count"]
    items = tuple(msgspec.structs.replace(item, count=count * item.count) for item in node.attributes["manifest"].items)
    cost = Cost(rounds=1, bytes_sent={}, offline_bytes=sum(item.size_bytes for item in items))
    return None, Planned(cost=cost, dealt=items)


def _reveal(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[Any, Planned]:
    layout: Layout = node.attributes["layout"]
    parts: RoleParts = inputs[0]
    secrets = {role: flatten(tree)[0] for role, tree in parts.items()}
    opened = [secret.type for secret in secrets[0]]
    roles = [role for role, party in enumerate(layout.evaluators) if party in node.attributes["to"]]
    guests = [party for party in node.attributes["to"] if party not in layout.evaluators]
    plans = []
    for to, outside in [(roles, False), *(([len(layout.roles)], True) for _ in guests)]:
        if not to:
            continue

        def operation(side: MpcProtocol, to: Sequence[int] = to) -> Generator[Round, Any, Any]:
            return reveal_outputs(side, secrets.get(side.role, []), to=to)

        def guest(side: MpcProtocol, to: Sequence[int] = to) -> Generator[Round, Any, Any]:
            return reveal_outputs(side, [SecretArray(None, s.type) for s in secrets[0]], to=to)

        shown = pricing.price(layout, operation, guest=guest if outside else None, converted=(to, opened, True))
        plans.append(shown[1])
    return map_leaves(lambda secret: secret.type, parts[0]), _side_by_side(plans)


def _alone(layout: Layout, structure: Structure, types: Sequence[ValueType]) -> tuple[RoleParts, Planned]:
    """A value at the one role of a device, who has nobody to talk to."""
    value = unflatten(structure, [SecretArray(None, kind) for kind in types])
    return RoleParts({0: value}), _nothing(layout)


def _nothing(layout: Layout) -> Planned:
    return Planned(cost=Cost(rounds=0, bytes_sent=dict.fromkeys(PROTOCOLS.get(layout.protocol).roles, 0)))


def _side_by_side(plans: Sequence[Planned]) -> Planned:
    """Instances of a protocol that run at the same time."""
    total: dict[str, int] = {}
    for plan in plans:
        for role, size in plan.cost.bytes_sent.items():
            total[role] = total.get(role, 0) + size
    cost = Cost(rounds=max(plan.cost.rounds for plan in plans), bytes_sent=total)
    times = [plan.time.seconds for plan in plans if plan.time is not None]
    return Planned(cost=cost, time=Duration(seconds=max(times), online_seconds=max(times)) if times else None)


_HANDLERS: dict[str, _Handler] = {
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
