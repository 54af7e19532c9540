# SPDX-License-Identifier: Apache-2.0
"""Moves between plain and mpc devices: shares on the way in, a reveal on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core import codec
from jali.core.errors import WouldDisclose
from jali.core.threat import Leak
from jali.core.tree import Structure, flatten, unflatten
from jali.crypto.hashing import digest
from jali.devices.roles import RoleParts, each_role, guest_role
from jali.devices.specs import input_type
from jali.graph.fingerprint import user_source
from jali.graph.node import Visibility
from jali.mpc.dealing.manifest import scatter_inputs
from jali.mpc.engine import SecretArray, reveal_outputs, round_outputs, share_inputs
from jali.mpc.ir import ValueType
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.devices.mpc import MpcDevice
    from jali.devices.program import Program
    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.graph.node import Node
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round

__all__ = [
    "RevealMove",
    "RoundMove",
    "ShareMove",
    "announce",
    "hear",
    "round_node",
    "share_node",
    "sharing",
]

OUTLINE = "~outline"


def sharing(layout: Layout) -> Callable[..., Generator[Round, Any, list[SecretArray]]]:
    """How inputs are shared: with the dealer's masks, or without the dealer where it dealt ahead of time."""
    return share_inputs if layout.absent is None else scatter_inputs


def share_node(program: Program, node: Node, device: MpcDevice) -> Node:
    """Add the node that moves a value of a plain device to an mpc device.

    Raises: WouldDisclose if the device computes in the clear, at another party.
    """
    owner = node.visibility.holders[0]
    if PROTOCOLS.get(device.layout.protocol).threat.corrupt == 0 and owner not in device.layout.roles:
        (reader,) = device.layout.roles
        raise WouldDisclose(
            f"{node.text!r} is {node.visibility} and cannot move to {device.name}, which computes in the clear at "
            f"{reader}: choose an mpc device of several parties, or jali.reveal(x, to={reader!r}) if {reader} may see "
            "it",
            source=user_source(),
        )
    participants = tuple(dict.fromkeys((owner, *device.participants)))
    return program.append(
        "mpc.share",
        device=device.name,
        participants=participants,
        inputs=(node,),
        attributes={"owner": owner, "device": device.layout},
        fingerprint=digest("devices.share", owner, device.layout.fingerprint),
        visibility=Visibility("secret", (device.name,)),
        text=f"share {node.text}",
        leaks=tuple(
            Leak(what=f"shapes, types and declared ranges of {node.text}", to=party, why="announced by the owner")
            for party in participants
            if party != owner
        ),
    )


class ShareMove:
    """Plain to mpc: the owner announces shapes and types, and shares every array of the value.

    Security: the computing parties see shapes and types (recorded as a leak) and uniform shares.
    Cost: 1 round; 8 bytes an element from the owner (m2k), 16 (rep3).
    """

    name = "mpc.share"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's shares. Raises: UnsupportedOperation if the value is not made of numbers and booleans."""
        layout: Layout = attributes["device"]
        owner: str = attributes["owner"]
        arrays: list[NDArray[Any]] | None = None
        if context.party == owner:
            leaves, structure = flatten(inputs[0])
            arrays = [np.asarray(leaf) for leaf in leaves]
            types = [input_type(leaf, layout.numbers) for leaf in leaves]
            announce(context, [p for p in context.participants if p != owner], structure, types)
        else:
            structure, types = hear(context, owner)
        context.outline = (structure, types)
        source = layout.input_role(owner)
        guest = owner if source == len(layout.roles) else None

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
            mine = arrays if protocol.role == source else None
            return sharing(layout)(protocol, mine, owner=source, types=types)

        own = guest_role(context, layout, operation) if context.party == guest else None
        if layout.played_by(context.party):
            parts = each_role(context, layout, operation, guest=guest)
        else:
            parts = RoleParts({} if own is None else {source: own})
        return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()})


def round_node(program: Program, source: Node) -> Node:
    """Add the node that rounds a secret value to nearest before it is revealed."""
    layout: Layout = source.attributes["device"]
    return program.append(
        "mpc.round",
        device=source.device,
        participants=tuple(dict.fromkeys(layout.roles)),
        inputs=(source,),
        attributes={"device": layout},
        fingerprint=digest("devices.round", layout.fingerprint),
        visibility=source.visibility,
        text=f"round {source.text}",
    )


class RoundMove:
    """Exact rounding of what comes out of a truncation, so that a reveal shows the rounded number and no more of it.

    Cost: that of `jali.mpc.rounding.rounded` for such values; nothing for others.
    """

    name = "mpc.round"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's shares of the rounded value."""

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, Any]:
            secrets, structure = flatten(inputs[0][protocol.role])
            return unflatten(structure, (yield from round_outputs(protocol, secrets)))

        return each_role(context, attributes["device"], operation)


class RevealMove:
    """Mpc to plain: the evaluators open a value to the parties that the program names.

    Cost: 1 round; 8 bytes an element from each evaluator to each target (bits are packed).
    """

    name = "mpc.reveal"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """The value at the targets, None at the other evaluators."""
        layout: Layout = attributes["layout"]
        targets: tuple[str, ...] = attributes["to"]
        if context.party in layout.evaluators:
            guests = [t for t in targets if t not in layout.evaluators]
            roles = [role for role, party in enumerate(layout.evaluators) if party in targets]
            return _open_here(context, inputs[0], layout, roles=roles, guests=guests)
        structure, types = hear(context, layout.evaluators[0])

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, Any]:
            return reveal_outputs(protocol, [SecretArray(None, t) for t in types], to=[protocol.role])

        opened = guest_role(context, layout, operation, label=f"guest {context.party}")
        return unflatten(structure, opened)


def _open_here(context: Context, parts: RoleParts, layout: Layout, *, roles: Sequence[int], guests: list[str]) -> Any:
    own = layout.played_by(context.party)[0]
    secrets, structure = flatten(parts[own])
    if own == 0:
        announce(context, guests, structure, [s.type for s in secrets])
    result = None
    # Guests first: nobody waits for an answer of theirs, so all openings together take the one round of a reveal.
    for guest, to in [*((g, [len(layout.roles)]) for g in guests), (None, roles)]:
        if not to:
            continue

        def operation(protocol: MpcProtocol, to: Sequence[int] = to) -> Generator[Round, Any, Any]:
            return reveal_outputs(protocol, secrets, to=to)

        label = f"guest {guest}" if guest else ""
        opened = each_role(context, layout, operation, guest=guest, label=label, only=own)[own]
        if guest is None and own in roles:
            result = unflatten(structure, opened)
    context.rounds = min(context.rounds or 0, 1)
    return result


def announce(context: Context, to: Sequence[str], structure: Structure, types: Sequence[ValueType]) -> None:
    """Tell parties the structure and the types of a value of which they know nothing."""
    rows = [[list(t.shape), t.kind, t.fraction, list(t.bound or ())] for t in types]
    for party in to:
        context.stream(party, OUTLINE).send(*codec.encode([structure.to_value(), rows]))


def hear(context: Context, owner: str) -> tuple[Structure, list[ValueType]]:
    """What `announce` told, by `owner`."""
    tree, rows = codec.decode(context.stream(owner, OUTLINE).receive())
    types = [
        ValueType(shape=tuple(shape), kind=kind, fraction=fraction, bound=tuple(bound) or None)
        for shape, kind, fraction, bound in rows
    ]
    return Structure.from_value(tree), types
