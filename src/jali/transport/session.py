# SPDX-License-Identifier: Apache-2.0
"""A session: one party's links with all others, their keys, and how an error or the end reaches everyone."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from jali.core.errors import HandshakeFailed, InternalError, JaliError, PeerMissing
from jali.transport.control import Control
from jali.transport.messages import Abort, Bye, Confirm, Message, Program

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from jali.transport.handshake import Introduction, Proposal
    from jali.transport.link import Link
    from jali.transport.settings import Settings

__all__ = ["Session"]

SWITCH_S = 5e-4


class Session:
    """Made by `connect_tls` and `connect_memory`; used by the graph layer.

    Attributes: `party`, `peers` (in the federation's order), `id` (32 bytes, the same at all parties), `private_key`
    (32 random bytes of this party alone), `program_differs` (peers that announced another program digest),
    `clock_skew_s` (by peer, seconds that its clock is ahead).

    The first session of a process lowers the interpreter's thread switch interval to 0.5 ms: a thread that computes in
    Python would otherwise hold up the one that reads from the network for 5 ms at a time.
    """

    def __init__(self, proposal: Proposal, settings: Settings) -> None:
        """An empty session; `admit` adds links, `confirm` completes it."""
        self.party = proposal.party
        self.peers = tuple(peer for peer in proposal.parties if peer != proposal.party)
        self.settings = settings
        self.id = b""
        self.private_key = os.urandom(32)
        self.program_differs: tuple[str, ...] = ()
        self.clock_skew_s: dict[str, float] = {}
        self._proposal = proposal
        self._links: dict[str, Link] = {}
        self._keys: dict[str, bytes] = {}
        self._introductions: dict[str, Introduction] = {}
        self._confirmed: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self._failure: Abort | None = None
        self._closed = False
        self._at_close: list[Callable[[], None]] = []
        self._at_failure: list[Callable[[], None]] = []
        self._control = Control(self.party, failed=self.fail)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))

    # -- for users ----------------------------------------------------------------------------------------------
    def channel(self, peer: str) -> Link:
        """All streams with `peer`."""
        try:
            return self._links[peer]
        except KeyError:
            raise InternalError(f"{self.party!r} has no channel with {peer!r}; peers are {self.peers}") from None

    def shared_key(self, peer: str) -> bytes:
        """32 bytes that only this party and `peer` know, fresh for this session."""
        try:
            return self._keys[peer]
        except KeyError:
            raise InternalError(f"{self.party!r} shares no key with {peer!r}; peers are {self.peers}") from None

    def peer_software(self, peer: str) -> str:
        """The version of jali that `peer` says it runs."""
        return self._introductions[peer].hello.software

    def on_program(self, callback: Callable[[str, bytes], None]) -> None:
        """Call `callback(peer, payload)` for what peers announce, in order, on the session's control thread.

        What came before is kept and delivered.
        """
        self._control.on_program(callback)

    def on_failure(self, callback: Callable[[JaliError], None]) -> None:
        """Call `callback(error)` once, on the control thread, when a peer's error or its loss ends the session."""
        self._control.on_failure(callback)

    def send_program(self, peer: str, payload: bytes) -> None:
        """Announce a part of this party's program to `peer`; does not block."""
        self.channel(peer).post(Program(payload=payload))

    def broadcast(self, payload: bytes) -> None:
        """Announce a part of this party's program to every peer; does not block."""
        for peer in self.peers:
            self.send_program(peer, payload)

    def fail(self, error: JaliError) -> None:
        """End the session here and at every peer: all blocked and future sends and receives raise this error.

        The first error wins; does not block.
        """
        error.party = error.party or self.party
        self._fail(Abort.of(error), tell=True, call=False)

    @property
    def failure(self) -> JaliError | None:
        """What ended the session, as a new exception, or None."""
        return None if self._failure is None else self._failure.error()

    def close(self, error: JaliError | None = None) -> None:
        """End in order: peers get everything that was sent, then good-bye; threads and sockets are freed. Idempotent.

        With an `error` the session fails under it first. Waits at most `linger_s` for peers.
        """
        if error is not None:
            self.fail(error)
        with self._changed:
            if self._closed:
                return
            self._closed = True
        links = list(self._links.values())
        for link in links:
            if self._failure is not None:  # no peer shall hear the good-bye before the reason
                link.post(self._failure)
            link.post(Bye())
        deadline = time.monotonic() + self.settings.linger_s
        for link in links:
            link.finish(deadline)
        for link in links:
            link.retire()
            link.end()
        for action in self._at_close:
            action()
        self._keys.clear()
        self._control.stop()

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an error of ours reaches the peers, any other as an internal error without its text."""
        if error is None or isinstance(error, JaliError):
            self.close(error)
        else:
            self.close(InternalError(f"{type(error).__name__} at party {self.party!r}", party=self.party))

    def __repr__(self) -> str:
        """Names only."""
        return f"<Session of {self.party!r} with {', '.join(self.peers) or 'nobody'}>"

    # -- for those who connect it -------------------------------------------------------------------------------
    def admit(self, link: Link, introduction: Introduction) -> None:
        """A peer has come."""
        with self._changed:
            self._links[link.peer] = link
            self._introductions[link.peer] = introduction
            failure = self._failure
            self._changed.notify_all()
        if failure is not None:
            link.fail(failure)
            link.post(failure)

    def at_close(self, action: Callable[[], None]) -> None:
        """Have `action` run at the end of `close`."""
        self._at_close.append(action)

    def at_failure(self, action: Callable[[], None]) -> None:
        """Have `action` run when the session fails; it must not block."""
        self._at_failure.append(action)

    def agree(self) -> None:
        """All have come: compute the session's identity and keys, and tell the peers the identity."""
        hellos = {peer: introduction.hello for peer, introduction in self._introductions.items()}
        self.id = self._proposal.session(hellos)
        self._keys = {peer: self._proposal.pair_key(self.id, hello) for peer, hello in hellos.items()}
        self.clock_skew_s = {peer: said.clock_skew_s for peer, said in self._introductions.items()}
        self.program_differs = tuple(p for p in self.peers if hellos[p].program != self._proposal.program)
        for peer in self.peers:
            self._links[peer].post(Confirm(session=self.id))

    def confirm(self, deadline: float) -> None:
        """Wait until every peer has confirmed that it is in the same session, with everybody.

        Raises: PeerMissing when one does not; HandshakeFailed when one is in another session; a peer's error.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure is not None or len(self._confirmed) == len(self.peers),
                max(0.0, deadline - time.monotonic()),
            )
        if self._failure is not None:
            raise self._failure.error()
        for peer in self.peers:
            found = self._confirmed.get(peer)
            if found is None:
                raise PeerMissing(
                    f"party {peer!r} is connected but waits for others; not all parties came in time", party=peer
                )
            if found != self.id:
                raise HandshakeFailed(f"party {peer!r} is in another session; start all parties again", party=peer)

    # -- for links ----------------------------------------------------------------------------------------------
    def heard(self, peer: str, message: Message) -> None:
        """A link brought a control message."""
        match message:
            case Program(payload=payload):
                self._control.program(peer, payload)
            case Abort():
                self._fail(message, tell=False, call=True)
            case Confirm(session=session):
                with self._changed:
                    self._confirmed[peer] = session
                    self._changed.notify_all()
            case Bye():
                pass
            case _:
                kind = type(message).__name__
                self.lost(peer, HandshakeFailed(f"party {peer!r} sent {kind} inside a session", party=peer))

    def lost(self, peer: str, error: JaliError) -> None:
        """A link broke for good."""
        if self._closed:
            return
        error.party = error.party or peer
        self._fail(Abort.of(error), tell=True, call=True)

    # -- private ------------------------------------------------------------------------------------------------
    def _fail(self, abort: Abort, *, tell: bool, call: bool) -> None:
        with self._changed:
            if self._failure is not None or self._closed:
                return
            self._failure = abort
            links = list(self._links.values())
            self._changed.notify_all()
        for link in links:
            link.fail(abort)
            if tell:
                link.post(abort)
        for action in self._at_failure:
            action()
        if call:
            self._control.failure(abort.error())
