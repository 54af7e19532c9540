# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs between processes, and its bytes and rounds are the declared ones."""

from __future__ import annotations

import pytest

from jali.mpc.bench import CASES, rows

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES)
def test_rows_of_every_case(case: str) -> None:
    found = {
        str(row["protocol"]): row for row in rows(cases=[case], repeats=1, scale=0.00064 if case != "matmul" else 0.02)
    }
    assert set(found) == {"m2k", "rep3"}
    for row in found.values():
        assert row["suite"] == "mpc"
        assert row["parties"] == 3
        assert isinstance(row["seconds"], float)
        assert row["seconds"] > 0
    n = {"mul": 640, "matmul": 400, "less": 640}[case]
    declared = {
        "mul": (16 * n, 24 * n, 1, 48 * n, 1),
        "matmul": (16 * n, 24 * n, 1, 48 * n, 1),
        "less": (10 * n, 28_080, 2, 44_880, 4),
    }[case]
    m2k, rep3 = found["m2k"], found["rep3"]
    assert (m2k["bytes"], m2k["offline_bytes"], m2k["rounds"], rep3["bytes"], rep3["rounds"]) == declared
    assert rep3["offline_bytes"] == 0
