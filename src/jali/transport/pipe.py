# SPDX-License-Identifier: Apache-2.0
"""A pair of streams inside one party: two roles of a protocol that the same party plays."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from jali.core.errors import PartyStalled
from jali.transport.channel import Counters

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["PipeStream", "stream_pair"]

DEADLINE_S = 600.0


class PipeStream:
    """One end; see `jali.transport.channel.Stream`."""

    def __init__(self, peer: str, inbox: queue.SimpleQueue[bytearray], outbox: queue.SimpleQueue[bytearray]) -> None:
        """Made by `stream_pair`."""
        self.peer = peer
        self.counters = Counters()
        self._inbox = inbox
        self._outbox = outbox

    def send(self, *parts: Buffer) -> None:
        """Send one message."""
        message = bytearray().join(parts)
        self._outbox.put(message)
        self.counters.sent(len(message))

    def receive(self) -> memoryview:
        """The next message. Raises: PartyStalled if the other role sends nothing within the deadline."""
        try:
            message = self._inbox.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise PartyStalled(f"{self.peer} of this party sent nothing for {DEADLINE_S:g} s") from None
        self.counters.received(len(message))
        return memoryview(message)


def stream_pair(first: str, second: str) -> tuple[PipeStream, PipeStream]:
    """Two ends that talk to each other, at `first` and at `second`."""
    forth: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    back: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    return PipeStream(second, back, forth), PipeStream(first, forth, back)
