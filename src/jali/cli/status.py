# SPDX-License-Identifier: Apache-2.0
"""One line on a terminal that says how far a run is."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from jali.graph.node import Node

__all__ = ["StatusLine", "status_line"]

REDRAW_S = 0.1
CLEAR = "\r\x1b[2K"


class StatusLine:
    """Listens to a run's progress and keeps one line up to date; `what` of a node is shown while it runs."""

    def __init__(self, terminal: TextIO) -> None:
        """Draw on `terminal`."""
        self._terminal = terminal
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._done = 0

    def __call__(self, party: str, node: Node, done: float, what: str) -> None:
        """Take one report; draw at most ten times a second."""
        with self._lock:
            self._done += done == 1.0 and not what
            now = time.monotonic()
            if now - self._drawn < REDRAW_S:
                return
            self._drawn = now
            stage = f"{node.stage}: " if node.stage else ""
            detail = f", {what}" if what else ""
            line = f"{now - self._started:6.1f} s  {self._done} nodes  {party} | {stage}{node.text}{detail}"
            self._terminal.write(CLEAR + line[: shutil.get_terminal_size().columns - 1])
            self._terminal.flush()

    def clear(self) -> None:
        """Leave nothing behind."""
        with self._lock:
            self._terminal.write(CLEAR)
            self._terminal.flush()


@contextlib.contextmanager
def status_line() -> Iterator[None]:
    """Show how far the programs of this process are, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from jali.devices.progress import listeners

    status = StatusLine(sys.stderr)
    listeners.add(status)
    try:
        yield
    finally:
        listeners.remove(status)
        status.clear()
