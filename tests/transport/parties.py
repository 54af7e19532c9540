# SPDX-License-Identifier: Apache-2.0
"""Sessions for tests: the same call connects parties in memory or over TLS on loopback."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jali.core import config
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls
from jali.transport.memory import connect_memory
from jali.transport.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from jali.core.config import Federation
    from jali.transport.session import Session
    from jali.transport.streams import LinkStream

__all__ = ["FAST", "STREAM", "all_at_once", "connected", "federation_in", "stream_pair"]

FAST = Settings(connect_s=10, wait_s=10, heartbeat_s=0.1, silence_s=3, reconnect_s=3, linger_s=3, window_bytes=1 << 20)
STREAM = bytes(range(16))


def federation_in(directory: Path, parties: Sequence[str] = ("alice", "bob", "carol")) -> Federation:
    """A new federation with its certificates and free ports."""
    return config.load(create_federation(directory / "federation", parties))


def all_at_once(calls: Mapping[str, Callable[[], Session]]) -> dict[str, Session | BaseException]:
    """The result, or the error, of each call, run side by side."""

    def outcome(call: Callable[[], Session]) -> Session | BaseException:
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return dict(zip(calls, pool.map(outcome, calls.values()), strict=True))


@contextmanager
def connected(
    kind: str,
    directory: Path,
    *,
    parties: Sequence[str] = ("alice", "bob", "carol"),
    settings: Settings = FAST,
    programs: Mapping[str, bytes] | None = None,
) -> Iterator[dict[str, Session]]:
    """Sessions of `parties`, by name; closed at the end."""
    if kind == "memory":
        sessions = connect_memory(parties, settings=settings, program_digests=programs)
    else:
        federation = federation_in(directory, parties)
        digests = programs or {}

        def call(party: str) -> Callable[[], Session]:
            return lambda: connect_tls(federation, party, program_digest=digests.get(party, b""), settings=settings)

        sessions = {}
        for party, outcome in all_at_once({party: call(party) for party in parties}).items():
            if isinstance(outcome, BaseException):
                raise outcome
            sessions[party] = outcome
    try:
        yield sessions
    finally:
        closers = [threading.Thread(target=session.close) for session in sessions.values()]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()


def stream_pair(
    sessions: Mapping[str, Session], stream: bytes = STREAM, pair: tuple[str, str] = ("alice", "bob")
) -> tuple[LinkStream, LinkStream]:
    """Both ends of a stream."""
    first, second = pair
    return sessions[first].channel(second).stream(stream), sessions[second].channel(first).stream(stream)
