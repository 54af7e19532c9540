# SPDX-License-Identifier: Apache-2.0
"""The one port of a party: takes TLS connections and hands each to whoever expects that peer."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

from jali.core.errors import (
    AddressInvalid,
    CertificateWrong,
    HandshakeFailed,
    PeerError,
    PeerMissing,
    PortInUse,
    error_class,
)
from jali.transport.messages import Refusal
from jali.transport.tls import Connection, Credentials, accept_tls, split_address, wrap_incoming

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from jali.core.config import Federation
    from jali.transport.messages import Message

__all__ = ["Listener"]

HANDSHAKE_S = 10.0
HANDSHAKES_AT_ONCE = 64
KEPT_REJECTIONS = 16


class Listener:
    """Listens until closed. Callers that do not prove to be of the federation are turned away and remembered."""

    def __init__(self, credentials: Credentials, federation: Federation) -> None:
        """Bind the party's address at once and accept from now on.

        Raises: PortInUse; AddressInvalid when this machine cannot listen there.
        """
        self.rejections: list[PeerError] = []
        self._credentials = credentials
        self._members = federation.parties.keys()
        self._socket = _bind(federation.parties[credentials.party].address, credentials.party)
        self._handlers: dict[str, Callable[[Connection, Message], None]] = {}
        self._lock = threading.Lock()
        self._under_way: dict[threading.Thread, ssl.SSLSocket] = {}
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

    def rejected(self, absent: str) -> list[PeerError]:
        """The errors of callers who may have been `absent`, rather than another party of the federation."""
        return [error for error in self.rejections if error.party == absent or error.party not in self._members]

    def close(self) -> None:
        """Free the port; idempotent."""
        with self._lock:
            self._closed = True
            under_way = dict(self._under_way)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for thread, tls in under_way.items():
            with contextlib.suppress(OSError):
                socket.socket.shutdown(tls, socket.SHUT_RDWR)
            thread.join(HANDSHAKE_S)

    def _accept(self) -> None:
        while True:
            try:
                raw, (host, port, *_) = self._socket.accept()
                tls = wrap_incoming(self._credentials, raw)
            except TimeoutError:
                if self._closed:
                    return
                continue
            except OSError as error:
                if self._closed:
                    return
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    threading.Event().wait(0.1)  # out of files: until some are closed
                continue
            thread = threading.Thread(
                target=self._admit,
                args=(tls, f"a caller at {host}:{port}"),
                name=f"jali-{self._credentials.party}-admit",
                daemon=True,
            )
            with self._lock:
                full = len(self._under_way) >= HANDSHAKES_AT_ONCE or self._closed
                if not full:
                    self._under_way[thread] = tls
            if full:
                tls.close()
            else:
                thread.start()

    def _admit(self, tls: ssl.SSLSocket, caller: str) -> None:
        deadline = time.monotonic() + HANDSHAKE_S
        connection = None
        try:
            connection = accept_tls(tls, caller=caller, deadline=deadline)
            self._hand_over(connection, connection.hear(deadline), caller)
        except PeerError as error:
            self.rejections = [*self.rejections[1 - KEPT_REJECTIONS :], error]
            _close(connection)
        except OSError:
            _close(connection)
        finally:
            with self._lock:
                self._under_way.pop(threading.current_thread(), None)

    def _hand_over(self, connection: Connection, first: Message, caller: str) -> None:
        with self._lock:
            handler = self._handlers.get(connection.peer)
        if handler is not None:
            handler(connection, first)
            return
        if isinstance(first, Refusal):  # it turned us away before this party was ready to hear it
            error = error_class(first.code)(first.message, party=connection.peer)
            raise error if isinstance(error, PeerError) else HandshakeFailed(first.message, party=connection.peer)
        me = self._credentials.party
        connection.refuse(PeerMissing(f"party {me!r} is not in a session with {connection.peer!r}", party=me))
        if connection.peer not in self._members:
            raise CertificateWrong(
                f"{caller} has a certificate of {connection.peer!r}, which is no party of this federation",
                party=connection.peer,
            )


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
