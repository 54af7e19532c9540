# SPDX-License-Identifier: Apache-2.0
"""A wire tap: forwards TCP connections on loopback and keeps every byte, as somebody on the network would."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Tap", "tapped"]

CHUNK_BYTES = 1 << 16


class Tap:
    """Listens on a free port and forwards to `target`, recording both directions."""

    def __init__(self, target: tuple[str, int]) -> None:
        """Start listening."""
        self.captured = bytearray()
        self._target = target
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._target, timeout=10)
                except OSError:  # the party is not there yet: the dialler tries again
                    near.close()
                    continue
                far.settimeout(None)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                with self._lock:
                    self.captured += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Stop."""
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._accepting.join(5)


def tapped(federation: Path, parties: tuple[str, ...]) -> tuple[dict[str, Path], list[Tap]]:
    """A federation file for each party in which every *other* party's address is a tap in front of the real one."""
    text = federation.read_text()
    addresses = re.findall(r'address = "127\.0\.0\.1:(\d+)"', text)
    taps = {port: Tap(("127.0.0.1", int(port))) for port in addresses}
    files = {}
    for party, own in zip(parties, addresses, strict=True):
        mine = text
        for port, tap in taps.items():
            if port != own:
                mine = mine.replace(f":{port}", f":{tap.port}")
        files[party] = federation.with_name(f"{party}.toml")
        files[party].write_text(mine)
    return files, list(taps.values())
