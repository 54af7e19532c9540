# SPDX-License-Identifier: Apache-2.0
"""What every channel promises: ordered, authenticated messages on many streams, counted exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Channel", "Counters", "Stream"]

STREAM_ID_BYTES = 16


class Counters:
    """Payload bytes, messages and rounds of one stream (or a sum of them).

    Bytes exclude frame headers and TLS. A round is a receive that follows a send, or the first receive: the
    length of the chain of messages that this side had to wait for.
    """

    __slots__ = ("_last_was_receive", "bytes_received", "bytes_sent", "messages_received", "messages_sent", "rounds")

    def __init__(self) -> None:
        """All zero."""
        self.bytes_sent = self.bytes_received = self.messages_sent = self.messages_received = self.rounds = 0
        self._last_was_receive = False

    def sent(self, size_bytes: int) -> None:
        """Count one message out."""
        self.bytes_sent += size_bytes
        self.messages_sent += 1
        self._last_was_receive = False

    def received(self, size_bytes: int) -> None:
        """Count one message in."""
        self.bytes_received += size_bytes
        self.messages_received += 1
        if not self._last_was_receive:
            self.rounds += 1
        self._last_was_receive = True


class Stream(Protocol):
    """One ordered sequence of messages with one peer; a graph node talks on streams of its own."""

    @property
    def peer(self) -> str:
        """The party at the other end."""
        ...

    @property
    def counters(self) -> Counters:
        """What this stream has carried so far."""
        ...

    def send(self, *parts: Buffer) -> None:
        """Send one message, the concatenation of `parts`.

        The buffers must not change afterwards: they may be kept until the peer has them. Blocks only while the
        peer's window is full (back-pressure).

        Raises: PeerError family when the session failed or the deadline passed.
        """
        ...

    def receive(self) -> memoryview:
        """The next message, whole; writable memory that the caller owns.

        Raises: PeerError family when the session failed or the deadline passed.
        """
        ...


class Channel(Protocol):
    """All streams with one peer."""

    @property
    def peer(self) -> str:
        """The party at the other end."""
        ...

    def stream(self, stream_id: bytes) -> Stream:
        """The stream of that id (16 bytes); the same object for the same id until it is closed."""
        ...

    def close_stream(self, stream_id: bytes) -> Counters:
        """Forget a finished stream and give its counters."""
        ...
