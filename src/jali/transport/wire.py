# SPDX-License-Identifier: Apache-2.0
"""A link over two one-way TLS connections: numbered frames, acknowledgements, heartbeats, and resumption after a drop.

Threads. Sends run on the caller's thread, under one lock a link. One *reader* drains the incoming connection and
never waits for anything else, so two parties that both send much cannot block each other; it also repairs the
connections when they break. One *pulse* thread does what neither may: heartbeats, acknowledgements, credit, posted
control messages, and sending again what a drop lost.

Resumption. Every numbered frame stays in a log (by reference) until the peer has acknowledged it. After a drop both
sides say what they received last, and continue behind it: nothing is lost, nothing comes twice.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from jali.core.errors import FrameInvalid, InternalError, JaliError, PeerLost
from jali.transport.frames import HEADER_BYTES, NO_STREAM, Kind, pack, unpack
from jali.transport.link import Link
from jali.transport.messages import Abort, Bye, Message, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jali.transport.pairing import Side
    from jali.transport.settings import Settings
    from jali.transport.tls import Connection

__all__ = ["Pair", "WireLink"]

ACK_BYTES = 8 << 20
LAST_WORDS_S = 1.0
KEY_BYTES = 256 << 30  # below AES-GCM's limit of 2^24.5 records of 16 KiB for one key (RFC 8446, section 5.5)


class Pair(NamedTuple):
    """The two connections of a link, and the last numbered frame that the peer has."""

    outgoing: Connection
    incoming: Connection
    received: int


class _Sent(NamedTuple):
    sequence: int
    header: bytes
    parts: Sequence[memoryview]
    length: int


class WireLink(Link):
    """A link whose frames cross sockets."""

    def __init__(
        self,
        peer: str,
        settings: Settings,
        *,
        heard: Callable[[str, Message], None],
        lost: Callable[[str, JaliError], None],
        side: Side,
        pair: Pair,
        party: str,
    ) -> None:
        """Start; `side` gets a new pair after a drop."""
        super().__init__(peer, settings, heard=heard, lost=lost)
        self._side = side
        self._pair = pair
        side.interrupt = self.interrupt
        self._sending = threading.Lock()
        self._out: Connection | None = pair.outgoing
        self._log: deque[_Sent] = deque()
        self._next = 1
        self._written = 0
        self._acknowledged = 0
        self._received = 0
        self._told_received = 0
        self._unacknowledged_bytes = 0
        self._key_bytes = 0
        self._posted: deque[Message] = deque()
        self._grants: deque[tuple[bytes, int]] = deque()
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._ending = False
        self._ended = False
        self._last_pulse = 0.0
        self.drops = 0
        self._threads = [
            threading.Thread(target=self._read_and_repair, name=f"jali-{party}-read-{peer}", daemon=True),
            threading.Thread(target=self._beat, name=f"jali-{party}-pulse-{peer}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # -- out ----------------------------------------------------------------------------------------------------
    def transmit(self, kind: Kind, parts: Sequence[memoryview], *, stream: bytes, total: int, length: int) -> None:
        """Send one numbered frame; while the connection is down it is kept for when it is back."""
        with self._sending:
            entry = self._append(kind, parts, stream=stream, total=total, length=length)
            if self._out is not None and self._written == entry.sequence - 1:
                self._write(entry)

    def grant(self, stream_id: bytes, limit: int) -> None:
        """Have the pulse thread tell the peer its new limit."""
        self._grants.append((stream_id, limit))
        self._wake.set()

    def post(self, message: Message) -> None:
        """Have the pulse thread send a control message."""
        if not self._ended and (not self._departed or isinstance(message, Bye)):
            self._posted.append(message)
            self._wake.set()

    def finish(self, deadline: float) -> None:
        """Wait until everything is acknowledged or the link has ended."""
        with self._progress:
            self._progress.wait_for(
                lambda: self._ended or not (self._posted or self._log), max(0.0, deadline - time.monotonic())
            )

    def end(self) -> None:
        """Close both connections and wait for the threads."""
        self._ending = True
        self._side.cancel()
        self._wake.set()
        self._abort_connections()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(self.settings.reconnect_s + 1)

    def interrupt(self) -> None:
        """Cut the connections, as a network failure would; the link repairs itself."""
        self._abort_connections()

    @property
    def broken(self) -> bool:
        """Whether the connections are down at the moment."""
        return self._out is None

    def _append(self, kind: Kind, parts: Sequence[memoryview], *, stream: bytes, total: int, length: int) -> _Sent:
        self._trim()
        header = pack(kind, stream=stream, sequence=self._next, total=total, length=length)
        entry = _Sent(self._next, header, parts, length)
        self._log.append(entry)
        self._next += 1
        return entry

    def _trim(self) -> None:
        log = self._log
        while log and log[0].sequence <= self._acknowledged:
            log.popleft()

    def _write(self, entry: _Sent) -> None:
        if self._out is None:
            return
        try:
            self._out.write(entry.header, entry.parts, entry.length)
            self._written = entry.sequence
            self._key_bytes += entry.length
        except OSError:
            self._out = None
            self._abort_connections()

    # -- the pulse thread ---------------------------------------------------------------------------------------
    def _beat(self) -> None:
        while not (self._ending or self._ended):
            self._wake.wait(self.settings.heartbeat_s)
            self._wake.clear()
            try:
                with self._sending:
                    self._trim()
                    self._take_posted()
                    self._write_backlog()
                    self._pulse()
            except Exception as error:  # noqa: BLE001 - a thread's edge: nobody may be left waiting
                self._lost(self.peer, InternalError(f"{type(error).__name__} while writing to party {self.peer!r}"))
                self._ended = True
                self._abort_connections()
            with self._progress:
                self._progress.notify_all()

    def _write_backlog(self) -> None:
        if self._log and self._written < self._log[-1].sequence:
            for entry in [entry for entry in self._log if entry.sequence > self._written]:
                self._write(entry)

    def _take_posted(self) -> None:
        while self._grants:
            stream_id, limit = self._grants.popleft()
            self._append(Kind.CREDIT, (), stream=stream_id, total=limit, length=0)
        while self._posted:
            payload = memoryview(encode(self._posted[0]))
            self._append(Kind.CONTROL, (payload,), stream=NO_STREAM, total=0, length=payload.nbytes)
            self._posted.popleft()

    def _pulse(self) -> None:
        now, received = time.monotonic(), self._received
        due = now - self._last_pulse >= 0.9 * self.settings.heartbeat_s
        if self._out is None or not (due or received != self._told_received):
            return
        self._unacknowledged_bytes = 0
        try:
            self._out.write(pack(Kind.PULSE, sequence=received), (), 0)
        except OSError:
            self._out = None
            self._abort_connections()
            return
        self._last_pulse, self._told_received = now, received
        if self._key_bytes >= KEY_BYTES:  # new connections have new keys
            self._out = None
            self._abort_connections()

    # -- the reader thread --------------------------------------------------------------------------------------
    def _read_and_repair(self) -> None:
        try:
            while True:
                why = self._read_until_drop()
                self._shut()
                if self._ending or self._ended or self._departed or self._failure is not None:
                    return
                self.drops += 1
                self._install(self._repaired(why))
        except JaliError as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001 - a thread's edge: nobody may be left waiting
            self._give_up(InternalError(f"{type(error).__name__} while reading from party {self.peer!r}"))
        finally:
            self._ended = True
            self._shut()
            self._wake.set()
            with self._progress:
                self._progress.notify_all()

    def _give_up(self, error: JaliError) -> None:
        self._lost(self.peer, error)
        with self._progress:  # if the peer can still hear, let it hear why
            self._progress.wait_for(lambda: self._out is None or not self._posted, LAST_WORDS_S)

    def _repaired(self, why: str) -> Pair:
        started = time.monotonic()
        pair = self._side.repair(self._received, started + self.settings.reconnect_s)
        if pair is None:
            raise PeerLost(
                f"party {self.peer!r} is gone: {why}, and it did not come back within "
                f"{time.monotonic() - started:.1f} s; look at its output, then start the job again at every party",
                party=self.peer,
            )
        return pair

    def _install(self, pair: Pair) -> None:
        if not self._acknowledged <= pair.received < self._next:
            raise FrameInvalid(f"{self.peer!r} resumes at frame {pair.received}, {self._next - 1} were sent")
        for connection in (pair.outgoing, pair.incoming):
            connection.limit(self.settings.silence_s)
        with self._sending:
            self._pair = pair
            self._acknowledged = self._written = pair.received
            self._out = pair.outgoing
            self._told_received = -1
            self._key_bytes = 0
        self._wake.set()
        if self._ending:
            self._abort_connections()

    def _read_until_drop(self) -> str:
        try:
            self._read(self._pair.incoming)
        except TimeoutError:
            return f"it gave no sign of life for {self.settings.silence_s:g} s"
        except OSError as error:
            return f"the connection ended ({type(error).__name__})"

    def _read(self, connection: Connection) -> NoReturn:
        header = memoryview(bytearray(HEADER_BYTES))
        while True:
            connection.read_into(header)
            frame = unpack(header)
            if frame.kind is Kind.PULSE:
                self._acknowledge(frame.sequence)
                continue
            if frame.sequence != self._received + 1:
                raise FrameInvalid(f"expected frame {self._received + 1} of {self.peer!r}, found {frame.sequence}")
            if frame.kind is Kind.DATA:
                stream, space = self.arriving(frame)
                connection.read_into(space)
                self._received = frame.sequence
                self.arrived(stream, frame.length)
            elif frame.kind is Kind.CREDIT:
                self._received = frame.sequence
                self.credited(frame)
            else:
                self._control(connection, frame.length, frame.sequence)
            self._unacknowledged_bytes += frame.length
            if self._unacknowledged_bytes >= ACK_BYTES:
                self._unacknowledged_bytes = 0
                self._wake.set()

    def _control(self, connection: Connection, length: int, sequence: int) -> None:
        payload = memoryview(bytearray(length))
        connection.read_into(payload)
        self._received = sequence
        message = decode(payload)
        self.told(message)
        if isinstance(message, Abort | Bye):
            self._wake.set()

    def _acknowledge(self, sequence: int) -> None:
        if sequence >= self._next:
            raise FrameInvalid(f"{self.peer!r} acknowledges frame {sequence}, {self._next - 1} were sent")
        if sequence > self._acknowledged:
            self._acknowledged = sequence
            self._wake.set()

    def _shut(self) -> None:
        self._abort_connections()  # whoever writes gets an error and lets go of the lock
        with self._sending:
            self._out = None
            self._pair.outgoing.close()
            self._pair.incoming.close()

    def _abort_connections(self) -> None:
        self._pair.outgoing.abort()
        self._pair.incoming.abort()
