# SPDX-License-Identifier: Apache-2.0
"""Starts a program as real processes over TLS on loopback, watches them, kills them, and says how they ended."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from jali.transport.authority import create_federation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Ended", "Parties", "federation_file"]


class Ended(NamedTuple):
    """How a process ended."""

    status: int
    output: str


def federation_file(directory: Path, parties: Sequence[str], *, node_s: float = 60.0) -> Path:
    """A new federation with a dealer, whose waits are short enough for tests."""
    path = create_federation(directory / "federation", (*parties, "dealer"), helpers=("dealer",))
    path.write_text(path.read_text() + f"\n[network]\nconnect_s = 20\nnode_s = {node_s:g}\nreconnect_s = 1\n")
    return path


class Parties:
    """One process a party, each running `program`; outputs are collected line by line."""

    def __init__(
        self, federation: Path | dict[str, Path], programs: dict[str, Path], *, directory: Path | dict[str, Path]
    ) -> None:
        """Start them all; the federation file and the directory may be each party's own."""
        files = federation if isinstance(federation, dict) else dict.fromkeys(programs, federation)
        places = directory if isinstance(directory, dict) else dict.fromkeys(programs, directory)
        self._started = time.monotonic()
        self.lines: dict[str, list[str]] = {party: [] for party in programs}
        self._changed = threading.Condition()
        self.processes = {
            party: subprocess.Popen(
                [sys.executable, "-m", "jali", "run", str(program), "--as", party, "--federation", str(files[party])],
                cwd=places[party],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for party, program in programs.items()
        }
        self._readers = [threading.Thread(target=self._read, args=(p,), daemon=True) for p in programs]
        for reader in self._readers:
            reader.start()

    def _read(self, party: str) -> None:
        stream = self.processes[party].stdout
        for line in stream or ():
            with self._changed:
                self.lines[party].append(line)
                self._changed.notify_all()

    def wait_for(self, text: str, *, timeout_s: float = 60.0) -> None:
        """Until some party has printed a line with `text`."""
        with self._changed:
            seen = self._changed.wait_for(
                lambda: any(text in line for lines in self.lines.values() for line in lines), timeout_s
            )
        if not seen:
            self.stop()
            raise AssertionError(f"nobody printed {text!r}: {self.lines}")

    def ended(self, *, timeout_s: float = 60.0) -> dict[str, Ended]:
        """How each ended; a process that is still there after the time is a failure."""
        deadline = time.monotonic() + timeout_s
        try:
            for process in self.processes.values():
                process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            hanging = {p: "".join(self.lines[p]) for p, process in self.processes.items() if process.poll() is None}
            raise AssertionError(f"still running after {timeout_s} s: {hanging}") from None
        finally:
            self.stop()
        return {p: Ended(process.returncode, "".join(self.lines[p])) for p, process in self.processes.items()}

    def stop(self) -> None:
        """Kill what still runs (only what was started here)."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for process in self.processes.values():
            if process.stdout is not None:
                process.stdout.close()
