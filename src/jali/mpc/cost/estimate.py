# SPDX-License-Identifier: Apache-2.0
"""What a program will cost, exactly and before it runs.

The roles of a protocol are run in lock-step on arrays that have a shape but neither memory nor content (see
`jali.mpc.m2k.sides.Sizes`). They take the decisions that the real roles take, so rounds and bytes are those of the real
run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.threat import Cost
from jali.mpc.cost.meter import Metered, Work
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.threat import Dealt
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["GUEST", "Transcript", "estimate", "transcribe"]

GUEST = "guest"


class Transcript:
    """Everything that the roles of an operation would say and do, round by round; bytes are exact.

    `rounds` has the bytes of each message, by sender and receiver; `dealt` what the `dealer` (a role, or None) sends
    ahead of time, and `dealt_bytes` how much of it for each round and for what follows the last; `works` the
    operations of each role.
    """

    def __init__(self, names: Mapping[int, str], *, dealer: int | None) -> None:
        """Nothing is said yet; `names` are those of the roles."""
        self.names = names
        self.dealer = dealer
        self.rounds: list[dict[tuple[int, int], int]] = []
        self.dealt: tuple[Dealt, ...] = ()
        self.dealt_bytes: list[int] = []
        self._dealt_before = 0
        self.works: dict[int, list[Work]] = {role: [] for role in names}

    @property
    def cost(self) -> Cost:
        """Rounds in which anybody spoke, and bytes by sender."""
        sent = dict.fromkeys(self.names, 0)
        for messages in self.rounds:
            for (sender, _), size in messages.items():
                sent[sender] += size
        return Cost(
            rounds=sum(bool(messages) for messages in self.rounds),
            bytes_sent={self.names[role]: size for role, size in sent.items()},
            offline_bytes=self._dealt_before,
        )

    def add(self, rounds: Mapping[int, Round]) -> None:
        """Note a round."""
        messages = {}
        for sender, round_ in rounds.items():
            for receiver, arrays in round_.send.items():
                size = 8 * sum(array.size for array in arrays)
                if size:
                    messages[sender, receiver] = size
        self.rounds.append(messages)

    def convert(self, role: int, words: int, *, back: bool = False) -> None:
        """Note that a role makes ring elements of numbers first, or numbers of ring elements at the end."""
        when = float(len(self.rounds) if back else 0)
        self.works[role].append(Work("decode" if back else "encode", words, ((when, when),)))

    def deal(self, dealt: tuple[Dealt, ...]) -> None:
        """Note what was dealt so far."""
        total = sum(items.size_bytes for items in dealt)
        self.dealt_bytes.append(total - self._dealt_before)
        self.dealt, self._dealt_before = dealt, total

    def without_dealer(self) -> Transcript:
        """The same where all was dealt before: the dealer does nothing, and its bytes are another operation's."""
        rest = Transcript(self.names, dealer=None)
        rest.rounds = self.rounds
        rest.works = {role: [] if role == self.dealer else works for role, works in self.works.items()}
        return rest


def estimate(
    protocol: str,
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
) -> Cost:
    """The cost of what `operation` does under a protocol; see `transcribe`.

    Example:
    >>> def product(side):
    ...     x = yield from side.input(None, 0, (10,))
    ...     y = yield from side.input(None, 1, (10,))
    ...     return (yield from side.mul(x, y, shift=18))
    >>> estimate("m2k", product).rounds
    3
    """
    return transcribe(protocol, operation, guest=guest).cost


def transcribe(
    protocol: str,
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
) -> Transcript:
    """What the roles of an operation would say and do under a protocol.

    `operation(side)` is called once for each role; shares that it keeps for later are priced as used there (they
    remember in which state they are). `guest(side)` is the part of an owner of data who is no role. A protocol of one
    role sends nothing, so there the operation is not called.
    """
    kind = PROTOCOLS.get(protocol)
    names = dict(enumerate(kind.roles))
    if len(names) == 1 and guest is None:
        return Transcript(names, dealer=None)
    parts = dict.fromkeys(names, operation)
    if guest is not None:
        parts[len(names)] = guest
        names[len(names)] = GUEST
    transcript = Transcript(names, dealer=kind.dealer)
    sides: dict[int, Any] = {role: kind.sizes(role) for role in parts}

    def observe(rounds: Mapping[int, Round]) -> None:
        transcript.add(rounds)
        transcript.deal(sides[kind.dealer or 0].dealt)

    watched: dict[int, Any] = {
        role: Metered(side, clock=lambda: len(transcript.rounds), note=transcript.works[role].append)
        for role, side in sides.items()
    }
    running = {role: part(watched[role]) for role, part in parts.items()}
    lockstep(running, observe=observe, join=_outline)
    transcript.deal(sides[kind.dealer or 0].dealt)
    return transcript


def _outline(arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.broadcast_to(np.uint64(0), (sum(array.size for array in arrays),))
