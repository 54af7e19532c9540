# SPDX-License-Identifier: Apache-2.0
"""One stream of a link: messages cut into frames on the way out, put together on the way in, with back-pressure.

Credit. A sender may have sent at most as many bytes of a stream as the receiver has granted. Both sides begin with
`EARLY_BYTES`, which also bounds what is kept for a stream that the receiver has not opened yet. Once it is open the
receiver grants what it has consumed plus its window, and always the whole of the message that is next: so a message
of any size gets through (two parties that send to each other before they receive cannot block each other), and what
is kept is bounded by the window and one message. Other streams are not affected by one that is full.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from jali.core.errors import FrameInvalid, MessageTooLarge
from jali.transport.channel import Counters
from jali.transport.frames import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Frame, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from jali.transport.link import Link

__all__ = ["EARLY_BYTES", "LinkStream"]

EARLY_BYTES = 4 << 20
FRAGMENT_BYTES = 512 << 10


class LinkStream:
    """Implements `jali.transport.channel.Stream`; made by `Link.stream`."""

    __slots__ = (
        "_consumed",
        "_filled",
        "_granted",
        "_incoming",
        "_limit",
        "_link",
        "_opened",
        "_ready",
        "_received",
        "_sending",
        "_sent",
        "_state",
        "_threshold",
        "counters",
        "stream_id",
    )

    def __init__(self, link: Link, stream_id: bytes) -> None:
        """A stream that the peer may already send on, and that this side has not opened."""
        self.counters = Counters()
        self.stream_id = stream_id
        self._link = link
        self._sending = threading.Lock()
        self._sent = 0
        self._limit = EARLY_BYTES
        self._ready: SimpleQueue[memoryview | None] = SimpleQueue()
        self._state = threading.Lock()
        self._opened = False
        self._incoming: memoryview | None = None
        self._filled = self._received = self._consumed = 0
        self._granted = EARLY_BYTES
        self._threshold = EARLY_BYTES // 2

    @property
    def peer(self) -> str:
        """The party at the other end."""
        return self._link.peer

    @property
    def unopened_bytes(self) -> int:
        """What is kept here although nobody has opened the stream."""
        return 0 if self._opened else self._received

    # -- out ----------------------------------------------------------------------------------------------------
    def send(self, *parts: Buffer) -> None:
        """Send one message, the concatenation of `parts` (see `Stream.send`)."""
        views = [_flat(part) for part in parts]
        total = sum(view.nbytes for view in views)
        if total > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(f"a message has {total} bytes; the wire format allows {MAX_MESSAGE_BYTES}")
        with self._sending:
            self._link.check_sending()
            if total <= FRAGMENT_BYTES and self._limit - self._sent >= total:
                self._sent += total
                self._link.transmit(Kind.DATA, views, stream=self.stream_id, total=total, length=total)
            else:
                self._send_fragments(views, total)
        self.counters.sent(total)

    def _send_fragments(self, views: Sequence[memoryview], total: int) -> None:
        pieces = _Pieces(views)
        left = total
        while left:
            size = min(left, self._await_credit(min(left, FRAGMENT_BYTES)), MAX_FRAME_BYTES)
            self._sent += size
            self._link.transmit(Kind.DATA, pieces.take(size), stream=self.stream_id, total=total, length=size)
            left -= size

    def _await_credit(self, need: int) -> int:
        if self._limit - self._sent < need:
            self._link.await_credit(lambda: self._limit - self._sent >= need)
        return self._limit - self._sent

    def credited(self, limit: int) -> None:
        """The peer allows `limit` bytes in all."""
        self._limit = max(self._limit, limit)

    # -- in -----------------------------------------------------------------------------------------------------
    def receive(self) -> memoryview:
        """The next message (see `Stream.receive`)."""
        self._link.check_failure()
        try:
            message = self._ready.get(timeout=self._link.settings.wait_s)
        except Empty:
            raise self._link.late("sent nothing") from None
        if message is None:
            self._ready.put(None)
            raise self._link.reason()
        size = message.nbytes
        with self._state:
            self._consumed += size
            limit = self._plan_grant()
        if limit:
            self._link.grant(self.stream_id, limit)
        self.counters.received(size)
        return message

    def space(self, frame: Frame) -> memoryview:
        """Where the payload of this DATA frame goes; nothing counts until `commit`.

        Raises: FrameInvalid when the frame does not continue its message, or exceeds what was granted.
        """
        if self._received + frame.length > self._granted:
            raise FrameInvalid(f"{self.peer!r} sent more than this party granted on a stream")
        if self._incoming is None:
            self._incoming, self._filled = _allocate(frame.total), 0
        end = self._filled + frame.length
        if frame.total != self._incoming.nbytes or end > frame.total:
            raise FrameInvalid(f"{self.peer!r} sent a frame that does not continue its message")
        return self._incoming[self._filled : end]

    def commit(self, length: int) -> int:
        """`length` bytes have been put where `space` said; the limit to grant now, or 0."""
        with self._state:
            self._received += length
            self._filled += length
            if self._incoming is not None and self._filled == self._incoming.nbytes:
                self._ready.put(self._incoming)
                self._incoming = None
            return self._plan_grant()

    def open(self) -> int:
        """This side uses the stream from now on; the limit to grant now, or 0."""
        with self._state:
            self._opened = True
            return self._plan_grant()

    def stop(self) -> None:
        """Nothing will come any more: wake whoever waits."""
        self._ready.put(None)

    def _plan_grant(self) -> int:
        if not self._opened:
            return 0
        window = self._link.settings.window_bytes
        limit = self._consumed + window
        head_end = 0
        if self._incoming is not None and self._received - self._filled == self._consumed:
            head_end = self._consumed + self._incoming.nbytes
        low = (
            self._granted - self._received <= self._threshold and limit - self._granted >= min(EARLY_BYTES, window) // 4
        )
        if not low and head_end <= self._granted:
            return 0
        self._granted = max(limit, head_end)
        self._threshold = window // 2
        return self._granted


class _Pieces:
    """Takes a given number of bytes at a time off a sequence of buffers, without copying."""

    def __init__(self, views: Sequence[memoryview]) -> None:
        self._views: Iterator[memoryview] = iter(views)
        self._rest = memoryview(b"")

    def take(self, size: int) -> list[memoryview]:
        """Views of the next `size` bytes."""
        taken = []
        while size:
            if not self._rest.nbytes:
                self._rest = next(self._views)
            piece, self._rest = self._rest[:size], self._rest[size:]
            taken.append(piece)
            size -= piece.nbytes
        return taken


def _flat(part: Buffer) -> memoryview:
    view = memoryview(part)
    if view.nbytes == 0:
        return memoryview(b"")
    return view if view.format == "B" and view.ndim == 1 and view.contiguous else view.cast("B")


def _allocate(size: int) -> memoryview:
    # numpy leaves the memory untouched, so a large announced size costs nothing before its bytes come
    return np.empty(size, np.uint8).data if size else memoryview(bytearray())
