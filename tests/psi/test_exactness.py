# SPDX-License-Identifier: Apache-2.0
"""The grid of `make exact` up to ten thousand ids, and that it would notice a wrong one."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
def test_no_key_is_missed_and_none_invented() -> None:
    command = [sys.executable, str(BENCH / "exactness.py"), "--most", "10000", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " runs, " in line]
    assert len(lines) >= 5
    assert all(line.endswith(": 0 missed, 0 invented, 0 rows amiss") for line in lines)


def test_a_wrong_key_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    exactness = importlib.import_module("exactness")
    case = exactness.Case(np.arange(20), np.arange(10, 30), "")
    assert exactness.PROTOCOLS["ecdh"](case) == (0, 0, 0)
    monkeypatch.setattr(exactness, "intersect", lambda stream, keys, **how: np.arange(5))
    assert any(exactness.PROTOCOLS["ecdh"](case))
    assert exactness.wrong({1, 2}, {2, 3, 4}) == (2, 1, 0)
