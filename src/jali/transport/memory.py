# SPDX-License-Identifier: Apache-2.0
"""Sessions between parties of one process: for simulation and tests.

The handshake, the keys, the streams, the back-pressure and the way errors travel are those of TLS sessions; only the
sockets are missing: a frame is handed to the other side on the sender's thread, by one copy.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from jali.core.errors import JaliError, PeerLost
from jali.transport.frames import Frame, Kind
from jali.transport.handshake import Proposal, check_hello
from jali.transport.link import Link
from jali.transport.messages import Message, decode, encode
from jali.transport.session import Session
from jali.transport.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["MemoryLink", "connect_memory"]


class MemoryLink(Link):
    """One side of a pair of parties in the same process."""

    other: MemoryLink
    _cut = False

    def transmit(self, kind: Kind, parts: Sequence[memoryview], *, stream: bytes, total: int, length: int) -> None:
        """Copy the payload into the peer's memory."""
        if self._cut:
            return
        target, space = self.other.arriving(Frame(kind, length, 0, total, stream))
        done = 0
        for part in parts:
            space[done : done + part.nbytes] = part
            done += part.nbytes
        self.other.arrived(target, length)

    def grant(self, stream_id: bytes, limit: int) -> None:
        """Tell the peer."""
        if not self._cut:
            self.other.credited(Frame(Kind.CREDIT, 0, 0, limit, stream_id))

    def post(self, message: Message) -> None:
        """Hand the message over, by way of its encoding."""
        if not (self._cut or self._departed):
            self.other.told(decode(encode(message)))

    def finish(self, deadline: float) -> None:
        """Nothing is under way."""

    def end(self) -> None:
        """Nothing to free."""

    def sever(self) -> None:
        """Both sides lose each other, as when a process is killed (for tests)."""
        for side in (self, self.other):
            side.lose()

    def lose(self) -> None:
        """This side sees that the peer is gone."""
        self._cut = True
        self._lost(self.peer, PeerLost(f"party {self.peer!r} is gone: the connection was severed", party=self.peer))


def connect_memory(
    parties: Iterable[str],
    *,
    federation_digest: bytes | None = None,
    program_digests: Mapping[str, bytes] | None = None,
    settings: Settings | None = None,
) -> dict[str, Session]:
    """A session for each of `parties`, connected with each other inside this process.

    `federation_digest` and `program_digests` (by party) default to fixed values, the same for all.
    Cost: one key agreement a pair; one control thread a party.
    """
    names = tuple(parties)
    settings = settings or Settings()
    federation = federation_digest or hashlib.sha256("\0".join(names).encode()).digest()
    proposals = {
        name: Proposal(name, names, federation=federation, program=(program_digests or {}).get(name, b""))
        for name in names
    }
    sessions = {name: Session(proposal, settings) for name, proposal in proposals.items()}
    try:
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                _join(sessions, proposals, (first, second))
        for session in sessions.values():
            session.agree()
        for session in sessions.values():
            session.confirm(time.monotonic() + settings.connect_s)
    except JaliError:
        for session in sessions.values():
            session.close()
        raise
    return sessions


def _join(sessions: dict[str, Session], proposals: dict[str, Proposal], pair: tuple[str, str]) -> None:
    links = {}
    for me, peer in (pair, pair[::-1]):
        session = sessions[me]
        links[me] = MemoryLink(peer, session.settings, heard=session.heard, lost=session.lost)
    for me, peer in (pair, pair[::-1]):
        links[me].other = links[peer]
        introduction = check_hello(proposals[me], proposals[peer].hello(me), peer=peer)
        sessions[me].admit(links[me], introduction)
