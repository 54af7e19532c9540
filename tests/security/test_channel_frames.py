# SPDX-License-Identifier: Apache-2.0
"""A peer inside the session that lies: a malformed, replayed, reordered or excessive frame is a named error."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import FrameInvalid, JaliError, PeerLost, StreamFlood
from jali.transport.frames import MAX_FRAME_BYTES, Kind, pack
from jali.transport.messages import Bye, Confirm, Hello, Message, Program, encode
from jali.transport.streams import EARLY_BYTES
from jali.transport.wire import Pair, WireLink
from tests.transport.parties import FAST, STREAM, connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jali.transport.handshake import Introduction
    from jali.transport.tls import Connection


class PlainConnection:
    """A connection without TLS, so that a test can say anything."""

    peer = "mallory"

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def read_into(self, view: memoryview) -> None:
        done = 0
        while done < view.nbytes:
            count = self._end.recv_into(view[done:])
            if not count:
                raise ConnectionResetError
            done += count

    def write(self, header: bytes, parts: Sequence[memoryview], length: int) -> None:
        self._end.sendall(b"".join((header, *parts)))

    def limit(self, seconds: float) -> None:
        self._end.settimeout(seconds)

    def abort(self) -> None:
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.abort()
        self._end.close()


class NoRepair:
    interrupt: Callable[[], None] | None = None

    def establish(self, deadline: float) -> tuple[Introduction, Pair]:
        raise NotImplementedError

    def repair(self, received: int, deadline: float) -> Pair | None:
        return None

    def cancel(self) -> None:
        return


class Victim:
    """A link whose peer is the test."""

    def __init__(self) -> None:
        mine_in, self.say = socket.socketpair()
        mine_out, self.hear = socket.socketpair()
        self.errors: SimpleQueue[JaliError] = SimpleQueue()
        self.messages: SimpleQueue[Message] = SimpleQueue()
        pair = Pair(cast("Connection", PlainConnection(mine_out)), cast("Connection", PlainConnection(mine_in)), 0)
        self.link = WireLink(
            "mallory",
            FAST,
            heard=lambda _, message: self.messages.put(message),
            lost=self._lost,
            side=NoRepair(),
            pair=pair,
            party="alice",
        )

    def _lost(self, peer: str, error: JaliError) -> None:
        self.errors.put(error)

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.say.sendall(data)

    def close(self) -> None:
        self.link.end()
        self.say.close()
        self.hear.close()


@contextmanager
def victim() -> Iterator[Victim]:
    made = Victim()
    try:
        yield made
    finally:
        made.close()


def data(sequence: int, payload: bytes, *, total: int | None = None, stream: bytes = STREAM) -> bytes:
    size = len(payload) if total is None else total
    return pack(Kind.DATA, stream=stream, sequence=sequence, total=size, length=len(payload)) + payload


def control(sequence: int, payload: bytes) -> bytes:
    return pack(Kind.CONTROL, sequence=sequence, length=len(payload)) + payload


def test_honest_frames_arrive() -> None:
    with victim() as v:
        v.send(
            data(1, b"one")
            + data(2, b"tw", total=4)
            + data(3, b"o!", total=4)
            + control(4, encode(Confirm(session=bytes(32))))
        )
        stream = v.link.stream(STREAM)
        assert [bytes(stream.receive()), bytes(stream.receive())] == [b"one", b"two!"]
        assert v.messages.get(timeout=5) == Confirm(session=bytes(32))
        assert v.errors.empty()


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (data(1, b"a") + data(1, b"a"), "expected frame 2"),
        (data(2, b"a"), "expected frame 1"),
        (data(1, b"a") + data(3, b"c") + data(2, b"b"), "expected frame 2"),
        (data(0, b"a"), "expected frame 1"),
        (pack(Kind.DATA, sequence=1, length=MAX_FRAME_BYTES + 1, total=2**40), "cannot have length"),
        (data(1, b"ab", total=9) + data(2, b"c", total=8), "does not continue"),
        (data(1, b"ab", total=3) + data(2, b"cd", total=3), "does not continue"),
        (pack(Kind.PULSE, sequence=1), "acknowledges frame 1, 0 were sent"),
        (control(1, b"\x81\xa4type\xa5hullo"), "not in the expected form"),
        (control(1, encode(Bye())[:-1]), "not in the expected form"),
        (control(1, b"\x80"), "not in the expected form"),
        (b"GET / HTTP/1.1\r\nHost: alice.example\r\n\r\n" + bytes(40), "expected a frame"),
    ],
    ids=[
        "replayed", "skipped", "reordered", "unnumbered", "oversized", "other-total", "too-long", "false-ack",
        "unknown-message", "truncated-message", "untagged-message", "not-frames",
    ],
)  # fmt: skip
def test_bad_frame_is_named(attack: bytes, said: str) -> None:
    with victim() as v:
        v.send(attack)
        error = v.errors.get(timeout=5)
        assert isinstance(error, FrameInvalid)
        assert said in error.message


def test_peer_cannot_exceed_what_it_was_granted() -> None:
    with victim() as v:
        piece, count = bytes(1 << 20), EARLY_BYTES >> 20
        for sequence in range(1, count + 1):
            v.send(data(sequence, piece, total=8 << 20))
        v.send(data(count + 1, b"x", total=8 << 20))
        error = v.errors.get(timeout=5)
        assert isinstance(error, FrameInvalid)
        assert "more than this party granted" in error.message


def test_peer_cannot_open_streams_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jali.transport.link.UNOPENED_STREAMS", 100)
    with victim() as v:
        for sequence in range(1, 200):
            v.send(data(sequence, b"", stream=sequence.to_bytes(16, "little")))
        error = v.errors.get(timeout=5)
        assert isinstance(error, StreamFlood)
        assert "mallory" in error.message


def test_peer_cannot_fill_memory_through_streams_nobody_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jali.transport.link.UNOPENED_BYTES", 1 << 20)
    with victim() as v:
        for sequence in range(1, 200):
            v.send(data(sequence, bytes(20_000), stream=sequence.to_bytes(16, "little")))
        assert isinstance(v.errors.get(timeout=5), StreamFlood)


def test_announcing_a_huge_message_costs_no_memory() -> None:
    with victim() as v:
        before = resident_bytes()
        v.send(data(1, b"x", total=1 << 33))
        v.send(control(2, encode(Confirm(session=bytes(32)))))
        v.messages.get(timeout=5)
        assert resident_bytes() - before < 64 << 20


def test_cut_inside_a_frame_is_a_loss_not_a_message() -> None:
    with victim() as v:
        v.send(data(1, b"whole") + data(2, b"half of it", total=20)[:-4])
        v.say.close()
        assert isinstance(v.errors.get(timeout=5), PeerLost)
        assert bytes(v.link.stream(STREAM).receive()) == b"whole"


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=400))
def test_noise_never_hangs_or_escapes(noise: bytes) -> None:
    with victim() as v:
        v.send(data(1, b"ok") + noise)
        v.say.shutdown(socket.SHUT_WR)
        assert isinstance(v.errors.get(timeout=5), FrameInvalid | PeerLost)


def test_no_flipped_bit_hangs_or_escapes() -> None:
    honest = data(1, b"x" * 8) + control(2, encode(Program(payload=b"y" * 8))) + control(3, encode(Bye()))
    for bit in range(0, 8 * len(honest), 3):
        flipped = bytearray(honest)
        flipped[bit // 8] ^= 1 << bit % 8
        with victim() as v:
            v.send(bytes(flipped))
            v.say.shutdown(socket.SHUT_WR)
            v.link.finish(time.monotonic() + 5)
            reader = next((t for t in threading.enumerate() if t.name == "jali-alice-read-mallory"), None)
            if reader is not None:
                reader.join(5)
                assert not reader.is_alive()


def test_handshake_message_inside_a_session_ends_it(tmp_path: Path) -> None:
    with connected("tls", tmp_path, parties=("alice", "bob")) as sessions:
        hello = Hello(
            versions=(1, 1), software="x", party="bob", to="alice", parties=("alice", "bob"),
            purpose="run", federation=bytes(32), program=b"", nonce=bytes(32), key=bytes(32), clock=0.0,
        )  # fmt: skip
        sessions["bob"].channel("alice").post(hello)
        for me, peer in (("alice", "bob"), ("bob", "alice")):
            with pytest.raises(JaliError, match="sent Hello inside a session"):
                sessions[me].channel(peer).stream(STREAM).receive()


def test_peer_that_sent_a_bad_frame_is_told_so(tmp_path: Path) -> None:
    with connected("tls", tmp_path, parties=("alice", "bob")) as sessions:
        liar = cast("WireLink", sessions["bob"].channel("alice"))
        with liar._sending:
            liar._next += 1
        liar.stream(STREAM).send(b"a number is missing")
        for me, peer in (("alice", "bob"), ("bob", "alice")):
            with pytest.raises(FrameInvalid, match="expected frame"):
                sessions[me].channel(peer).stream(STREAM).receive()


def test_bytes_changed_on_the_wire_never_reach_a_message(tmp_path: Path) -> None:
    from tests.transport.proxy import TamperingProxy

    with TamperingProxy.between(tmp_path) as (proxy, sessions):
        a = sessions["alice"].channel("bob").stream(STREAM)
        b = sessions["bob"].channel("alice").stream(STREAM)
        message = os.urandom(300_000)
        proxy.flip_next()
        sender = threading.Thread(target=lambda: suppressed(lambda: a.send(message)))
        sender.start()
        try:
            assert bytes(b.receive()) == message  # resumed over fresh connections
            assert proxy.flipped
        finally:
            sender.join()


def suppressed(action: Callable[[], None]) -> None:
    with suppress(JaliError):
        action()


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a kernel file
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
