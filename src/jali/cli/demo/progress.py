# SPDX-License-Identifier: Apache-2.0
"""Shows what the parties' processes print: below a spinner where rich and a terminal are, else as plain lines."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

__all__ = ["shown"]


@contextlib.contextmanager
def shown(title: str) -> Iterator[Callable[[str], None]]:
    """Gives a function that shows one line with the time since the start."""
    started = time.monotonic()

    def stamped(line: str) -> str:
        return f"  {time.monotonic() - started:5.1f} s  {line}"

    console = _console() if sys.stdout.isatty() else None
    if console is None:
        print(title, flush=True)
        yield lambda line: print(stamped(line), flush=True)
        return
    with console.status(title):
        yield lambda line: console.print(stamped(line), markup=False, highlight=False)


def _console() -> Console | None:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console()
