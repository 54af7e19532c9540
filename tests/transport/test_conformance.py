# SPDX-License-Identifier: Apache-2.0
"""What every kind of channel must do, in memory and over TLS."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from jali.core.errors import (
    FederationMismatch,
    InternalError,
    JaliError,
    PeerClosed,
    PeerLate,
    ProtocolAbort,
    SessionClosed,
)
from jali.transport.frames import MAX_FRAME_BYTES
from jali.transport.memory import connect_memory
from jali.transport.streams import EARLY_BYTES, FRAGMENT_BYTES
from tests.transport.parties import FAST, connected, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jali.transport.channel import Channel, Stream
    from jali.transport.session import Session

KINDS = ("memory", "tls")
SIZES = (0, 1, 7, 16384, (64 << 10) - 1, (64 << 10) + 1, FRAGMENT_BYTES, FRAGMENT_BYTES + 1, MAX_FRAME_BYTES + 3)


@pytest.fixture(scope="module", params=KINDS)
def sessions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Session]]:
    with connected(request.param, tmp_path_factory.mktemp("federation")) as made:
        yield made


@pytest.fixture
def stream_id() -> bytes:
    return os.urandom(16)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


@pytest.mark.parametrize("size", SIZES)
def test_message_arrives_whole(sessions: dict[str, Session], stream_id: bytes, size: int) -> None:
    a, b = stream_pair(sessions, stream_id)
    message = os.urandom(size)
    sender = in_thread(lambda: a.send(message[: size // 3], b"", bytearray(message[size // 3 :])))
    received = b.receive()
    sender.join()
    assert bytes(received) == message
    assert (a.counters.bytes_sent, b.counters.bytes_received) == (size, size)


def test_arrays_of_any_shape_go_as_their_bytes(sessions: dict[str, Session], stream_id: bytes) -> None:
    a, b = stream_pair(sessions, stream_id)
    x, empty = np.arange(12, dtype=np.uint64).reshape(3, 4), np.empty((0, 5))
    a.send(x.data, empty.data, x.data)
    assert np.array_equal(np.frombuffer(b.receive(), np.uint64).reshape(2, 3, 4), np.stack([x, x]))


def test_received_memory_is_writable_and_not_the_senders(sessions: dict[str, Session], stream_id: bytes) -> None:
    a, b = stream_pair(sessions, stream_id)
    sent = np.zeros(4, np.uint64)
    a.send(sent.data)
    received = np.frombuffer(b.receive(), np.uint64)
    received[:] = 7
    assert not sent.any()


def test_order_is_kept_within_a_stream_and_streams_are_independent(sessions: dict[str, Session]) -> None:
    ids = [os.urandom(16) for _ in range(20)]
    pairs = [stream_pair(sessions, stream) for stream in ids]
    for number in range(30):
        for index, (a, _) in enumerate(pairs):
            a.send(bytes([number, index]))
    for index, (_, b) in reversed(list(enumerate(pairs))):
        assert [bytes(b.receive()) for _ in range(30)] == [bytes([number, index]) for number in range(30)]


def test_thousands_of_streams_open_carry_and_close(sessions: dict[str, Session]) -> None:
    alice, bob = sessions["alice"].channel("bob"), sessions["bob"].channel("alice")
    before = bob.open_streams
    ids = [os.urandom(16) for _ in range(3000)]
    for stream in ids:
        alice.stream(stream).send(stream)
    for stream in ids:
        assert bytes(bob.stream(stream).receive()) == stream
        assert bob.close_stream(stream).bytes_received == 16
        assert alice.close_stream(stream).messages_sent == 1
    assert bob.open_streams == before


def test_what_comes_before_the_stream_is_opened_is_kept(sessions: dict[str, Session], stream_id: bytes) -> None:
    sessions["alice"].channel("bob").stream(stream_id).send(b"early")
    a, b = stream_pair(sessions, os.urandom(16))
    a.send(b"later")
    assert bytes(b.receive()) == b"later"
    assert bytes(sessions["bob"].channel("alice").stream(stream_id).receive()) == b"early"


def test_counters_are_exact(sessions: dict[str, Session], stream_id: bytes) -> None:
    a, b = stream_pair(sessions, stream_id)
    for _ in range(3):
        a.send(b"12345")
        a.send(b"")
        assert bytes(b.receive()) == b"12345"
        b.receive()
        b.send(b"123")
        a.receive()
    for side, sent, received in ((a, 15, 9), (b, 9, 15)):
        assert (side.counters.bytes_sent, side.counters.bytes_received) == (sent, received)
        assert side.counters.rounds == 3
    assert (a.counters.messages_sent, a.counters.messages_received) == (6, 3)
    closed = sessions["alice"].channel("bob").close_stream(stream_id)
    assert closed is a.counters
    assert sessions["alice"].channel("bob").close_stream(stream_id).bytes_sent == 0


def test_same_object_until_closed(sessions: dict[str, Session], stream_id: bytes) -> None:
    channel: Channel = sessions["alice"].channel("bob")
    stream: Stream = channel.stream(stream_id)
    assert channel.stream(stream_id) is stream
    assert stream.peer == channel.peer == "bob"
    channel.close_stream(stream_id)
    assert channel.stream(stream_id) is not stream


def test_both_may_send_far_more_than_the_window_before_they_receive(
    sessions: dict[str, Session], stream_id: bytes
) -> None:
    a, b = stream_pair(sessions, stream_id)
    x, y = os.urandom(9 << 20), os.urandom(9 << 20)
    results: dict[str, bytes] = {}

    def exchange(stream: Stream, message: bytes, name: str) -> None:
        stream.send(message)
        results[name] = bytes(stream.receive())

    threads = [in_thread(lambda: exchange(a, x, "a")), in_thread(lambda: exchange(b, y, "b"))]
    for thread in threads:
        thread.join()
    assert results == {"a": y, "b": x}


def test_full_stream_blocks_its_sender_only_and_bounds_memory(sessions: dict[str, Session], stream_id: bytes) -> None:
    a, b = stream_pair(sessions, stream_id)
    piece, count, sent = bytes(256 << 10), 80, []

    def fill() -> None:
        for _ in range(count):
            a.send(piece)
            sent.append(1)

    sender = in_thread(fill)
    other_a, other_b = stream_pair(sessions, os.urandom(16))
    for _ in range(50):
        other_a.send(b"x")
        other_b.receive()
    limit = (EARLY_BYTES + FAST.window_bytes) // len(piece) + 2
    for taken in range(count):
        assert len(sent) <= taken + limit
        assert b.receive().nbytes == len(piece)
    sender.join()


def test_small_messages_never_stall_at_any_window(sessions: dict[str, Session], stream_id: bytes) -> None:
    a, b = stream_pair(sessions, stream_id)
    sizes = [1 + (i * 7919) % 300_000 for i in range(200)]

    def send() -> None:
        for size in sizes:
            a.send(bytes(size))

    sender = in_thread(send)
    assert [b.receive().nbytes for _ in sizes] == sizes
    sender.join()


def test_keys_and_identity_agree(sessions: dict[str, Session]) -> None:
    alice, bob, carol = (sessions[name] for name in ("alice", "bob", "carol"))
    assert alice.id == bob.id == carol.id
    assert alice.shared_key("bob") == bob.shared_key("alice")
    assert len({alice.shared_key("bob"), alice.shared_key("carol"), bob.shared_key("carol"), alice.private_key}) == 4
    assert alice.peers == ("bob", "carol")
    assert abs(alice.clock_skew_s["bob"]) < 5
    assert alice.shared_key("bob").hex() not in repr(alice)
    with pytest.raises(InternalError):
        alice.channel("dave")
    with pytest.raises(InternalError):
        alice.shared_key("dave")


@pytest.mark.parametrize("kind", KINDS)
def test_announcements_come_in_order_also_before_anybody_listens(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:
        heard: list[tuple[str, bytes]] = []
        done = threading.Event()

        def hear(peer: str, payload: bytes) -> None:
            heard.append((peer, payload))
            if len(heard) == 6:
                done.set()

        for number in range(3):
            sessions["alice"].send_program("bob", bytes([number]))
        sessions["bob"].on_program(hear)
        for number in range(3, 6):
            sessions["alice"].broadcast(bytes([number]))
        assert done.wait(5)
        assert heard == [("alice", bytes([number])) for number in range(6)]


@pytest.mark.parametrize("kind", KINDS)
def test_error_of_one_reaches_all_under_its_name(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:
        told: list[JaliError] = []
        called = threading.Event()

        def tell(error: JaliError) -> None:
            told.append(error)
            called.set()

        sessions["alice"].on_failure(tell)
        a, _ = stream_pair(sessions)
        caught: list[JaliError] = []

        def wait() -> None:
            try:
                a.receive()
            except JaliError as error:
                caught.append(error)

        waiting = in_thread(wait)
        sessions["carol"].fail(ProtocolAbort("a check failed", party="carol", node="#3", source="job.py:7"))
        waiting.join(5)
        assert called.wait(5)
        for error in (*caught, *told):
            assert isinstance(error, ProtocolAbort)
            assert (error.message, error.party, error.node, error.source) == (
                "a check failed",
                "carol",
                "#3",
                "job.py:7",
            )
        assert len(caught) == len(told) == 1
        with pytest.raises(ProtocolAbort):
            a.send(b"")
        with pytest.raises(ProtocolAbort):
            sessions["alice"].channel("bob").stream(bytes(16)).receive()


@pytest.mark.parametrize("kind", KINDS)
def test_blocked_sender_hears_of_the_error(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:
        a, _ = stream_pair(sessions)
        caught: list[JaliError] = []
        began = threading.Event()

        def fill() -> None:
            try:
                while True:
                    a.send(bytes(300_000))
                    began.set()
            except JaliError as error:
                caught.append(error)

        sender = in_thread(fill)
        assert began.wait(5)
        sessions["bob"].fail(ProtocolAbort("stop"))
        sender.join(5)
        assert [type(error) for error in caught] == [ProtocolAbort]


@pytest.mark.parametrize("kind", KINDS)
def test_first_error_wins(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:
        sessions["alice"].fail(ProtocolAbort("first"))
        sessions["alice"].fail(PeerLate("second"))
        failure = sessions["alice"].failure
        assert isinstance(failure, ProtocolAbort)
        assert failure.party == "alice"


@pytest.mark.parametrize("kind", KINDS)
def test_callback_that_raises_ends_the_session_everywhere(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:

        def refuse(peer: str, payload: bytes) -> None:
            raise KeyError(payload)

        sessions["bob"].on_program(refuse)
        a, _ = stream_pair(sessions)
        sessions["alice"].send_program("bob", b"secret text")
        with pytest.raises(InternalError, match="KeyError") as caught:
            a.receive()
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_messages_before_the_end_can_be_read_and_then_the_end_is_named(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:
        a, b = stream_pair(sessions)
        a.send(b"last words")
        sessions["alice"].close()
        assert bytes(b.receive()) == b"last words"
        with pytest.raises(PeerClosed, match="alice"):
            b.receive()
        with pytest.raises(PeerClosed, match="alice"):
            b.send(b"too late")
        with pytest.raises(SessionClosed):
            a.send(b"")
        b2, c2 = stream_pair(sessions, pair=("bob", "carol"))
        b2.send(b"still here")
        assert bytes(c2.receive()) == b"still here"


@pytest.mark.parametrize("kind", KINDS)
def test_waiting_ends_at_the_deadline_with_the_peers_name(kind: str, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(FAST, wait_s=0.2)
    with connected(kind, tmp_path, settings=settings) as sessions:
        a, _ = stream_pair(sessions)
        started = time.monotonic()
        with pytest.raises(PeerLate, match="'bob' is connected but sent nothing"):
            a.receive()
        a.send(bytes(EARLY_BYTES - FRAGMENT_BYTES))
        with pytest.raises(PeerLate, match="'bob' is connected but did not take"):
            a.send(bytes(EARLY_BYTES))
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_are_reported_not_refused(kind: str, tmp_path: Path) -> None:
    programs = {"alice": b"1" * 32, "bob": b"1" * 32, "carol": b"2" * 32}
    with connected(kind, tmp_path, programs=programs) as sessions:
        assert sessions["alice"].program_differs == ("carol",)
        assert sessions["carol"].program_differs == ("alice", "bob")


@pytest.mark.parametrize("kind", KINDS)
def test_with_block_tells_the_peers_why_it_ended(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path) as sessions:
        a, _ = stream_pair(sessions)
        with pytest.raises(ZeroDivisionError), sessions["bob"]:
            _ = 1 // 0
        with pytest.raises(InternalError, match="ZeroDivisionError at party 'bob'"):
            a.receive()


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_files_are_back_after_the_end(kind: str, tmp_path: Path) -> None:
    with connected(kind, tmp_path / "first"):
        pass
    threads, files = threading.active_count(), open_files()
    with connected(kind, tmp_path / "second") as sessions:
        a, b = stream_pair(sessions)
        a.send(b"x")
        b.receive()
    assert threading.active_count() == threads
    assert open_files() == files


def test_severed_memory_link_is_lost_at_both_and_at_the_third() -> None:
    sessions = connect_memory(("alice", "bob", "carol"), settings=FAST)
    link = sessions["alice"].channel("bob")
    link.sever()  # type: ignore[attr-defined]
    for session in sessions.values():
        assert session.failure is not None
        assert session.failure.code == "J3002"
        session.close()


def test_memory_refuses_other_federations_as_tls_does() -> None:
    from jali.transport.handshake import Proposal, check_hello

    mine = Proposal("alice", ("alice", "bob"), federation=bytes(32), program=b"")
    theirs = Proposal("bob", ("alice", "bob"), federation=b"1" * 32, program=b"")
    with pytest.raises(FederationMismatch, match="'alice' and 'bob' differ"):
        check_hello(mine, theirs.hello("alice"), peer="bob")
