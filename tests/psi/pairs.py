# SPDX-License-Identifier: Apache-2.0
"""Two parties in two threads, on streams with a window, a log of what was sent, and a hook to tamper with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from jali.core.errors import PeerError
from jali.transport.channel import Counters

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Context", "PairStream", "quiet", "run_both", "stream_pair"]

Tamper = Callable[[int, bytes], bytes]


class PairStream:
    """One end: sending blocks while more than `window` bytes are under way, as the real streams do."""

    def __init__(self, peer: str, wake: Condition, *, window: int) -> None:
        self.peer = peer
        self.counters = Counters()
        self.sent: list[bytes] = []
        self.tamper: Tamper = lambda index, message: message
        self.inbox: deque[bytes] = deque()
        self.other: PairStream = self
        self.closed = False
        self._wake = wake
        self._window = window

    def send(self, *parts: Buffer) -> None:
        message = b"".join(bytes(memoryview(part).cast("B")) for part in parts)
        self.counters.sent(len(message))
        message = self.tamper(len(self.sent), message)
        self.sent.append(message)
        with self._wake:
            self._wait(lambda: sum(map(len, self.other.inbox)) <= self._window)
            self.other.inbox.append(message)
            self._wake.notify_all()

    def receive(self) -> memoryview:
        with self._wake:
            self._wait(lambda: bool(self.inbox))
            message = self.inbox.popleft()
            self._wake.notify_all()
        self.counters.received(len(message))
        return memoryview(bytearray(message))

    def close(self) -> None:
        with self._wake:
            self.closed = self.other.closed = True
            self._wake.notify_all()

    def _wait(self, ready: Callable[[], bool]) -> None:
        if not self._wake.wait_for(lambda: ready() or self.closed, timeout=60) or not ready():
            raise PeerError("the peer has stopped", party=self.peer)


def stream_pair(a: str = "alice", b: str = "bob", *, window: int = 2**19) -> tuple[PairStream, PairStream]:
    """alice's end and bob's end; `window` is less than two full chunks of masked keys and tags."""
    wake = Condition()
    at_a, at_b = PairStream(b, wake, window=window), PairStream(a, wake, window=window)
    at_a.other, at_b.other = at_b, at_a
    return at_a, at_b


class Context:
    """What a node gives an operation, for two parties."""

    def __init__(self, party: str, participants: tuple[str, ...], stream: PairStream) -> None:
        self.party = party
        self.participants = participants
        self.streams = {stream.peer: stream}
        self.reports: list[tuple[float, str]] = []

    def progress(self, done: float, what: str) -> None:
        self.reports.append((done, what))

    def stream(self, peer: str, label: str = "") -> PairStream:
        raise NotImplementedError

    def prg(self, *parties: str, label: str) -> Any:
        raise NotImplementedError


def run_both(
    streams: tuple[PairStream, PairStream], *parts: Callable[[PairStream], Any], errors: bool = False
) -> tuple[Any, Any]:
    """Run alice's and bob's part at once; give their results, or with `errors` what each raised (None if nothing).

    Without `errors`, the first error that is not the other's echo is raised.
    """
    results: list[Any] = [None, None]
    raised: list[BaseException | None] = [None, None]

    def run(side: int) -> None:
        try:
            results[side] = parts[side](streams[side])
        except BaseException as error:  # noqa: BLE001 - handed to the test below
            raised[side] = error
            streams[side].close()

    threads = [Thread(target=run, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        return raised[0], raised[1]
    for error in sorted((e for e in raised if e is not None), key=lambda e: isinstance(e, PeerError)):
        raise error
    return results[0], results[1]


def quiet(done: float, what: str) -> None:
    """Progress that nobody watches."""
