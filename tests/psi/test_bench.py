# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, checks its own results, and reports the declared bytes and rounds."""

from __future__ import annotations

from jali.psi.bench import rows
from jali.psi.ecdh import EcdhPsi
from jali.psi.intersection import intersection_cost


def test_rows_of_a_small_run() -> None:
    found = list(rows(sizes=(20,), repeats=1))
    assert [row["case"] for row in found] == [
        "hash to the curve", "multiply", "tag", "canonical keys", "20 x 20, half in common",
        "20 x 20, half in common",
    ]  # fmt: skip
    keys = {"suite", "case", "n", "protocol", "parties", "seconds", "per_second", "bytes", "rounds"}
    assert all(set(row) == keys for row in found)
    assert all(isinstance(row["seconds"], float) and row["seconds"] > 0 for row in found)
    cost = intersection_cost(EcdhPsi(), 20, 20, learns="both")
    assert (found[-2]["bytes"], found[-2]["rounds"]) == (sum(cost.bytes_sent.values()), cost.rounds)
