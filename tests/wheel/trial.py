# SPDX-License-Identifier: Apache-2.0
"""What somebody sees who installed jali's wheel and nothing else; `make wheel` runs it in that environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np

import jali
from jali import kernels

ALIGN = """
import jali
import numpy as np

fed = jali.connect()
alice, bob = fed.plain("alice"), fed.plain("bob")


def table(first):
    return jali.Table({"id": np.arange(first, first + 10)})


mine, theirs = jali.align(alice(table)(0), bob(table)(6), on="id")
print("in common:", jali.reveal(alice(len)(mine), to=alice))
"""
SUM = """
import jali

fed = jali.connect()
x, y = fed.plain("alice")(int)(3), fed.plain("bob")(int)(4)
print(jali.reveal(fed.mpc("alice", "bob")(lambda a, b: a + b)(x, y), to="all"))
"""


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    """What `jali ARGUMENTS` prints; it must end with that status."""
    command = [sys.executable, "-m", "jali", *arguments]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (arguments, done)
    return done.stdout + done.stderr


def main() -> None:
    """Raise AssertionError at the first thing that is not as it should be."""
    here = Path(jali.__file__).parent
    assert "site-packages" in here.parts, here
    assert (here / "py.typed").is_file()
    assert not list(here.rglob("*.cpp")), "sources of kernels do not belong in a wheel"
    installed = {distribution.name.lower() for distribution in metadata.distributions()}
    assert installed.isdisjoint({"jax", "rich", "scipy"}), "the trial is of the core only"
    assert kernels.report()["native"], kernels.report()
    np.testing.assert_array_equal(kernels.matmul(np.eye(9, dtype=np.uint64), np.full((9, 2), 7, np.uint64)), 7)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "align.py").write_text(ALIGN, "utf-8")
        (folder / "sum.py").write_text(SUM, "utf-8")
        assert jali.__version__ in run(folder, "--version")
        assert "kernels" in run(folder, "doctor")
        assert "What to do" in run(folder, "error", "J1016")
        run(folder, "federation", "new", "--parties", "alice,bob,dealer", "--dir", "made")
        file = ("--federation", "made/federation.toml")
        assert "in common: 4" in run(folder, "run", "align.py", *file, "--parties", "all")
        assert "the chain holds" in run(folder, "audit", "verify", "made/ledger/alice.jsonl")
        assert run(folder, "demo", status=3).count("pip install 'jali[jax]'") == 1
        missing = run(folder, "run", "sum.py", "--parties", "alice,bob", status=3)
        assert "pip install 'jali[jax]'" in missing, missing
    print(f"the wheel works alone on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
