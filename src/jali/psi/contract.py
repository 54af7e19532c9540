# SPDX-License-Identifier: Apache-2.0
"""What a protocol for private set intersection must provide, and the registry of those that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal, Protocol

from jali.core.registry import Registry
from jali.core.threat import Cost, Leak
from jali.transport.channel import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from jali.core.threat import Threat
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

__all__ = ["PSI_PROTOCOLS", "Learns", "PsiProtocol", "Step", "counted", "learns_of", "least_leaks"]

Learns = Literal["both", "me", "peer"]
"""Who gets the intersection, as one side sees it."""

Step = str
"""What one side does in turn: "send" or "receive" for a message out or in, or the name of a kind of work."""


class PsiProtocol(Protocol):
    """Two parties find the keys that both have. One file a protocol; both sides run the same code."""

    name: ClassVar[str]
    threat: ClassVar[Threat]

    def intersect(
        self,
        stream: Stream,
        keys: Keys,
        n_theirs: int,
        *,
        learns: Learns,
        first: bool,
        progress: Callable[[float, str], None],
    ) -> NDArray[np.int64] | None:
        """The positions in `keys.digests` of those that the peer has too, ascending; None if only the peer learns.

        Both sides have keys, and know how many the other has.

        `first` is true at one of the two parties, for protocols whose roles differ.
        `progress` is told the fraction done, from 0 to below 1 (the end is the caller's to tell), and what it is of.
        Raises: ProtocolAbort family for a peer that sends anything but what the protocol prescribes.
        """
        ...

    def cost(self, n_mine: int, n_theirs: int, *, learns: Learns, first: bool) -> Cost:
        """Exact bytes of the roles "me" and "peer" and the rounds that I wait for, for distinct keys."""
        ...

    def script(self, n_mine: int, n_theirs: int, *, learns: Learns, first: bool) -> Iterator[tuple[Step, int]]:
        """What one side does, in order, with the number of keys or of bytes; both sides' scripts fit together."""
        ...

    def pace(self) -> dict[Step, float]:
        """Seconds a key of each kind of work on this machine, measured for some tenths of a second at most."""
        ...

    def leaks(self, parties: tuple[str, str], *, learners: tuple[str, ...]) -> tuple[Leak, ...]:
        """What each of the two parties learns about the other's keys."""
        ...


def learns_of(learns: str, party: str) -> Learns:
    """Who learns, "both" or a party, as `party` sees it."""
    return "both" if learns == "both" else "me" if learns == party else "peer"


def counted(script: Iterator[tuple[Step, int]]) -> Cost:
    """The messages of a script."""
    counters = Counters()
    for step, amount in script:
        if step == "send":
            counters.sent(amount)
        elif step == "receive":
            counters.received(amount)
    return Cost(rounds=counters.rounds, bytes_sent={"me": counters.bytes_sent, "peer": counters.bytes_received})


def least_leaks(
    parties: tuple[str, str], learners: tuple[str, ...], *, learned: str = "which of its own keys {} has too"
) -> tuple[Leak, ...]:
    """What both learn where sizes are not hidden: numbers of keys, and the result, which is `learned` of the peer."""
    found = []
    for party, peer in (parties, parties[::-1]):
        found.append(
            Leak(
                what=f"the number of distinct keys of {peer}, and whether they are numbers, text or bytes",
                to=party,
                why="greeting and length of messages",
            )
        )
        if party in learners:
            found.append(Leak(what=learned.format(peer), to=party, why="the result of the intersection"))
    return tuple(found)


PSI_PROTOCOLS: Final[Registry] = Registry(
    "jali.psi_protocols",
    builtin={
        "ecdh": "jali.psi.ecdh:EcdhPsi",
        "vole": "jali.psi.vole:VolePsi",
        "vole-malicious": "jali.psi.vole_malicious:VoleMaliciousPsi",
    },
)
