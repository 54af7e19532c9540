# SPDX-License-Identifier: Apache-2.0
"""Processes are started, heard and ended together."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from jali.cli import launch as launching
from jali.cli.launch import Process, launch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def process(party: str, program: str, **options: object) -> Process:
    """A process of python that runs a program."""
    return Process(party=party, command=(sys.executable, "-c", program), **options)  # type: ignore[arg-type]


def test_lines_are_heard_with_their_party(tmp_path: Path) -> None:
    heard: list[tuple[str, str, bool]] = []
    lock = threading.Lock()

    def hear(party: str, line: str, error: bool) -> None:  # noqa: FBT001 - the listener's signature
        with lock:
            heard.append((party, line, error))

    programs = [
        process("a", "import os; print('one'); print(os.environ['X'])", environment={"X": "two"}),
        process("b", "import os, sys; sys.stderr.write(os.getcwd())", directory=tmp_path),
    ]
    assert launch(programs, hear=hear) == 0
    assert [line for party, line, _ in heard if party == "a"] == ["one", "two"]
    assert [line for line in heard if line[0] == "b"] == [("b", str(tmp_path), True)]


def test_default_output_has_the_party_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch([process("bank", "print('x')"), process("b", "import sys; sys.stderr.write('y')")]) == 0
    out, err = capsys.readouterr()
    assert out == "bank | x\n"
    assert err == "b    | y\n"


def test_a_signal_is_a_status() -> None:
    assert launch([process("a", "import os; os.kill(os.getpid(), 9)")]) == 128 + signal.SIGKILL


def test_who_does_not_end_after_a_failure_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "GRACE_S", 0.2)
    monkeypatch.setattr(launching, "TERMINATE_S", 0.5)
    deaf = "import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN); threading.Event().wait(50)"
    pids: dict[str, int] = {}

    def started(found: Mapping[str, int]) -> None:
        pids.update(found)

    assert launch([process("a", deaf), process("b", "import sys; sys.exit(5)")], started=started) == 5
    with pytest.raises(ProcessLookupError):
        os.kill(pids["a"], 0)


def test_a_command_that_cannot_start_ends_the_others() -> None:
    pids: list[int] = []
    original = launching._start

    def noting(given: Process) -> object:
        child = original(given)
        pids.append(child.pid)
        return child

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "_start", noting)
        with pytest.raises(FileNotFoundError):
            launch(
                [process("a", "import threading; threading.Event().wait(50)"), Process(party="b", command=("/no/x",))]
            )
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
