# SPDX-License-Identifier: Apache-2.0
"""The line that says how far a run is: on a terminal only, and gone at the end."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from jali.cli.status import CLEAR, StatusLine
from jali.graph.node import Graph, Visibility

if TYPE_CHECKING:
    from pathlib import Path


def test_line_shows_time_nodes_and_what_runs() -> None:
    node = Graph().append(
        "test",
        device="mpc",
        participants=("alice",),
        inputs=(),
        attributes={},
        fingerprint=b"",
        visibility=Visibility("public"),
        text="fit",
        source="job.py:1",
        stage="train",
    )
    terminal = io.StringIO()
    status = StatusLine(terminal)
    status("alice", node, 0.0, "412 rounds so far")
    status("alice", node, 1.0, "")
    status.clear()
    assert "0 nodes  alice | train: fit, 412 rounds so far" in terminal.getvalue()
    assert terminal.getvalue().endswith(CLEAR)


def test_a_run_on_a_terminal_shows_progress_and_cleans_up(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        "import jali\n"
        "with jali.simulate('alice', 'bob') as fed:\n"
        "    x = fed.plain('alice')(sorted)([2, 1])\n"
        "    print(jali.reveal(x, to='bob'))\n"
    )
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "jali", "run", str(job)], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.stdout == b"[1, 2]\n"
    assert "nodes  alice | sorted" in shown
    assert shown.endswith(CLEAR)
