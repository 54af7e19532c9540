# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, checks its own results, and reports what was asked for."""

from __future__ import annotations

from jali.psi.bench import CASES, rows
from jali.psi.bench_queries import QUERIES
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.oprf import cost as oprf_cost


def test_rows_of_a_small_run() -> None:
    found = list(rows(sizes=(600,), repeats=1))
    assert [row["case"] for row in found] == list(CASES)
    keys = {"suite", "case", "n", "protocol", "parties", "seconds", "bytes", "rounds"}
    assert all(keys <= set(row) for row in found)
    assert all(isinstance(row["seconds"], float) and row["seconds"] > 0 for row in found)
    assert all(
        isinstance(row["peak_bytes"], int) and row["peak_bytes"] > 2**24
        for row in found
        if row["case"] in PSI_PROTOCOLS
    )
    queries = {row["case"]: row for row in found if row["case"] in QUERIES}
    assert queries["oprf"]["bytes"] == sum(oprf_cost(1000).bytes_sent.values())
    assert queries["pir_index_batch"]["queries"] == 32


def test_some_cases_only() -> None:
    assert [row["case"] for row in rows(sizes=(20,), repeats=1, cases=("tag",))] == ["tag"]
