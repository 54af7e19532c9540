# SPDX-License-Identifier: Apache-2.0
"""A dropped connection comes back without loss or repetition; one that cannot ends in PeerLost, in time, at all."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from jali.core.errors import JaliError, PeerLate, PeerLost
from jali.transport.connect import connect_tls
from jali.transport.session import Session
from tests.transport.parties import FAST, STREAM, all_at_once, connected, federation_in, stream_pair
from tests.transport.proxy import TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jali.transport.channel import Stream
    from jali.transport.wire import WireLink

HASTY = msgspec.structs.replace(FAST, silence_s=0.5, reconnect_s=0.5, linger_s=0.5)


def link(sessions: Mapping[str, Session], me: str, peer: str) -> WireLink:
    return cast("WireLink", sessions[me].channel(peer))


def talk(stream: Stream, mine: list[bytes], theirs: list[bytes], cut: Callable[[int], None]) -> bool:
    """Exchange messages; whether each was as expected. `cut(number)` is called while message `number` is under way."""
    good = True
    for number, (sent, expected) in enumerate(zip(mine, theirs, strict=True)):
        stream.send(sent)
        cut(number)
        good &= bytes(stream.receive()) == expected
    return good


def test_cuts_in_the_middle_lose_and_repeat_nothing(tmp_path: Path) -> None:
    with connected("tls", tmp_path, parties=("alice", "bob")) as sessions:
        a, b = stream_pair(sessions)
        x, y = ([os.urandom(1 + (i * 104_729) % 400_000) for i in range(j, 40 + j)] for j in (0, 100))

        def cutter(me: str, peer: str, when: set[int]) -> Callable[[int], None]:
            return lambda number: link(sessions, me, peer).interrupt() if number in when else None

        with ThreadPoolExecutor(2) as pool:
            alice = pool.submit(talk, a, x, y, cutter("alice", "bob", {0, 7, 8, 21, 39}))
            bob = pool.submit(talk, b, y, x, cutter("bob", "alice", {3, 8, 14, 30}))
            assert alice.result()
            assert bob.result()
        assert link(sessions, "alice", "bob").drops >= 1  # cuts that meet a broken link are one drop
        assert a.counters.bytes_sent == b.counters.bytes_received == sum(map(len, x))
        assert a.counters.bytes_received == b.counters.bytes_sent == sum(map(len, y))
        assert a.counters.rounds == b.counters.rounds == 40


def test_cut_by_the_network_inside_a_large_message(tmp_path: Path) -> None:
    with TamperingProxy.between(tmp_path) as (proxy, sessions):
        a, b = stream_pair(sessions)
        message = os.urandom(6 << 20)
        sender = threading.Thread(target=a.send, args=(message,))
        sender.start()
        while len(proxy.recorded) < 30:
            sender.join(0.001)
        proxy.cut()
        assert bytes(b.receive()) == message
        sender.join()
        assert link(sessions, "alice", "bob").drops >= 1
        assert message[:64] not in b"".join(proxy.recorded)


def test_messages_posted_while_the_connection_is_down_arrive(tmp_path: Path) -> None:
    with connected("tls", tmp_path, parties=("alice", "bob")) as sessions:
        heard: list[bytes] = []
        done = threading.Event()

        def hear(_: str, payload: bytes) -> None:
            heard.append(payload)
            if len(heard) == 20:
                done.set()

        sessions["bob"].on_program(hear)
        for number in range(20):
            if number % 5 == 0:
                link(sessions, "alice", "bob").interrupt()
            sessions["alice"].send_program("bob", bytes([number]))
        assert done.wait(5)
        assert heard == [bytes([number]) for number in range(20)]


@pytest.mark.parametrize("how", ["close", "freeze"])
def test_network_that_stays_cut_is_a_loss_at_both(tmp_path: Path, how: str) -> None:
    with TamperingProxy.between(tmp_path, HASTY) as (proxy, sessions):
        a, b = stream_pair(sessions)
        started = time.monotonic()
        if how == "close":
            proxy.close()
        else:
            proxy.freeze()
        for stream, peer in ((a, "bob"), (b, "alice")):
            with pytest.raises(PeerLost, match=f"'{peer}' is gone") as caught:
                stream.receive()
            assert caught.value.party == peer
        assert time.monotonic() - started < 4


def test_party_that_was_started_again_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    federation = federation_in(tmp_path, ("alice", "bob"))
    sessions = {
        party: session
        for party, session in all_at_once(
            {
                "alice": lambda: connect_tls(federation, "alice", settings=FAST),
                "bob": lambda: connect_tls(federation, "bob", settings=FAST),
            }
        ).items()
        if isinstance(session, Session)
    }
    old = link(sessions, "bob", "alice")
    old._side.cancel()  # the old process no longer redials ...
    old.interrupt()  # ... and its connections end, as when it dies
    with pytest.raises(JaliError):
        sessions["bob"].channel("alice").stream(STREAM).receive()
    sessions["bob"].close()
    brief = msgspec.structs.replace(FAST, connect_s=2.0)
    with pytest.raises(JaliError):
        connect_tls(federation, "bob", settings=brief)
    with pytest.raises(PeerLost, match="bob"):
        sessions["alice"].channel("bob").stream(STREAM).receive()
    sessions["alice"].close()


def test_keys_are_renewed_before_their_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jali.transport.wire.KEY_BYTES", 1 << 20)
    with connected("tls", tmp_path, parties=("alice", "bob")) as sessions:
        a, b = stream_pair(sessions)
        for number in range(40):
            a.send(bytes([number]) * 100_000)
            assert bytes(b.receive()) == bytes([number]) * 100_000
        deadline = time.monotonic() + 5
        while not link(sessions, "alice", "bob").drops and time.monotonic() < deadline:
            a.send(b"")
            b.receive()
        assert link(sessions, "alice", "bob").drops


def test_idle_connection_lives_on_heartbeats(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(FAST, silence_s=0.5, wait_s=1.2)
    with connected("tls", tmp_path, parties=("alice", "bob"), settings=settings) as sessions:
        a, b = stream_pair(sessions)
        with pytest.raises(PeerLate):
            a.receive()
        b.send(b"still here")
        assert bytes(a.receive()) == b"still here"
        assert link(sessions, "alice", "bob").drops == 0


def test_what_the_peer_has_is_not_kept(tmp_path: Path) -> None:
    with connected("tls", tmp_path, parties=("alice", "bob")) as sessions:
        a, b = stream_pair(sessions)
        alice = link(sessions, "alice", "bob")
        most = 0
        for _ in range(60):
            a.send(bytes(1 << 20))
            b.receive()
            most = max(most, sum(entry.length for entry in list(alice._log)))
        alice.finish(time.monotonic() + 5)
        assert not alice._log
        assert most <= 40 << 20
