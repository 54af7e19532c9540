# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, checks its own results, and reports what was asked for."""

from __future__ import annotations

from jali.psi.bench import CASES, rows
from jali.psi.contract import PSI_PROTOCOLS


def test_rows_of_a_small_run() -> None:
    found = list(rows(sizes=(600,), repeats=1))
    assert [row["case"] for row in found] == list(CASES)
    keys = {"suite", "case", "n", "protocol", "parties", "seconds", "per_second", "bytes", "rounds", "peak_bytes"}
    assert all(set(row) - {"queries", "offline_seconds"} == keys for row in found)
    assert all(isinstance(row["seconds"], float) and row["seconds"] > 0 for row in found)
    assert all(
        isinstance(row["peak_bytes"], int) and row["peak_bytes"] > 2**24
        for row in found
        if row["case"] in PSI_PROTOCOLS
    )


def test_some_cases_only() -> None:
    assert [row["case"] for row in rows(sizes=(20,), repeats=1, cases=("tag",))] == ["tag"]
