# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs between processes, and its bytes and rounds are the declared ones."""

from __future__ import annotations

import pytest

from jali.mpc.bench import CASES, rows

pytestmark = pytest.mark.slow


SIZES = {"matmul": 20, "softmax": 4, "logistic": 1500, "mlp": 2, "cnn": 1, "matvec": 50}
DECLARED: dict[str, dict[str, tuple[float, float, int]]] = {
    "mul": {"m2k": (16, 24, 1), "rep3": (48, 0, 1), "aby3": (88, 0, 4)},
    "less": {"m2k": (10, 43.875, 2), "rep3": (70.125, 0, 4), "aby3": (76.625, 0, 8)},
}


@pytest.mark.parametrize("case", CASES)
def test_rows_of_every_case(case: str) -> None:
    size = SIZES.get(case, 640)
    found = {str(row["protocol"]): row for row in rows(cases=[case], repeats=1, scale=size / CASES[case].size)}
    assert set(found) == {"m2k", "m3k", "rep3", "aby3"}
    for row in found.values():
        assert row["suite"] == "mpc"
        assert row["parties"] == 3
        assert row["n"] == size
        assert isinstance(row["seconds"], float)
        assert row["seconds"] > 0
    for name, (sent, dealt, rounds) in DECLARED.get(case, {}).items():
        row = found[name]
        assert (row["bytes"], row["offline_bytes"], row["rounds"]) == (sent * size, dealt * size, rounds)
