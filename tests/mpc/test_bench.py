# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs between processes, and its bytes and rounds are the declared ones."""

from __future__ import annotations

import pytest

from jali.mpc.bench import CASES, rows

pytestmark = pytest.mark.slow


SIZES = {
    **dict.fromkeys(CASES, 640),
    "matmul": 20,
    "matvec": 50,
    "softmax": 4,
    "logistic": 1500,
    "mlp": 2,
    "cnn": 1,
}
DECLARED: dict[str, dict[str, tuple[float, float, int]]] = {
    "mul": {"m2k": (16, 24, 1), "m3k": (16, 24, 1), "rep3": (48, 0, 1), "aby3": (88, 0, 4)},
    "less": {"m2k": (10, 43.875, 2), "m3k": (10, 43.875, 2), "rep3": (69.875, 0, 3), "aby3": (76.625, 0, 8)},
}


def test_every_case_has_a_row() -> None:
    found = list(rows(protocols=["m2k"], repeats=1, sizes=SIZES))
    assert [row["case"] for row in found] == list(CASES)
    for row in found:
        assert (row["suite"], row["protocol"], row["parties"]) == ("mpc", "m2k", 3)
        assert row["n"] == SIZES[str(row["case"])]
        assert isinstance(row["seconds"], float)
        assert row["seconds"] > 0


def test_bytes_and_rounds_are_those_that_protocols_declare() -> None:
    found = list(rows(cases=list(DECLARED), repeats=1, sizes=SIZES))
    assert {str(row["protocol"]) for row in found} == set(DECLARED["mul"])
    for row in found:
        sent, dealt, rounds = DECLARED[str(row["case"])][str(row["protocol"])]
        assert (row["bytes"], row["offline_bytes"], row["rounds"]) == (sent * 640, dealt * 640, rounds)
