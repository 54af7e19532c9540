# SPDX-License-Identifier: Apache-2.0
"""Who plays which role of an MPC protocol, and running an operation in every role that a party plays."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from jali.crypto.hashing import digest
from jali.devices.accounting import account
from jali.mpc.numbers import Numbers
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive
from jali.transport.pipe import stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from jali.crypto.prg import Prg
    from jali.graph.context import Context
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.dealing.store import Dealing
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
    dealing: str = "stream"
    store: str = ""
    numbers: Numbers = Numbers()

    @property
    def fingerprint(self) -> bytes:
        """What the identity of a node on the device covers; where a party keeps its store is its own affair."""
        return digest("devices.layout", self.protocol, "\0".join(self.roles), self.dealing, str(self.numbers))

    @property
    def absent(self) -> int | None:
        """The dealer's role, where it dealt ahead of time: it takes no part in what is computed."""
        dealer: int | None = PROTOCOLS.get(self.protocol).dealer if self.dealing == "ahead" else None
        return dealer

    @property
    def present(self) -> tuple[str, ...]:
        """The parties that take part in what is computed, each once."""
        return tuple(dict.fromkeys(party for role, party in enumerate(self.roles) if role != self.absent))

    @property
    def insecure(self) -> str:
        """The party that computes and deals, so that it can read every secret; "" if there is none."""
        return next((party for party in self.roles[len(self.evaluators) :] if party in self.evaluators), "")

    @property
    def holders(self) -> tuple[str, ...]:
        """The parties whose additive parts make up a secret: see `jali.mpc.contract`."""
        return tuple(self.roles[role] for role in PROTOCOLS.get(self.protocol).holders)

    @property
    def readers(self) -> frozenset[str]:
        """The parties that play more roles than may be corrupted, so that each could read every secret."""
        corrupt = PROTOCOLS.get(self.protocol).threat.corrupt
        return frozenset(party for party in self.roles if len(self.played_by(party)) > corrupt)

    def input_role(self, party: str) -> int:
        """As whom a party hands in data: an evaluator, or else the guest (a dealer is one then, too)."""
        return self.evaluators.index(party) if party in self.evaluators else len(self.roles)

    def __str__(self) -> str:
        """Like: m2k of alice, bob (dealer: carol)."""
        helpers = ", ".join(self.roles[len(self.evaluators) :])
        return f"{self.protocol} of {', '.join(self.evaluators)}{f' (dealer: {helpers})' if helpers else ''}"

    def played_by(self, party: str) -> tuple[int, ...]:
        """The roles of a party: one, or two where a party deals for itself."""
        return tuple(role for role, name in enumerate(self.roles) if name == party and role != self.absent)


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
    dealing: Dealing | None = None,
) -> RoleParts:
    """Run an operation in every role of this party, side by side; or in `only` one, where no dealer takes part.

    `guest` is a party outside the device that takes part; `label` tells several operations of one node apart;
    `dealing` is what was dealt ahead of time.
    """
    roles = layout.played_by(context.party) if only is None else (only,)
    inner = _inner_streams(layout.played_by(context.party))
    results = RoleParts()
    errors: list[BaseException] = []

    def play(role: int) -> None:
        try:
            results[role] = _play(
                context,
                layout,
                role,
                operation,
                guest=guest,
                label=label,
                inner=inner,
                dealt=only is None,
                dealing=dealing,
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
    dealing: Dealing | None = None,
) -> Any:
    dealer = PROTOCOLS.get(layout.protocol).dealer
    streams: dict[int, Stream] = {}
    prgs: dict[int, Prg] = {}
    if dealing is not None:
        streams[dealer], prgs[dealer] = dealing, dealing.prg
    for other, party in enumerate((*layout.roles, guest) if guest else layout.roles):
        if other in {role, layout.absent} or (party == context.party and (role, other) not in inner):
            continue  # itself, or a role that it plays in the device but not in this operation
        name = f"{label}:{min(role, other)}-{max(role, other)}"
        streams[other] = inner[role, other] if party == context.party else context.stream(party, name)
        prgs[other] = context.prg(context.party, party, label=name)
    protocol = PROTOCOLS.get(layout.protocol)(role, prgs=prgs, streams=streams)
    if dealt and layout.dealing == "prefetch" and role != dealer:
        protocol.prefetch()
    started = time.perf_counter()
    result = drive(_counted(operation(protocol), context), streams)
    if dealt:
        protocol.finish()
        account(context, layout, role, dealt=protocol.dealt, seconds=time.perf_counter() - started)
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
