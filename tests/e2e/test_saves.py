# SPDX-License-Identifier: Apache-2.0
"""Two jobs, one after the other, as real processes over TLS: the second continues with what the first one saved."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jali.transport.authority import create_federation
from tests.e2e.parties import Parties

if TYPE_CHECKING:
    from pathlib import Path

FIRST = """
import numpy as np
import jali

def load(n):
    return np.arange(float(n))

with jali.connect() as fed:
    alice, bob, carol = (fed.plain(p) for p in ("alice", "bob", "carol"))
    x, y = alice(load)(10), bob(load)(10)
    two, three = fed.mpc("alice", "bob"), fed.mpc("alice", "bob", "carol")
    jali.save(two(lambda a, b: {"product": a * b, "less": a < 4})(x, y), "step-1")
    jali.save(three(lambda a, b: a + b)(x, y), "sums")
    HOOK
"""
SECOND = """
import jali

with jali.connect() as fed:
    two, three = fed.mpc("alice", "bob"), fed.mpc("alice", "bob", "carol")
    step, sums = jali.load("step-1", two), jali.load("sums", three)
    both = three(lambda s, t: ((s["product"] * s["less"]).sum(), t.sum()))(step, sums)
    print("result", *(float(v) for v in jali.reveal(both, to="all")), flush=True)
"""
PARTIES = ("alice", "bob", "carol", "dealer")


@pytest.fixture
def homes(tmp_path: Path) -> dict[str, Path]:
    """The federation file of each party, in a folder that is its own."""
    create_federation(tmp_path / "federation", PARTIES)
    waits = "\n[network]\nconnect_s = 20\nnode_s = 60\nreconnect_s = 1\n"
    files = {party: tmp_path / "federation" / party / "federation.toml" for party in PARTIES}
    for file in files.values():
        file.write_text(file.read_text() + waits)
    return files


def job(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def audit(ledger: Path) -> str:
    command = [sys.executable, "-m", "jali", "audit", "show", str(ledger)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_second_job_continues_at_institutions_of_their_own(homes: dict[str, Path], tmp_path: Path) -> None:
    first = job(tmp_path, "first.py", FIRST.replace("HOOK", "pass"))
    ended = Parties(homes, dict.fromkeys(PARTIES, first), directory=tmp_path).ended()
    assert all(end.status == 0 for end in ended.values()), ended
    for party in ("alice", "bob"):
        home = homes[party].parent
        assert [path.name for path in (home / "saved-keys").iterdir()] == [f"{party}.key"]
        assert sorted(path.name for path in (home / "saved" / party).iterdir()) == ["step-1", "sums"]
    for party in ("carol", "dealer"):
        assert not (homes[party].parent / "saved").exists()
    second = job(tmp_path, "second.py", SECOND)
    ended = Parties(homes, dict.fromkeys(PARTIES, second), directory=tmp_path).ended()
    for end in ended.values():
        assert end.status == 0, ended
        assert "result 14.0 90.0" in end.output

    shown = audit(homes["bob"].parent / "ledger" / "bob.jsonl")
    assert "is saved as 'step-1' at alice and bob: whoever gets the files" in shown
    assert "moves from m2k of alice, bob (dealer: dealer) to rep3 of alice, bob, carol" in shown

    lost = next((homes["bob"].parent / "saved" / "bob" / "sums").iterdir())
    lost.unlink()
    ended = Parties(homes, dict.fromkeys(PARTIES, second), directory=tmp_path).ended()
    for end in ended.values():
        assert end.status == 3, ended
        assert "J1090 bob has nothing saved as 'sums'" in end.output


def test_a_job_that_was_killed_is_started_again_from_what_it_saved(homes: dict[str, Path], tmp_path: Path) -> None:
    hook = "import os; print('saved', flush=True); (x.program.parties[0] in x.program.runtimes) and os.abort()"
    first = job(tmp_path, "first.py", FIRST.replace("HOOK", hook))
    ended = Parties(homes, dict.fromkeys(PARTIES, first), directory=tmp_path).ended()
    assert ended["alice"].status == -signal.SIGABRT
    assert all(end.status == 5 for party, end in ended.items() if party != "alice"), ended
    second = job(tmp_path, "second.py", SECOND)
    ended = Parties(homes, dict.fromkeys(PARTIES, second), directory=tmp_path).ended()
    for end in ended.values():
        assert "result 14.0 90.0" in end.output, ended
