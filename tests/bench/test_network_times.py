# SPDX-License-Identifier: Apache-2.0
"""The table of planned and actual seconds: what stands in a line, and what ends the benchmark."""

from __future__ import annotations

import msgspec
import pytest

from bench.network_times import calls, check, show
from jali.core.threat import Cost
from jali.devices.report import Row

COST = Cost(rounds=2, bytes_sent={"evaluator0": 30, "evaluator1": 10, "dealer": 0}, offline_bytes=5)
ROW = Row(
    index=0,
    stage="",
    text="mul",
    device="mpc",
    source="job.py:1",
    participants=("alice", "bob"),
    visibility="secret(mpc)",
    bytes_sent=30,
    rounds=2,
    seconds=1.0,
    predicted=COST,
    predicted_seconds=0.8,
)


def test_a_cost_that_was_not_planned_ends_the_benchmark() -> None:
    check((ROW, msgspec.structs.replace(ROW, bytes_sent=15)))
    with pytest.raises(SystemExit, match="found 46 bytes in 2 rounds"):
        check((ROW, msgspec.structs.replace(ROW, bytes_sent=16)))
    with pytest.raises(SystemExit, match="found 45 bytes in 3 rounds"):
        check((ROW, msgspec.structs.replace(ROW, bytes_sent=15, rounds=3)))


def test_first_and_later_calls_have_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [[(ROW, 3.0), (ROW, 1.0), (ROW, 2.0)], [(ROW, 5.0), (ROW, 0.9), (ROW, 4.0)]]
    assert [[seconds for _, seconds in found] for _, _, found in calls(runs, first=True)] == [[3.0, 5.0]]
    show("wan", "m2k", runs)
    first, later = capsys.readouterr().out.splitlines()
    assert first.split() == ["wan", "m2k", "mul", "first", "0.8000", "3.0000", "0.27", "miss"]
    assert later.split() == ["wan", "m2k", "mul", "later", "0.8000", "0.9000", "0.89"]
