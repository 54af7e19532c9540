# SPDX-License-Identifier: Apache-2.0
"""The one port of a party: takes TLS connections and hands each to whoever expects that peer."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

from jali.core.errors import AddressInvalid, PeerError, PeerMissing, PortInUse
from jali.transport.messages import Message, Refusal
from jali.transport.tls import Connection, Credentials, accept_tls, split_address

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Listener"]

HANDSHAKE_S = 10.0
HANDSHAKES_AT_ONCE = 64
KEPT_REJECTIONS = 16


class Listener:
    """Listens until closed. Callers that do not prove to be of the federation are turned away and remembered."""

    def __init__(self, credentials: Credentials, address: str) -> None:
        """Bind at once and accept from now on.

        Raises: PortInUse; AddressInvalid when this machine cannot listen there.
        """
        self.rejections: list[PeerError] = []
        self._credentials = credentials
        self._socket = _bind(address, credentials.party)
        self._handlers: dict[str, Callable[[Connection, Message], None]] = {}
        self._lock = threading.Lock()
        self._under_way: dict[threading.Thread, socket.socket] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name=f"jali-{credentials.party}-listen", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port, also when the address said 0."""
        port: int = self._socket.getsockname()[1]
        return port

    def expect(self, peer: str, handler: Callable[[Connection, Message], None]) -> None:
        """Hand connections of `peer` with their first message to `handler`, which owns them; it must not block."""
        with self._lock:
            self._handlers[peer] = handler

    def forget(self, peer: str) -> None:
        """Turn `peer` away from now on."""
        with self._lock:
            self._handlers.pop(peer, None)

    def close(self) -> None:
        """Free the port; idempotent."""
        with self._lock:
            self._closed = True
            under_way = dict(self._under_way)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for thread, raw in under_way.items():
            with contextlib.suppress(OSError):
                socket.socket.shutdown(raw, socket.SHUT_RDWR)
            thread.join(HANDSHAKE_S)

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except TimeoutError:
                if self._closed:
                    return
                continue
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ECONNABORTED}:
                    return
                threading.Event().wait(0.1)  # out of files: until some are closed
                continue
            thread = threading.Thread(
                target=self._admit, args=(raw,), name=f"jali-{self._credentials.party}-admit", daemon=True
            )
            with self._lock:
                full = len(self._under_way) >= HANDSHAKES_AT_ONCE or self._closed
                if not full:
                    self._under_way[thread] = raw
            if full:
                raw.close()
            else:
                thread.start()

    def _admit(self, raw: socket.socket) -> None:
        deadline = time.monotonic() + HANDSHAKE_S
        connection = None
        try:
            connection = accept_tls(self._credentials, raw, deadline=deadline)
            self._hand_over(connection, connection.hear(deadline))
        except PeerError as error:
            self.rejections = [*self.rejections[1 - KEPT_REJECTIONS :], error]
            _close(connection)
        except OSError:
            _close(connection)
        finally:
            with self._lock:
                self._under_way.pop(threading.current_thread(), None)

    def _hand_over(self, connection: Connection, first: Message) -> None:
        with self._lock:
            handler = self._handlers.get(connection.peer)
        if handler is None:
            me = self._credentials.party
            refusal = PeerMissing(f"party {me!r} is not in a session with {connection.peer!r}", party=me)
            connection.tell(Refusal(code=refusal.code, message=refusal.message))
            connection.close()
        else:
            handler(connection, first)


def _bind(address: str, party: str) -> socket.socket:
    host, port = split_address(address)
    for place in (host, ""):  # an address behind a translating gateway is not one of this machine: listen on all
        try:
            server = socket.create_server((place, port), family=socket.AF_INET6 if ":" in place else socket.AF_INET)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(
                    f"port {port} of party {party!r} is in use: another program, or an earlier run, listens on "
                    f"{address}. End it, or choose another port in the federation file",
                    party=party,
                ) from None
            if error.errno != errno.EADDRNOTAVAIL or not place:
                raise AddressInvalid(f"cannot listen on {address!r}: {error.strerror}", party=party) from None
        else:
            server.settimeout(1.0)
            return server
    raise AddressInvalid(f"cannot listen on {address!r}", party=party)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
