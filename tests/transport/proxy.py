# SPDX-License-Identifier: Apache-2.0
"""A man in the middle on loopback: forwards TCP between two parties, and can cut it or flip a bit."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from jali.transport.connect import connect_tls
from jali.transport.tls import split_address
from tests.transport.parties import FAST, all_at_once, federation_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jali.transport.session import Session
    from jali.transport.settings import Settings

__all__ = ["TamperingProxy"]


class TamperingProxy:
    """Listens where bob believes that alice does."""

    def __init__(self, target: str) -> None:
        self.flipped = False
        self.recorded: list[bytes] = []
        self._flip = False
        self._frozen = threading.Event()
        self._closing = threading.Event()
        self._target = split_address(target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def flip_next(self) -> None:
        """Flip a bit in the next large piece that passes."""
        self._flip = True

    def cut(self) -> None:
        """Cut every connection."""
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Forward nothing more, and keep every connection open."""
        self._frozen.set()

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                try:
                    answerer = socket.create_connection(self._target)
                except ConnectionRefusedError:  # not started yet
                    caller.close()
                    continue
                self._sockets += [caller, answerer]
                for source, sink in ((caller, answerer), (answerer, caller)):
                    thread = threading.Thread(target=self._forward, args=(source, sink))
                    self._threads.append(thread)
                    thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                self.recorded.append(piece)
                if self._frozen.is_set():
                    self._closing.wait()
                if self._flip and len(piece) > 4000:
                    changed = bytearray(piece)
                    changed[len(piece) // 2] ^= 1
                    piece, self._flip, self.flipped = bytes(changed), False, True
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @classmethod
    @contextmanager
    def between(cls, directory: Path, settings: Settings = FAST) -> Iterator[tuple[TamperingProxy, dict[str, Session]]]:
        """Alice and bob, connected through a proxy."""
        honest = federation_in(directory, ("alice", "bob"))
        proxy = cls(honest.parties["alice"].address)
        moved = msgspec.structs.replace(honest.parties["alice"], address=proxy.address)
        misled = msgspec.structs.replace(honest, parties=honest.parties | {"alice": moved})
        outcomes = all_at_once(
            {
                "alice": lambda: connect_tls(honest, "alice", settings=settings),
                "bob": lambda: connect_tls(misled, "bob", settings=settings),
            }
        )
        sessions: dict[str, Session] = {}
        try:
            for party, outcome in outcomes.items():
                if isinstance(outcome, BaseException):
                    raise outcome
                sessions[party] = outcome
            yield proxy, sessions
        finally:
            for session in sessions.values():
                session.close()
            proxy.close()
