# SPDX-License-Identifier: Apache-2.0
"""Parties as real processes: they talk, and when one is killed the others end with its name, soon."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jali.transport.authority import create_federation

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIES = ("alice", "bob", "carol")
SCRIPT = Path(__file__).with_name("party_process.py")
SOURCE = Path(__file__).parents[2] / "src"


@contextmanager
def processes(directory: Path, mode: str) -> Iterator[dict[str, subprocess.Popen[str]]]:
    federation = create_federation(directory / "federation", PARTIES)
    with federation.open("a") as file:
        file.write("\n[network]\nconnect_s = 20\nreconnect_s = 2\nnode_s = 60\n")
    started = {
        party: subprocess.Popen(
            [sys.executable, str(SCRIPT), str(federation), party, mode],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(SOURCE)},
        )
        for party in PARTIES
    }
    try:
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    stdout = process.stdout
    return "" if stdout is None else stdout.readline().strip()


def test_processes_talk_and_end(tmp_path: Path) -> None:
    with processes(tmp_path, "talk") as started:
        for party, process in started.items():
            assert line(process) == "ready"
            assert line(process) == "heard " + ",".join(p for p in PARTIES if p != party)
        for process in started.values():
            assert process.wait(10) == 0


@pytest.mark.parametrize("victim", PARTIES)
def test_killed_party_is_named_by_all_others(tmp_path: Path, victim: str) -> None:
    with processes(tmp_path, "wait") as started:
        assert [line(process) for process in started.values()] == ["ready"] * 3
        started[victim].send_signal(signal.SIGKILL)
        begin = time.monotonic()
        for party, process in started.items():
            if party != victim:
                assert line(process) == f"J3002 {victim}"
                assert process.wait(5) == 5
        assert time.monotonic() - begin < 5
