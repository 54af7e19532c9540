# SPDX-License-Identifier: Apache-2.0
"""Moves from one mpc device to another, whatever their protocols and parties: a secret stays one on the way.

The parties that hold the additive parts of a value on the source (two of m2k or rep3) add a fresh sharing of 0 and
share their parts on the target, each as the owner of an input: in its role there, or as the target's guest. The target
adds what it was given.

Security. Whoever corrupts at most one party of each device, be it the same or not, misses one part, which is uniform to
it on the source, and sees of its input on the target what the target's `input` shows: uniform words. So nobody learns
anything, and the value is safe as long as the assumptions of both devices hold. Even all parties of the target together
see fresh parts, and nothing of how the value came about. The docs page "explanation/moves" has the cases of parties
that play roles on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.errors import WouldDisclose
from jali.core.threat import Leak
from jali.core.tree import flatten, unflatten
from jali.crypto.hashing import digest
from jali.devices.moves import announce, hear
from jali.devices.roles import RoleParts, each_role, guest_role
from jali.graph.fingerprint import user_source
from jali.graph.node import Visibility
from jali.mpc.parts import added, input_parts, parts_of, refreshed
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jali.core.tree import Structure
    from jali.devices.mpc import MpcDevice
    from jali.devices.program import Program
    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.graph.node import Node
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.engine import SecretArray
    from jali.mpc.ir import ValueType
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]
    Columns = list[list[Any]]

__all__ = ["SecretMove", "fresh_parts", "groups_of", "move_node", "received", "share_parts"]


def move_node(program: Program, node: Node, device: MpcDevice) -> Node:
    """Add the node that moves a secret to another mpc device.

    Raises: WouldDisclose if a party could read every secret of the target that cannot read those of the source.
    """
    source, target = node.attributes["device"], device.layout
    _require_sound(node, source, device)
    participants = tuple(dict.fromkeys((*source.holders, *device.participants)))
    return program.append(
        "mpc.move",
        device=device.name,
        participants=participants,
        inputs=(node,),
        attributes={"source": source, "device": target, "trust": _trust(node, source, target)},
        fingerprint=digest("devices.move", source.fingerprint, target.fingerprint),
        visibility=Visibility("secret", (device.name,)),
        text=f"move {node.text}",
        leaks=tuple(
            Leak(what=f"shapes and types of {node.text}", to=party, why=f"announced by {source.holders[0]}")
            for party in participants
            if party not in source.roles
        ),
    )


def _require_sound(node: Node, source: Layout, device: MpcDevice) -> None:
    alone = len(device.layout.roles) == 1  # who reads the source must ask there: this device takes no shares
    for party in sorted(device.layout.readers if alone else device.layout.readers - source.readers):
        raise WouldDisclose(
            f"{node.text!r} is {node.visibility} and cannot move to {device.name}: {party} plays every role there that "
            "it takes to read it. "
            f"Move it to a device on which no party is alone, or jali.reveal(x, to={party!r}) if {party} may see it",
            source=user_source(),
        )


def _trust(node: Node, source: Layout, target: Layout) -> str:
    return (
        f"{node.text} ({node.source}) moves from {source} to {target}: from then on {target} protects it, and whoever "
        "breaks the assumptions of either device can read it"
    )


class SecretMove:
    """Mpc to mpc: the holders of parts share them on the target, which adds them.

    Cost: 1 round; that of an input of the target (bits: 1/8) for each holder of the source.
    """

    name = "mpc.move"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's part of the value on the target."""
        source: Layout = attributes["source"]
        target: Layout = attributes["device"]
        secrets, structure, types = _known(context, source, inputs[0])
        context.outline = (structure, types)
        own = fresh_parts(context, source, secrets) if context.party in source.holders else None
        parts = share_parts(context, target, source.holders, own, types)
        return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()})


def share_parts(
    context: Context,
    target: Layout,
    holders: Sequence[str],
    own: Sequence[Words] | None,
    types: Sequence[ValueType],
) -> RoleParts:
    """The secrets on the target of which each of the holders has an additive part; `own` is this party's.

    Security: each holder's part is an input of its own, so nobody learns anything of it.
    Cost: 1 round; that of an input of the target (bits: 1/8) for each holder.
    """
    *others, last = groups_of(holders, target)
    earlier: list[RoleParts] = []

    def take(group: tuple[str, ...]) -> Callable[[MpcProtocol], Generator[Round, Any, Columns]]:
        roles = [target.input_role(party) for party in group]
        return lambda protocol: received(
            protocol, {role: own if role == protocol.role else None for role in roles}, types
        )

    def take_and_add(protocol: MpcProtocol) -> Generator[Round, Any, list[SecretArray] | None]:
        columns = yield from take(last)(protocol)
        if protocol.role == len(target.roles):
            return None
        return added(protocol, [*(c for parts in earlier for c in parts[protocol.role]), *columns], types)

    for index, group in enumerate(others):
        earlier.append(_hand_over(context, target, group, take(group), label=f"part {index}"))
    parts = _hand_over(context, target, last, take_and_add, label="parts")
    # Those who only send wait for nobody, so all of it takes one round.
    context.rounds = min(context.rounds or 0, 1)
    return parts


def groups_of(holders: Sequence[str], target: Layout) -> list[tuple[str, ...]]:
    """The holders of parts, by the instance of the target's protocol in which they share: it has one guest."""
    guests = [party for party in holders if target.input_role(party) == len(target.roles)]
    inside = [party for party in holders if party not in guests]
    return [*((party,) for party in guests[1:]), (*inside, *guests[:1])]


def received(
    protocol: MpcProtocol, owners: Mapping[int, Sequence[Words] | None], types: Sequence[ValueType]
) -> Generator[Round, Any, Columns]:
    """Take in the parts of several owners (by role) in one round; each passes its own, and None for the others."""
    return (
        yield from parallel(
            *(input_parts(protocol, parts, owner=owner, types=types) for owner, parts in owners.items())
        )
    )


def fresh_parts(context: Context, layout: Layout, secrets: Sequence[SecretArray]) -> list[Words]:
    """This holder's parts of secrets, with a fresh sharing of 0 that neighbours among the holders draw alike."""
    protocol = PROTOCOLS.get(layout.protocol)
    place = layout.holders.index(context.party)
    after, before = (
        context.prg(context.party, layout.holders[other], label="fresh parts")
        if 0 <= other < len(layout.holders)
        else None
        for other in (place + 1, place - 1)
    )
    parts = parts_of(protocol, protocol.holders[place], secrets)
    return refreshed(parts, [secret.type for secret in secrets], after=after, before=before)


def _known(context: Context, source: Layout, value: Any) -> tuple[list[SecretArray], Structure, list[ValueType]]:
    """What this party has of the value on the source, and its types, which the first holder tells those who do not."""
    played = source.played_by(context.party)
    if not played:
        structure, types = hear(context, source.holders[0])
        return [], structure, types
    secrets, structure = flatten(value[played[0]])
    types = [secret.type for secret in secrets]
    if context.party == source.holders[0]:
        announce(context, [p for p in context.participants if p not in source.roles], structure, types)
    return secrets, structure, types


def _hand_over(
    context: Context,
    target: Layout,
    group: tuple[str, ...],
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    label: str,
) -> RoleParts:
    """Run an operation on the target, with that holder of the group as its guest who is none of its evaluators."""
    guest = next((party for party in group if target.input_role(party) == len(target.roles)), None)
    if context.party == guest:
        guest_role(context, target, operation, label=label)
    if context.party not in target.roles:
        return RoleParts()
    return each_role(context, target, operation, guest=guest, label=label)
