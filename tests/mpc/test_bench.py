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
    assert set(found) == {"m2k", "m3k", "rep3", "aby3"}
    for row in found.values():
        assert row["suite"] == "mpc"
        assert row["parties"] == 3
        assert isinstance(row["seconds"], float)
        assert row["seconds"] > 0
    n = {"mul": 640, "matmul": 400, "less": 640}[case]
    declared = {
        "mul": {"m2k": (16 * n, 24 * n, 1), "rep3": (48 * n, 0, 1), "aby3": (88 * n, 0, 4)},
        "matmul": {"m2k": (16 * n, 24 * n, 1), "rep3": (48 * n, 0, 1), "aby3": (88 * n, 0, 4)},
        "less": {"m2k": (10 * n, 28_080, 2), "rep3": (44_880, 0, 4), "aby3": (49_040, 0, 8)},
    }[case]
    declared["m3k"] = declared["m2k"]
    costs = {name: (row["bytes"], row["offline_bytes"], row["rounds"]) for name, row in found.items()}
    assert costs == declared
