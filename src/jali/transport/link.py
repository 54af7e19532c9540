# SPDX-License-Identifier: Apache-2.0
"""All streams with one peer, whatever carries their frames: the common part of the memory and TLS channels."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from jali.core.errors import FrameInvalid, JaliError, PeerClosed, PeerLate, SessionClosed, StreamFlood
from jali.transport.channel import STREAM_ID_BYTES, Counters
from jali.transport.messages import Abort, Bye, Message
from jali.transport.streams import LinkStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jali.transport.frames import Frame, Kind
    from jali.transport.settings import Settings

__all__ = ["Link"]

UNOPENED_BYTES = 1 << 30
UNOPENED_STREAMS = 1 << 16


class Link(ABC):
    """Implements `jali.transport.channel.Channel`; carriers implement `transmit`, `grant`, `post`, `finish`, `end`."""

    def __init__(
        self,
        peer: str,
        settings: Settings,
        *,
        heard: Callable[[str, Message], None],
        lost: Callable[[str, JaliError], None],
    ) -> None:
        """`heard(peer, message)` is called for each control message and `lost(peer, error)` when the link breaks.

        Both are called on a transport thread and must not block.
        """
        self.peer = peer
        self.settings = settings
        self._heard = heard
        self._lost = lost
        self._lock = threading.Lock()
        self._streams: dict[bytes, LinkStream] = {}
        self._unopened: dict[bytes, LinkStream] = {}
        self._credit = threading.Condition()
        self._failure: Abort | None = None
        self._departed = False

    # -- for users ----------------------------------------------------------------------------------------------
    def stream(self, stream_id: bytes) -> LinkStream:
        """The stream of that id; the same object until it is closed."""
        with self._lock:
            stream = self._streams.get(stream_id)
            if stream is not None and stream_id not in self._unopened:
                return stream
            stream = stream or self._make(stream_id)
            self._unopened.pop(stream_id, None)
        limit = stream.open()
        if limit:
            self.grant(stream_id, limit)
        return stream

    def close_stream(self, stream_id: bytes) -> Counters:
        """Forget a finished stream and give its counters."""
        with self._lock:
            stream = self._streams.pop(stream_id, None)
            self._unopened.pop(stream_id, None)
        return Counters() if stream is None else stream.counters

    # -- for streams --------------------------------------------------------------------------------------------
    @abstractmethod
    def transmit(self, kind: Kind, parts: Sequence[memoryview], *, stream: bytes, total: int, length: int) -> None:
        """Send one numbered frame, on the caller's thread."""

    @abstractmethod
    def grant(self, stream_id: bytes, limit: int) -> None:
        """Tell the peer its new limit on a stream; does not block."""

    def await_credit(self, enough: Callable[[], bool]) -> None:
        """Wait until the peer has granted enough.

        Raises: PeerLate after `wait_s`; what ended the session if it ended.
        """
        with self._credit:
            came = self._credit.wait_for(lambda: self._stopped or enough(), self.settings.wait_s)
        self.check_sending()
        if not came:
            raise self.late("did not take what was sent")

    def check_failure(self) -> None:
        """Raises: what failed the session, if it failed."""
        if self._failure is not None:
            raise self._failure.error()

    def check_sending(self) -> None:
        """Raises: what failed or ended the session with this peer, if anything did."""
        if self._stopped:
            raise self.reason()

    def late(self, what: str) -> PeerLate:
        """The error for a deadline that passed."""
        return PeerLate(
            f"party {self.peer!r} is connected but {what} for {self.settings.wait_s:g} s; look at what it is doing, "
            "or raise network.node_s in the federation file",
            party=self.peer,
        )

    def reason(self) -> JaliError:
        """Why nothing comes any more."""
        if self._failure is not None:
            return self._failure.error()
        return PeerClosed(
            f"party {self.peer!r} ended its session while this party still expected something of it; "
            "both must run the same program to its end",
            party=self.peer,
        )

    # -- for the session ----------------------------------------------------------------------------------------
    @abstractmethod
    def post(self, message: Message) -> None:
        """Send a control message, in order, without blocking; silently nothing when the peer has gone."""

    @abstractmethod
    def finish(self, deadline: float) -> None:
        """Wait until the peer has everything that was sent, or has gone, at most until `deadline` (monotonic)."""

    @abstractmethod
    def end(self) -> None:
        """Free threads and sockets; idempotent."""

    def fail(self, abort: Abort) -> None:
        """Every blocked and future send and receive raises this error."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = abort
        self._stop()

    def retire(self) -> None:
        """This party closes: later use of the streams is an error."""
        error = SessionClosed("this party's session has been closed; nothing can be sent or received any more")
        self.fail(Abort.of(error))

    @property
    def departed(self) -> bool:
        """Whether the peer has said good-bye."""
        return self._departed

    @property
    def open_streams(self) -> int:
        """How many streams are kept, opened or not."""
        return len(self._streams)

    # -- for carriers: what came --------------------------------------------------------------------------------
    def arriving(self, frame: Frame) -> tuple[LinkStream, memoryview]:
        """Where the payload of a DATA frame goes.

        Raises: FrameInvalid, StreamFlood.
        """
        with self._lock:
            stream = self._streams.get(frame.stream)
            if stream is None:
                stream = self._make(frame.stream)
                self._unopened[frame.stream] = stream
                self._check_flood()
        return stream, stream.space(frame)

    def arrived(self, stream: LinkStream, length: int) -> None:
        """The payload is there."""
        limit = stream.commit(length)
        if limit:
            self.grant(stream.stream_id, limit)

    def credited(self, frame: Frame) -> None:
        """The peer grants more on a stream."""
        stream = self._streams.get(frame.stream)
        if stream is not None:
            stream.credited(frame.total)
            with self._credit:
                self._credit.notify_all()

    def told(self, message: Message) -> None:
        """A control message came."""
        if isinstance(message, Bye):
            with self._lock:
                self._departed = True
            self._stop()
        self._heard(self.peer, message)

    # -- private ------------------------------------------------------------------------------------------------
    @property
    def _stopped(self) -> bool:
        return self._failure is not None or self._departed

    def _make(self, stream_id: bytes) -> LinkStream:
        if len(stream_id) != STREAM_ID_BYTES:
            raise FrameInvalid(f"expected a stream id of {STREAM_ID_BYTES} bytes, found {len(stream_id)}")
        stream = self._streams[stream_id] = LinkStream(self, stream_id)
        if self._stopped:
            stream.stop()
        return stream

    def _check_flood(self) -> None:
        count = len(self._unopened)
        if count % 64:
            return
        kept = sum(stream.unopened_bytes for stream in self._unopened.values())
        if count > UNOPENED_STREAMS or kept > UNOPENED_BYTES:
            raise StreamFlood(
                f"party {self.peer!r} is {count} streams ({kept} bytes) ahead of this party; "
                "do both run the same program?",
                party=self.peer,
            )

    def _stop(self) -> None:
        with self._lock:
            streams = list(self._streams.values())
        for stream in streams:
            stream.stop()
        with self._credit:
            self._credit.notify_all()
