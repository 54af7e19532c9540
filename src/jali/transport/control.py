# SPDX-License-Identifier: Apache-2.0
"""The control thread of a session: runs the graph layer's callbacks, so that no transport thread waits for them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from jali.core.errors import InternalError, JaliError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Control"]


class Control:
    """Delivers announcements and the first failure, in order, to whoever registers."""

    def __init__(self, party: str, *, failed: Callable[[JaliError], None]) -> None:
        """`failed(error)` is told when a callback raises."""
        self._failed = failed
        self._changed = threading.Condition()
        self._programs: deque[tuple[str, bytes]] = deque()
        self._failures: deque[JaliError] = deque(maxlen=1)
        self._program_callback: Callable[[str, bytes], None] | None = None
        self._failure_callback: Callable[[JaliError], None] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"jali-{party}-control", daemon=True)
        self._thread.start()

    def on_program(self, callback: Callable[[str, bytes], None]) -> None:
        """Register who hears announcements."""
        with self._changed:
            self._program_callback = callback
            self._changed.notify_all()

    def on_failure(self, callback: Callable[[JaliError], None]) -> None:
        """Register who hears of the failure."""
        with self._changed:
            self._failure_callback = callback
            self._changed.notify_all()

    def program(self, peer: str, payload: bytes) -> None:
        """An announcement came."""
        with self._changed:
            self._programs.append((peer, payload))
            self._changed.notify_all()

    def failure(self, error: JaliError) -> None:
        """The session failed."""
        with self._changed:
            self._failures.append(error)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the thread and wait for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._next() is not None)
                call = None if self._stopped else self._next()
                if call is None:
                    return
                (self._failures if self._failures and self._failure_callback else self._programs).popleft()
            try:
                call()
            except JaliError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - a thread's edge: nothing above could report it
                self._failed(InternalError(f"{type(error).__name__} while an announcement was handled"))

    def _next(self) -> Callable[[], None] | None:
        if self._failures and self._failure_callback is not None:
            tell, error = self._failure_callback, self._failures[0]
            return lambda: tell(error)
        if self._programs and self._program_callback is not None:
            hear, (peer, payload) = self._program_callback, self._programs[0]
            return lambda: hear(peer, payload)
        return None
