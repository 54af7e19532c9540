# SPDX-License-Identifier: Apache-2.0
"""TLS 1.3 with mutual authentication: contexts, connections, dialling.

Security: both sides show a certificate of the federation's authority and prove its key; who a certificate speaks for
is compared with the party that is expected. Only TLS 1.3 is spoken, no session is resumed (no tickets), so every
connection has fresh keys. A connection carries frames one way only, since one OpenSSL object must not be read and
written at once (ADR 0010).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from jali.core.errors import AddressInvalid, CertificateMissing, CertificateWrong, FrameInvalid
from jali.transport.frames import HEADER_BYTES, Kind, pack, unpack
from jali.transport.identity import party_of, tls_problem
from jali.transport.messages import Message, Refusal, decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jali.core.errors import JaliError

__all__ = ["Connection", "Credentials", "accept_tls", "dial_tls", "probe", "split_address", "wrap_incoming"]

JOIN_BYTES = 64 << 10
PIECE_BYTES = 256 << 10
MAX_HANDSHAKE_BYTES = 64 << 10
REFUSAL_S = 1.0


class Credentials(NamedTuple):
    """One party's TLS contexts, for each end of a connection."""

    party: str
    server: ssl.SSLContext
    client: ssl.SSLContext

    @classmethod
    def load(cls, party: str, *, certificate: Path, key: Path, authority: Path) -> Credentials:
        """Read the files.

        Raises: CertificateMissing when one cannot be used.
        """
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False  # the name is a party's, which we compare ourselves
        server.num_tickets = 0
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(authority)
            except OSError as error:
                raise _unusable(authority, error) from None
            try:
                context.load_cert_chain(certificate, key, password=lambda: b"")
            except OSError as error:
                raise _unusable(key if certificate.is_file() else certificate, error) from None
        return cls(party, server, client)


class Connection:
    """One TLS connection, blocking with deadlines. After the handshake one thread reads or one thread writes."""

    def __init__(self, tls: ssl.SSLSocket, *, peer: str) -> None:
        """`tls` has finished its handshake; `peer` is the party that its certificate names."""
        self.peer = peer
        self._tls = tls

    def read_into(self, view: memoryview) -> None:
        """Fill `view`.

        Raises: OSError when the connection ends, TimeoutError after the time limit without a byte.
        """
        done, size = 0, view.nbytes
        receive = self._tls.recv_into
        while done < size:
            count = receive(view[done:] if done else view)
            if not count:
                raise ConnectionResetError
            done += count

    def write(self, header: bytes, parts: Sequence[memoryview], length: int) -> None:
        """Write a frame.

        Raises: OSError when the connection ends or takes nothing until the time limit.
        """
        if length <= JOIN_BYTES:
            self._tls.sendall(b"".join((header, *parts)))
            return
        self._tls.sendall(header)
        for part in parts:
            for start in range(0, part.nbytes, PIECE_BYTES):  # the time limit is for each piece
                self._tls.sendall(part[start : start + PIECE_BYTES])

    def limit(self, seconds: float) -> None:
        """How long a read or write may take."""
        self._tls.settimeout(seconds)

    def tell(self, message: Message) -> None:
        """Write a handshake message."""
        payload = memoryview(encode(message))
        self.write(pack(Kind.CONTROL, length=payload.nbytes), (payload,), payload.nbytes)

    def refuse(self, error: JaliError) -> None:
        """Say why the handshake ends here, and close."""
        with contextlib.suppress(OSError):
            self.limit(REFUSAL_S)
            self.tell(Refusal(code=error.code, message=error.message))
        self.close()

    def hear(self, deadline: float) -> Message:
        """Read a handshake message.

        Raises: OSError, FrameInvalid.
        """
        header = memoryview(bytearray(HEADER_BYTES))
        self._read_until(header, deadline)
        frame = unpack(header)
        if frame.kind is not Kind.CONTROL or frame.sequence or frame.length > MAX_HANDSHAKE_BYTES:
            raise FrameInvalid(f"{self.peer!r} sent a {frame.kind.name} frame during the handshake")
        payload = memoryview(bytearray(frame.length))
        self._read_until(payload, deadline)
        return decode(payload)

    def abort(self) -> None:
        """End the connection at once; whoever reads or writes it gets an error. Safe from any thread."""
        # not SSLSocket.shutdown, which would turn a concurrent read into one of unprotected bytes
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the socket; only when nobody reads or writes any more."""
        self.abort()
        self._tls.close()

    def _read_until(self, view: memoryview, deadline: float) -> None:
        done = 0
        while done < view.nbytes:
            self._tls.settimeout(_left(deadline))
            count = self._tls.recv_into(view[done:])
            if not count:
                raise ConnectionResetError
            done += count


def dial_tls(credentials: Credentials, address: str, *, peer: str, deadline: float) -> Connection:
    """Connect to `peer`.

    Raises: OSError when nobody answers; CertificateWrong and others when somebody else does.
    """
    raw = socket.create_connection(split_address(address), timeout=_left(deadline))
    tls = _wrap(raw, credentials.client, server_side=False)
    connection = _handshake(tls, f"party {peer!r} at {address}", deadline)
    if connection.peer != peer:
        error = CertificateWrong(
            f"expected party {peer!r} at {address}, found a certificate of party {connection.peer!r}", party=peer
        )
        connection.refuse(error)
        raise error
    return connection


def wrap_incoming(credentials: Credentials, raw: socket.socket) -> ssl.SSLSocket:
    """Make an accepted socket one that will speak TLS; says nothing yet."""
    return _wrap(raw, credentials.server, server_side=True)


def accept_tls(tls: ssl.SSLSocket, *, caller: str, deadline: float) -> Connection:
    """Do the handshake with a `caller`; who it is, is for us to judge afterwards.

    Raises: OSError; CertificateWrong and others when it is nobody of the federation.
    """
    return _handshake(tls, caller, deadline)


def probe(address: str) -> bool:
    """Whether something may listen there: False only when the connection is refused at once."""
    try:
        socket.create_connection(split_address(address), timeout=0.5).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[host]:port".

    Raises: AddressInvalid.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port) < 1 << 16:
        raise AddressInvalid(f"expected an address such as 'bank.example:7100', found {address!r}")
    return host, int(port)


def _wrap(raw: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> ssl.SSLSocket:
    try:
        # Buffers are left to the kernel: a size that is asked for is fixed, and where the system's limit is low (208
        # KiB on a stock Linux) it holds a connection over 40 ms to half of 100 Mbit/s.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(raw, server_side=server_side, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        raise


def _handshake(tls: ssl.SSLSocket, peer: str, deadline: float) -> Connection:
    try:
        tls.settimeout(_left(deadline))
        tls.do_handshake()
        certificate = tls.getpeercert(binary_form=True) or b""
        return Connection(tls, peer=party_of(x509.load_der_x509_certificate(certificate)))
    except OSError as error:
        _linger(tls)
        problem = tls_problem(error, peer)
        if problem is None:
            raise
        raise problem from error
    except BaseException:
        tls.close()
        raise


def _linger(tls: ssl.SSLSocket) -> None:
    """Let the alert that says why reach the peer: closing with unread bytes would reset the connection first."""
    with contextlib.suppress(OSError):
        tls.settimeout(1.0)
        socket.socket.shutdown(tls, socket.SHUT_WR)
        end = time.monotonic() + 1.0
        while time.monotonic() < end and socket.socket.recv(tls, 4096):
            pass
    tls.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _unusable(path: Path, error: OSError) -> CertificateMissing:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return CertificateMissing(f"cannot use {str(path)!r}: {reason}")
