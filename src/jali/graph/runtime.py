# SPDX-License-Identifier: Apache-2.0
"""Runs one party's part of a program: feeds the state machine, starts what it says, keeps values and counters."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from jali.core.errors import InternalError, JaliError
from jali.graph.context import Context
from jali.graph.machine import Announce, Announcement, Drop, Machine, Release, Start
from jali.graph.node import Node
from jali.graph.operation import ABSENT, OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.graph.ledger import Ledger
    from jali.graph.machine import Action
    from jali.transport.session import Session

__all__ = ["NodeRecord", "Progress", "Runtime"]

_ANNOUNCEMENTS = msgspec.msgpack.Decoder(Announcement)

LOCAL_THREADS = 2
JOINT_NODES = 16
TICK_S = 0.25
ENDED = "This error ended the run at all parties: nothing more can run in it. Make a new federation to go on."


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one node cost one party: payload bytes, rounds (messages it had to wait for in turn), seconds.

    Where a dealer took part: the bytes that it sent ahead of time, and the seconds until it had.
    """

    node: Node
    party: str
    bytes_sent: int
    bytes_received: int
    rounds: int
    started: float
    seconds: float
    outline: Any = None
    dealt_bytes: int | None = None
    dealing_s: float | None = None


Progress = "Callable[[str, Node, float, str], None]"


class Runtime:
    """One hosted party. Thread-safe. A joint node has a thread while it runs: there are as many as may run at once."""

    def __init__(
        self, session: Session, ledger: Ledger, *, node_s: float, progress: Callable[[str, Node, float, str], None]
    ) -> None:
        """Start; `node_s` bounds the wait for a peer at a joint node; `progress` is told (party, node, done, what)."""
        self.party = session.party
        self.session = session
        self.ledger = ledger
        self.records: dict[int, NodeRecord] = {}
        self._progress = progress
        self._values: dict[int, Any] = {}
        self._phases: dict[int, str] = {}  # by node, what progress said last
        self._finished: set[int] = set()
        self._machine = Machine(self.party, deadline_s=node_s, window=JOINT_NODES)
        self._changed = threading.Condition(threading.RLock())
        self._pool = ThreadPoolExecutor(LOCAL_THREADS, thread_name_prefix=f"jali-{self.party}")
        self._joint_pool = ThreadPoolExecutor(JOINT_NODES, thread_name_prefix=f"jali-{self.party}-joint")
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name=f"jali-tick-{self.party}", daemon=True)
        self._ticker.start()
        session.on_program(self._heard)
        session.on_failure(self._session_failed)

    # -- what the program does ----------------------------------------------------------------------------------
    def submit(self, node: Node) -> None:
        """The program came to `node`.

        Raises: the error that ended the run.
        """
        with self._changed:
            self._raise_failure(late=True)
            self._apply(self._machine.submitted(node, time.monotonic()))

    def release(self, node: Node) -> None:
        """The program dropped its last handle on `node`."""
        with self._changed:
            if not self._closed.is_set():
                self._apply(self._machine.released(node))

    def value(self, node: Node) -> Any:
        """This party's part of a node's value, when it is there.

        Raises: the error that ended the run, at whichever party it happened.
        """
        with self._changed:
            self._changed.wait_for(lambda: node.index in self._finished or self._machine.error is not None)
            self._raise_failure()
            return self._values[node.index]

    def settle(self) -> None:
        """Wait until everything that was submitted has run.

        Raises: the error that ended the run.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._machine.idle or self._machine.error is not None)
            self._raise_failure()

    def fail(self, error: JaliError) -> None:
        """End the run here and at every other party."""
        with self._changed:
            self._apply(self._machine.failed(error))

    @property
    def error(self) -> JaliError | None:
        """What ended the run, if anything did."""
        return self._machine.error

    def end(self) -> None:
        """Wait until everything ran here, and tell the peers that the program has ended."""
        with self._changed, contextlib.suppress(JaliError):
            self.settle()
            self._apply(self._machine.ended(time.monotonic()))

    def finish(self) -> None:
        """After `end`: wait until the program has ended at the peers too, and close.

        So a run succeeds everywhere or fails everywhere. Raises: the error that ended it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._machine.complete or self._machine.error is not None)
        self.close()
        self._raise_failure()

    def close(self) -> None:
        """Stop threads and close the session; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.session.close()
        self.ledger.close()
        self._ticker.join()
        for pool in (self._pool, self._joint_pool):
            pool.shutdown(wait=False, cancel_futures=True)
        with self._changed:
            self._values.clear()

    # -- events -------------------------------------------------------------------------------------------------
    def _heard(self, peer: str, payload: bytes) -> None:
        announcement = _ANNOUNCEMENTS.decode(payload)
        with self._changed:
            self._apply(self._machine.announced(peer, announcement))
            self._changed.notify_all()

    def _session_failed(self, error: JaliError) -> None:
        with self._changed:
            self._apply(self._machine.failed(error), tell=False)

    def _tick(self) -> None:
        while not self._closed.wait(TICK_S):
            with self._changed:
                self._apply(self._machine.tick(time.monotonic()))

    # -- actions ------------------------------------------------------------------------------------------------
    def _apply(self, actions: list[Action], *, tell: bool = True) -> None:
        for action in actions:
            match action:
                case Announce():
                    self.session.send_program(action.party, msgspec.msgpack.encode(action.announcement))
                case Start():
                    self._start(action.node)
                case Release():
                    self._values.pop(action.node.index, None)
                case Drop():
                    self._changed.notify_all()
                    if tell:
                        self.session.fail(action.error)

    def _start(self, node: Node) -> None:
        if len(node.participants) == 1:
            self._pool.submit(self._run, node)
        else:
            self._joint_pool.submit(self._run, node)

    def _run(self, node: Node) -> None:
        started = time.time()
        clock = time.perf_counter()
        context = Context(node, self.session, self._report)
        try:
            with self._changed:
                inputs = tuple(self._values.get(used.index, ABSENT) for used in node.inputs)
            self._announce_disclosures(node)
            operation = OPERATIONS.get(node.operation)()
            value = operation.run(context, inputs, node.attributes)
            self._record(node, context, started, time.perf_counter() - clock)
        except JaliError as error:
            self.fail(self._placed(error, node))
        except BaseException as error:  # noqa: BLE001 - a thread's edge: nothing above could report it
            if os.environ.get("JALI_DEBUG", "0") not in {"", "0"}:
                traceback.print_exception(error)
            kind = type(error).__name__
            wrapped = InternalError(f"{kind} in {node.text!r}; run again with JALI_DEBUG=1 for the traceback")
            wrapped.__cause__ = error
            self.fail(self._placed(wrapped, node))
        else:
            with self._changed:
                self._values[node.index] = value
                self._finished.add(node.index)
                self._apply(self._machine.finished(node))
                self._changed.notify_all()

    def _record(self, node: Node, context: Context, started: float, seconds: float) -> None:
        counters = context.close()
        self.records[node.index] = NodeRecord(
            node=node,
            party=self.party,
            bytes_sent=counters.bytes_sent,
            bytes_received=counters.bytes_received,
            rounds=counters.rounds,
            started=started,
            seconds=seconds,
            outline=context.outline,
            dealt_bytes=context.dealt_bytes,
            dealing_s=context.dealing_s,
        )
        noted = {key: node.attributes[key] for key in ("trust",) if key in node.attributes} | context.note
        if len(node.participants) > 1 or noted:
            body = {
                "node": node.id.hex(),
                "text": node.text,
                "source": node.source,
                "participants": list(node.participants),
                "bytes_sent": counters.bytes_sent,
                "bytes_received": counters.bytes_received,
                "rounds": counters.rounds,
                **noted,
            }
            self.ledger.append("node", body, durable=False)
        self._report(node, 1.0, "")

    def _announce_disclosures(self, node: Node) -> None:
        """Record what a node will show before it does; a value is shown only when that record is on the disk."""
        if node.leaks:
            body = {
                "node": node.id.hex(),
                "text": node.text,
                "source": node.source,
                "disclosures": [msgspec.to_builtins(leak) for leak in node.leaks],
            }
            self.ledger.append("disclosure", body, durable=not node.operation.endswith(".share"))

    def _placed(self, error: JaliError, node: Node) -> JaliError:
        error.party = error.party or self.party
        error.node = error.node or node.name
        error.source = error.source or node.source
        error.phase = error.phase or self._phases.get(node.index)
        return error

    def _report(self, node: Node, done: float, what: str) -> None:
        self._phases[node.index] = what
        self._progress(self.party, node, done, what)

    def _raise_failure(self, *, late: bool = False) -> None:
        error = self._machine.error
        if error is None:
            return
        if late and ENDED not in getattr(error, "__notes__", ()):
            error.add_note(ENDED)
        raise error
