# SPDX-License-Identifier: Apache-2.0
"""What a running node is given: streams of its own, generators shared with one other party, a progress hook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jali.core.errors import InternalError
from jali.crypto.hashing import digest
from jali.crypto.prg import derive_prg
from jali.transport.channel import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jali.crypto.prg import Prg
    from jali.graph.node import Node
    from jali.transport.channel import Stream
    from jali.transport.session import Session

__all__ = ["Context"]


class Context:
    """One party's view of one running node (see `jali.graph.operation.NodeContext`)."""

    def __init__(self, node: Node, session: Session, report: Callable[[Node, float, str], None]) -> None:
        """Opens nothing yet: streams open when they are first used."""
        self.node = node
        self.party = session.party
        self.participants = node.participants
        self.outline: Any = None
        self.rounds: int | None = None
        self.note: dict[str, str] = {}  # what the ledger's entry for the node says besides
        self.dealt_bytes: int | None = None
        self.dealing_s: float | None = None
        self._session = session
        self._report = report
        self._streams: dict[tuple[str, str], tuple[bytes, Stream]] = {}
        self.streams: Mapping[str, Stream] = _Streams(self)

    def stream(self, peer: str, label: str = "") -> Stream:
        """The node's stream of that label to `peer`.

        What goes over a stream whose label begins with "~" (shapes, digests) is not counted as the node's cost.
        """
        key = (peer, label)
        if key not in self._streams:
            name = digest("graph.stream", self.node.id, label.encode())[:16] if label else self.node.stream_id
            self._streams[key] = (name, self._session.channel(peer).stream(name))
        return self._streams[key][1]

    def prg(self, *parties: str, label: str) -> Prg:
        """A generator that `parties` (this one and at most one other) share, fresh for this node and label."""
        others = [p for p in parties if p != self.party]
        if len(others) > 1 or self.party not in parties:
            raise InternalError(f"{self.party!r} asked for a generator of {parties}")
        key = self._session.shared_key(others[0]) if others else self._session.private_key
        names = "\0".join(sorted(parties)).encode()
        return derive_prg(key, self.node.id, names, label.encode())

    def progress(self, done: float, what: str) -> None:
        """Report the fraction done (0 to 1)."""
        self._report(self.node, done, what)

    def close(self) -> Counters:
        """Close the streams; bytes and messages are sums, rounds those of the protocol or the busiest stream."""
        total = Counters()
        for (peer, label), (name, _stream) in self._streams.items():
            counters = self._session.channel(peer).close_stream(name)
            if label.startswith("~"):
                continue
            total.bytes_sent += counters.bytes_sent
            total.bytes_received += counters.bytes_received
            total.messages_sent += counters.messages_sent
            total.messages_received += counters.messages_received
            total.rounds = max(total.rounds, counters.rounds)
        self._streams.clear()
        total.rounds = total.rounds if self.rounds is None else self.rounds
        return total


class _Streams(Mapping[str, "Stream"]):
    """The unlabelled stream to every other participant, opened on first use."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getitem__(self, peer: str) -> Stream:
        if peer not in self._context.participants or peer == self._context.party:
            raise KeyError(peer)
        return self._context.stream(peer)

    def __iter__(self) -> Iterator[str]:
        return (p for p in self._context.participants if p != self._context.party)

    def __len__(self) -> int:
        return len(self._context.participants) - 1
