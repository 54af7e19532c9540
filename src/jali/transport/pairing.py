# SPDX-License-Identifier: Apache-2.0
"""How the two connections of a pair of parties come about, at the start and after a drop.

The party that is later in the federation's order dials, the earlier accepts. The dialler opens a connection, says
`Hello` (or `Resume`) and gets an answer with a token; with the token it opens the second connection. The first then
carries frames from the dialler, the second to it.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeVar

from jali.core.errors import FrameInvalid, HandshakeFailed, JaliError, PeerError, PeerLost, PeerMissing, error_class
from jali.crypto.hashing import digest
from jali.transport.handshake import Introduction, Proposal, check_hello
from jali.transport.identity import tls_problem
from jali.transport.messages import Attach, Attached, Hello, Message, Refusal, Resume, Resumed
from jali.transport.tls import Connection, Credentials, dial_tls, probe
from jali.transport.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Accepting", "Dialling", "Side"]

ATTEMPT_S = 10.0
FIRST_DELAY_S, LAST_DELAY_S = 0.02, 0.5
REFUSED_GRACE_S = 1.0


Reply = TypeVar("Reply", bound=Message)
Opening = TypeVar("Opening", Hello, Resumed)


class Side(Protocol):
    """One party's way to get a pair of connections with one peer."""

    interrupt: Callable[[], None] | None

    def establish(self, deadline: float) -> tuple[Introduction, Pair]:
        """The first pair. Raises: PeerMissing at the deadline; what went wrong in the handshake."""
        ...

    def repair(self, received: int, deadline: float) -> Pair | None:
        """A new pair, or None when the peer does not come back. Raises: PeerError when it cannot."""
        ...

    def cancel(self) -> None:
        """Stop waiting."""
        ...


class Dialling:
    """The side that dials."""

    def __init__(self, credentials: Credentials, proposal: Proposal, *, peer: str, address: str) -> None:
        """Connects nothing yet."""
        self._pair_id = bytes(32)
        self.interrupt: Callable[[], None] | None = None
        self._credentials = credentials
        self._proposal = proposal
        self._peer = peer
        self._address = address
        self._cancelled = threading.Event()

    def establish(self, deadline: float) -> tuple[Introduction, Pair]:
        """Dial until the peer answers."""
        problem, delay = "nothing answered", FIRST_DELAY_S
        while time.monotonic() < deadline and not self._cancelled.is_set():
            sent = time.time()
            try:
                reply, outgoing, incoming = self._open(self._proposal.hello(self._peer), deadline, expected=Hello)
            except PeerMissing as error:  # it is there, but not in a session yet
                problem = error.message
            except OSError as error:
                problem = error.strerror or "the connection ended" if not isinstance(error, TimeoutError) else problem
            else:
                try:
                    introduction = check_hello(self._proposal, reply, peer=self._peer, sent=sent)
                except JaliError:
                    outgoing.close()
                    incoming.close()
                    raise
                self._pair_id = pair_id(self._proposal, reply)
                return introduction, Pair(outgoing, incoming, 0)
            self._cancelled.wait(min(delay, max(0.0, deadline - time.monotonic())))
            delay = min(2 * delay, LAST_DELAY_S)
        raise missing(self._peer, self._address, problem)

    def repair(self, received: int, deadline: float) -> Pair | None:
        """Dial again; a peer whose port stays closed has ended, which need not wait for the deadline."""
        delay, refused = FIRST_DELAY_S, False
        while time.monotonic() < deadline and not self._cancelled.is_set():
            try:
                resume = Resume(pair=self._pair_id, received=received)
                reply, outgoing, incoming = self._open(resume, deadline, expected=Resumed)
            except ConnectionRefusedError:
                if not refused:
                    refused, deadline = True, min(deadline, time.monotonic() + REFUSED_GRACE_S)
            except PeerMissing as error:
                raise PeerLost(
                    f"party {self._peer!r} was started again or has ended its session", party=self._peer
                ) from error
            except OSError:
                pass
            else:
                return Pair(outgoing, incoming, reply.received)
            self._cancelled.wait(min(delay, max(0.0, deadline - time.monotonic())))
            delay = min(2 * delay, LAST_DELAY_S)
        return None

    def cancel(self) -> None:
        """Stop dialling."""
        self._cancelled.set()

    def _open(
        self, first: Hello | Resume, deadline: float, *, expected: type[Opening]
    ) -> tuple[Opening, Connection, Connection]:
        deadline = min(deadline, time.monotonic() + ATTEMPT_S)
        opened: list[Connection] = []
        try:
            reply = self._ask(first, deadline, opened, expected=expected)
            self._ask(Attach(token=reply.token), deadline, opened, expected=Attached)
        except BaseException:
            for connection in opened:
                connection.close()
            raise
        return reply, opened[0], opened[1]

    def _ask(self, message: Message, deadline: float, opened: list[Connection], *, expected: type[Reply]) -> Reply:
        connection = dial_tls(self._credentials, self._address, peer=self._peer, deadline=deadline)
        opened.append(connection)
        try:
            connection.tell(message)
            reply = connection.hear(deadline)
        except OSError as error:  # an authority that refuses our certificate says so only now (RFC 8446, section 4.4.2)
            problem = tls_problem(error, f"party {self._peer!r} at {self._address}")
            if problem is None:
                raise
            raise problem from error
        if isinstance(reply, Refusal):
            raise error_class(reply.code)(reply.message, party=self._peer)
        if not isinstance(reply, expected):
            raise _unexpected(reply, self._peer)
        return reply


class Accepting:
    """The side that accepts. `arrive` is what the listener calls."""

    def __init__(
        self,
        proposal: Proposal,
        *,
        peer: str,
        address: str,
        peer_address: str,
        rejections: Callable[[], list[PeerError]],
    ) -> None:
        """`address` is where this party listens, `peer_address` where the peer does (to see whether it still runs).

        `rejections` gives the errors of callers that were turned away and may have been the peer.
        """
        self._pair_id = bytes(32)
        self.interrupt: Callable[[], None] | None = None
        self._proposal = proposal
        self._peer = peer
        self._address = address
        self._peer_address = peer_address
        self._rejections = rejections
        self._arrivals: SimpleQueue[tuple[Connection, Message] | None] = SimpleQueue()
        self._waiting = True
        self._cancelled = False

    def arrive(self, connection: Connection, first: Message) -> None:
        """A connection of the peer came."""
        if self._cancelled or (isinstance(first, Hello) and not self._waiting):
            error = HandshakeFailed(
                f"party {self._proposal.party!r} is already in a session with {self._peer!r}; "
                "is it running twice? End the other run, then start all parties again"
            )
            connection.refuse(error)
            return
        self._arrivals.put((connection, first))
        if isinstance(first, Resume) and self.interrupt is not None:
            self.interrupt()  # the peer saw a drop that this side has not noticed

    def establish(self, deadline: float) -> tuple[Introduction, Pair]:
        """Wait for the peer."""
        introduction: Introduction | None = None

        def answer(first: Message, token: bytes) -> Message:
            nonlocal introduction
            if not isinstance(first, Hello):
                raise _unexpected(first, self._peer)
            introduction = check_hello(self._proposal, first, peer=self._peer)
            self._pair_id = pair_id(self._proposal, first)
            return self._proposal.hello(self._peer, token=token)

        connections = self._accept(answer, deadline)
        if connections is None or introduction is None:
            raise self._missing()
        return introduction, Pair(connections[1], connections[0], 0)

    def repair(self, received: int, deadline: float) -> Pair | None:
        """Wait for the peer to resume; not long when its port is closed, since then its process has ended."""
        theirs = 0

        def answer(first: Message, token: bytes) -> Message:
            nonlocal theirs
            if isinstance(first, Hello):
                raise PeerLost(f"party {self._peer!r} was started again; start all parties again", party=self._peer)
            if not isinstance(first, Resume) or first.pair != self._pair_id:
                raise HandshakeFailed(f"party {self._peer!r} resumes another session", party=self._peer)
            theirs = first.received
            return Resumed(received=received, token=token)

        if not probe(self._peer_address):
            deadline = min(deadline, time.monotonic() + REFUSED_GRACE_S)
        connections = self._accept(answer, deadline)
        return None if connections is None else Pair(connections[1], connections[0], theirs)

    def cancel(self) -> None:
        """Stop waiting, and turn away who comes."""
        self._cancelled = True
        with suppress(Empty):
            while arrival := self._arrivals.get_nowait():
                arrival[0].close()
        self._arrivals.put(None)

    def _accept(
        self, answer: Callable[[Message, bytes], Message], deadline: float
    ) -> tuple[Connection, Connection] | None:
        self._waiting = True
        first: Connection | None = None
        token = b""
        try:
            while (arrival := self._next(deadline)) is not None:
                connection, message = arrival
                try:
                    if isinstance(message, Attach):
                        if first is not None and hmac.compare_digest(message.token, token):
                            connection.tell(Attached())
                            both, first = (first, connection), None
                            return both
                        connection.close()
                    else:
                        if first is not None:
                            first.close()
                        first, token = connection, os.urandom(16)
                        connection.tell(_answered(connection, message, token, answer))
                except (OSError, PeerMissing):  # gone, or there for another purpose: it may come back
                    connection.close()
                    first = None if first is connection else first
            return None
        finally:
            self._waiting = False
            if first is not None:
                first.close()

    def _next(self, deadline: float) -> tuple[Connection, Message] | None:
        try:
            return self._arrivals.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            return None

    def _missing(self) -> PeerError:
        rejections = self._rejections()
        if not rejections:
            return missing(self._peer, self._address, "nobody called", verb="came to")
        last = rejections[-1]
        return type(last)(
            f"party {self._peer!r} did not come; somebody called, but was turned away: {last.message}", party=self._peer
        )


def pair_id(mine: Proposal, theirs: Hello) -> bytes:
    """What a pair of parties calls its link, to find it again after a drop."""
    return digest("jali.link.v1", *sorted((mine.nonce, theirs.nonce)))


def missing(peer: str, address: str, problem: str, *, verb: str = "answered at") -> PeerMissing:
    """The error for a party that never came."""
    return PeerMissing(
        f"party {peer!r} never {verb} {address} ({problem}). Is it started, is the address right, does a firewall "
        "stand between? 'jali doctor' checks all three",
        party=peer,
    )


def _answered(
    connection: Connection, message: Message, token: bytes, answer: Callable[[Message, bytes], Message]
) -> Message:
    if isinstance(message, Refusal):
        connection.close()
        raise error_class(message.code)(message.message, party=connection.peer)
    try:
        return answer(message, token)
    except JaliError as error:
        connection.refuse(error)
        raise


def _unexpected(message: Message, peer: str) -> FrameInvalid:
    return FrameInvalid(f"party {peer!r} sent {type(message).__name__} at the wrong point of the handshake", party=peer)
