# SPDX-License-Identifier: Apache-2.0
"""What a program will cost and whom it trusts, before it runs, from shapes alone.

Rounds and bytes are exact: the roles of every MPC node are run on arrays that have shapes and no content, and they
take the decisions that the real roles take. Seconds follow from them, a network, and the speed of this machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.threat import Cost
from jali.core.tree import flatten, map_leaves, unflatten
from jali.core.types import Spec
from jali.devices.mpc import run_on_secrets
from jali.devices.roles import RoleParts
from jali.graph.operation import OPERATIONS
from jali.mpc.duration import Duration
from jali.mpc.engine import (
    SecretArray,
    compile_function,
    reveal_outputs,
    seconds_to_compile,
    share_inputs,
    type_of,
)
from jali.mpc.estimate import transcribe
from jali.mpc.pace import pace_of
from jali.mpc.registry import PROTOCOLS
from jali.transport.network import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.devices.roles import Layout
    from jali.graph.node import Node
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.ir import Program, ValueType
    from jali.mpc.rounds import Round
    from jali.transport.network import Network

    _Handler = Callable[[Node, list[Any], "_Pricing"], tuple[Any, "Planned | None"]]

__all__ = ["Planned", "notes", "predict", "trust"]

_SHOWN = 5


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a node will cost; `time` is None where no network was named."""

    cost: Cost
    time: Duration | None = None


def predict(
    nodes: Sequence[Node], outlines: Mapping[int, Any], *, network: str | Network | None = None
) -> dict[int, Planned]:
    """Exact rounds and bytes of the MPC nodes whose inputs' shapes are known, and with a network, their seconds.

    Shapes are known where `device(f, returns=...)` pins them, and from `outlines` of a run: (structure, types) of
    what was shared, by node index.
    """
    values: dict[int, Any] = {}
    costs: dict[int, Planned] = {}
    pricing = _Pricing(nodes, network)
    for node in nodes:
        handler = _HANDLERS.get(node.operation) or _planner(node.operation)
        inputs = [values.get(used.index) for used in node.inputs]
        if node.operation == "mpc.share" and node.index in outlines:
            inputs = [unflatten(*outlines[node.index])]
        layout = node.attributes.get("device") or node.attributes.get("layout")
        alone = layout is not None and len(layout.roles) == 1  # nobody to talk to: nothing to price
        if handler is None or alone or any(value is None for value in inputs):
            continue
        values[node.index], cost = handler(node, inputs, pricing)
        if cost is not None:
            costs[node.index] = cost
    return costs


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
    unknown = [node.name for node in nodes if node.index not in planned and node.operation != "item"]
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


class _Pricing:
    """Prices operations, in seconds too if there is a network."""

    def __init__(self, nodes: Sequence[Node], network: str | Network | None) -> None:
        self.network = network
        self._compiled: set[Program] = set()
        self._windows: dict[Layout, dict[tuple[object, object], float]] = {}
        layouts = [n.attributes["device"] for n in nodes if n.operation in {"mpc.share", "mpc.call"}]
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
        if converted is not None:
            roles, types, back = converted
            for role in roles:
                transcript.convert(role, sum(math.prod(kind.shape) for kind in types), back=back)
        time = None
        if self.network is not None and self._pace is not None:
            prepare_s = None if program is None else self._prepare_s(program)
            time = self._pace.duration(
                transcript,
                protocol=layout.protocol,
                network=self.network,
                prepare_s=prepare_s,
                windows=self._windows.setdefault(layout, {}),
            )
        return parts, Planned(cost=transcript.cost, time=time)

    def _prepare_s(self, program: Program) -> float:
        """A program is traced where it is first used."""
        known = program in self._compiled
        self._compiled.add(program)
        return 0.0 if known else seconds_to_compile(program)


def _plain_call(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[Any, None]:
    del inputs, pricing
    returns = node.attributes["returns"]
    if returns is None or isinstance(returns, int):
        return None, None
    leaves, structure = flatten(returns)
    if not all(isinstance(leaf, Spec) for leaf in leaves):
        return None, None
    types = [type_of(np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)) for leaf in leaves]
    return unflatten(structure, types), None


def _item(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[Any, None]:
    del pricing
    value = inputs[0]
    for key in node.attributes["path"]:
        value = RoleParts({r: v[key] for r, v in value.items()}) if isinstance(value, RoleParts) else value[key]
    return value, None


def _share(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    layout: Layout = node.attributes["device"]
    types, structure = flatten(inputs[0])
    first = layout.played_by(node.attributes["owner"])[:1]
    source = first[0] if first else len(layout.roles)

    def operation(side: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
        return share_inputs(side, None, owner=source, types=types)

    parts, cost = pricing.price(
        layout, operation, guest=None if first else operation, converted=([source], types, False)
    )
    return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()}), cost


def _mpc_call(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[RoleParts, Planned]:
    layout: Layout = node.attributes["device"]
    arguments = node.attributes["arguments"]
    args, kwargs = arguments.fill(tuple(parts[0] for parts in inputs))
    program = compile_function(node.attributes["function"], args, keywords=kwargs)

    def operation(side: MpcProtocol) -> Generator[Round, Any, Any]:
        own_args, own_kwargs = arguments.fill(tuple(parts[side.role] for parts in inputs))
        return run_on_secrets(program, side, own_args, own_kwargs)

    return pricing.price(layout, operation, program=program)


def _reveal(node: Node, inputs: list[Any], pricing: _Pricing) -> tuple[Any, Planned]:
    layout: Layout = node.attributes["layout"]
    parts: RoleParts = inputs[0]
    secrets = {role: flatten(tree)[0] for role, tree in parts.items()}
    opened = [secret.type for secret in secrets[0]]
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

        shown = pricing.price(layout, operation, guest=guest if outside else None, converted=(to, opened, True))
        costs.append(shown[1])
    return map_leaves(lambda secret: secret.type, parts[0]), _side_by_side(costs)


def _side_by_side(openings: Sequence[Planned]) -> Planned:
    """All openings of a reveal at the same time."""
    total: dict[str, int] = {}
    for opening in openings:
        for role, size in opening.cost.bytes_sent.items():
            total[role] = total.get(role, 0) + size
    cost = Cost(rounds=max(opening.cost.rounds for opening in openings), bytes_sent=total)
    times = [opening.time.seconds for opening in openings if opening.time is not None]
    return Planned(cost=cost, time=Duration(seconds=max(times), online_seconds=max(times)) if times else None)


_HANDLERS: dict[str, _Handler] = {
    "plain.call": _plain_call,
    "item": _item,
    "mpc.share": _share,
    "mpc.call": _mpc_call,
    "mpc.reveal": _reveal,
}
