# SPDX-License-Identifier: Apache-2.0
"""Who plays which role of an MPC protocol, and running an operation in every role that a party plays."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from jali.crypto.hashing import digest
from jali.mpc.numbers import Numbers
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive
from jali.transport.pipe import stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from jali.graph.context import Context
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round
    from jali.transport.channel import Stream

    Operation = Callable[[MpcProtocol], Generator[Round, Any, Any]]

__all__ = ["Layout", "RoleParts", "each_role", "guest_role"]

PROGRESS_S = 1.0


class Layout(msgspec.Struct, frozen=True):
    """Which party plays which role of which protocol, and how it computes. `roles` are parties, in its order."""

    protocol: str
    roles: tuple[str, ...]
    evaluators: tuple[str, ...]
    kind: str = "mpc"
    numbers: Numbers = Numbers()

    @property
    def fingerprint(self) -> bytes:
        """What the identity of a node on the device covers."""
        return digest("devices.layout", self.protocol, "\0".join(self.roles), str(self.numbers))

    @property
    def insecure(self) -> str:
        """The party that computes and deals, so that it can read every secret; "" if there is none."""
        return next((party for party in self.roles[len(self.evaluators) :] if party in self.evaluators), "")

    def played_by(self, party: str) -> tuple[int, ...]:
        """The roles of a party: one, or two where a party deals for itself."""
        return tuple(role for role, name in enumerate(self.roles) if name == party)


class RoleParts(dict[int, Any]):
    """A party's part of a secret value: for each role that it plays, a tree of `SecretArray`.

    A party that put numbers into the value and plays no role has an entry under the number that follows the roles'.
    """


def each_role(
    context: Context,
    layout: Layout,
    operation: Operation,
    *,
    guest: str | None = None,
    label: str = "",
    only: int | None = None,
) -> RoleParts:
    """Run an operation in every role of this party, side by side; or in `only` one, where no dealer takes part.

    `guest` is a party outside the device that takes part; `label` tells several operations of one node apart.
    """
    roles = layout.played_by(context.party) if only is None else (only,)
    inner = _inner_streams(layout.played_by(context.party))
    results = RoleParts()
    errors: list[BaseException] = []

    def play(role: int) -> None:
        try:
            results[role] = _play(
                context, layout, role, operation, guest=guest, label=label, inner=inner, dealt=only is None
            )
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=play, args=(role,), daemon=True) for role in roles[1:]]
    for thread in threads:
        thread.start()
    play(roles[0])
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def guest_role(context: Context, layout: Layout, operation: Operation, *, label: str = "") -> Any:
    """Run an operation as the guest: the owner of an input, or the target of a reveal, outside the device."""
    role = len(layout.roles)
    return _play(context, layout, role, operation, guest=context.party, label=label, inner={}, dealt=False)


def _play(
    context: Context,
    layout: Layout,
    role: int,
    operation: Operation,
    *,
    guest: str | None,
    label: str,
    inner: Mapping[tuple[int, int], Stream],
    dealt: bool,
) -> Any:
    streams: dict[int, Stream] = {}
    prgs = {}
    for other, party in enumerate((*layout.roles, guest) if guest else layout.roles):
        if other == role or (party == context.party and (role, other) not in inner):
            continue  # itself, or a role that it plays in the device but not in this operation
        name = f"{label}:{min(role, other)}-{max(role, other)}"
        streams[other] = inner[role, other] if party == context.party else context.stream(party, name)
        prgs[other] = context.prg(context.party, party, label=name)
    protocol: MpcProtocol = PROTOCOLS.get(layout.protocol)(role, prgs=prgs, streams=streams)
    result = drive(_counted(operation(protocol), context), streams)
    if dealt:
        protocol.finish()
    return result


def _counted(operation: Generator[Round, Any, Any], context: Context) -> Generator[Round, Any, Any]:
    """The same operation; the context learns in how many rounds this party took part, and says so now and then."""
    rounds = 0
    replies = None
    told = time.monotonic()
    while True:
        try:
            round_ = operation.send(replies)
        except StopIteration as stop:
            context.rounds = rounds + (context.rounds or 0)
            return stop.value
        rounds += bool(round_.send or round_.expect)
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            context.progress(0.0, f"{rounds:,} rounds so far")
        replies = yield round_


def _inner_streams(roles: tuple[int, ...]) -> dict[tuple[int, int], Stream]:
    pairs: dict[tuple[int, int], Stream] = {}
    for low in roles:
        for high in roles:
            if low < high:
                pairs[low, high], pairs[high, low] = stream_pair(f"role {low}", f"role {high}")
    return pairs
