# SPDX-License-Identifier: Apache-2.0
"""Time loopback between two processes: plain TCP, the machine's limit, and a session over TLS.

Rows are plain dictionaries for `jali bench`, like those of `jali.kernels.bench`. Times are medians.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jali.core import config
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls
from jali.transport.measure import Speed, measure

__all__ = ["limit_rows", "session_speeds"]

PIECE_BYTES = 1 << 20
PINGS = 300
CHILD_S = 60.0


def limit_rows(*, repeats: int = 3, size_bytes: int = 1 << 28) -> list[dict[str, object]]:
    """What loopback allows at most: bytes one way and a small message's round trip; TCP, then a jali session.

    Units: gigabytes (1e9) a second of payload; seconds.
    """
    tcp_rate, tcp_trip = _tcp(repeats, size_bytes)
    speeds = session_speeds(repeats)
    tls_rate = statistics.median(speed.out_bytes_per_s for speed in speeds)
    tls_trip = statistics.median(speed.round_trip_s for speed in speeds)
    rates = [("loopback TCP one way", tcp_rate), ("loopback session (TLS 1.3) one way", tls_rate)]
    trips = [("loopback TCP round trip", tcp_trip), ("loopback session (TLS 1.3) round trip", tls_trip)]
    return [
        *({"suite": "limits", "case": case, "n": size_bytes, "gigabytes_per_s": rate / 1e9} for case, rate in rates),
        *({"suite": "limits", "case": case, "n": 1, "seconds": seconds} for case, seconds in trips),
    ]


def _tcp(repeats: int, size: int) -> tuple[float, float]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(CHILD_S)
        child = _child("tcp", str(server.getsockname()[1]), str(repeats), str(size))
        try:
            here, _ = server.accept()
            with here:
                here.settimeout(CHILD_S)
                here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                times = [_timed_send(here, size) for _ in range(repeats)]
                trips = [_timed_trip(here) for _ in range(PINGS)]
        finally:
            _end(child)
    return size / statistics.median(times), statistics.median(trips)


def _timed_send(here: socket.socket, size: int) -> float:
    piece = bytes(PIECE_BYTES)
    start = time.perf_counter()
    for _ in range(size // PIECE_BYTES):
        here.sendall(piece)
    here.recv(1)
    return time.perf_counter() - start


def _timed_trip(here: socket.socket) -> float:
    start = time.perf_counter()
    here.sendall(b"x")
    here.recv(1)
    return time.perf_counter() - start


def _tcp_child(port: int, repeats: int, size: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=CHILD_S) as there:
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray(PIECE_BYTES)
        for _ in range(repeats):
            left = size // PIECE_BYTES * PIECE_BYTES
            while left:
                count = there.recv_into(buffer)
                if not count:
                    return
                left -= count
            there.sendall(b"x")
        while there.recv(1):
            there.sendall(b"x")


def session_speeds(repeats: int, *, seconds: float = 0.3) -> list[Speed]:
    """What a TLS session between two processes on this machine does, measured several times, so long each way."""
    with tempfile.TemporaryDirectory(prefix="jali-bench-") as directory:
        file = create_federation(Path(directory) / "federation", ("a", "b"))
        child = _child("session", str(file), str(repeats), str(seconds))
        try:
            with connect_tls(config.load(file), "a", purpose="bench") as session:
                return [measure(session, "b", seconds=seconds, number=number) for number in range(repeats)]
        finally:
            _end(child)


def _session_child(file: str, repeats: int, seconds: float) -> None:
    with connect_tls(config.load(file), "b", purpose="bench") as session:
        for number in range(repeats):
            measure(session, "a", seconds=seconds, number=number)


def _child(*arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603 - this module, run by the same interpreter
        [sys.executable, "-m", "jali.transport.bench", *arguments], env=environment
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(CHILD_S / 10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "tcp":
        _tcp_child(*(int(number) for number in rest))
    else:
        _session_child(rest[0], int(rest[1]), float(rest[2]))
