# SPDX-License-Identifier: Apache-2.0
"""Rows of `jali bench demo`: an epoch of training, and the demonstration stage by stage, as processes over TLS."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jali.cli.demo import epoch, job
from jali.cli.demo.outcome import stages_of
from jali.cli.demo.parties import PARTIES, set_up, start
from jali.core.errors import DemoFailed
from jali.devices.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.cli.demo.outcome import Stage

__all__ = ["rows"]

Row = dict[str, object]
RUNS = 3
SHARED = {"protocol": "m2k", "parties": len(PARTIES)}


def rows() -> Iterator[Row]:
    """One row for an epoch of 10,000 rows by 100 features, one for each stage of the demonstration, one for all of it.

    Seconds are medians: of an epoch after the first, which includes tracing; of three whole runs for the stages.
    """
    yield _epoch()
    runs = [_run(Path(job.__file__)) for _ in range(RUNS)]
    costs = [stages_of(reports) for reports, _ in runs]
    for stage in costs[0]:
        same = [next(other for other in cost if other.name == stage.name) for cost in costs]
        yield _row(stage, seconds=statistics.median(other.seconds for other in same))
    whole = statistics.median(seconds for _, seconds in runs)
    total = sum(stage.total_bytes for stage in costs[0])
    yield {"case": "whole run", **SHARED, "seconds": whole, "bytes": total, "rounds": sum(s.rounds for s in costs[0])}


def _epoch() -> Row:
    reports, _ = _run(Path(epoch.__file__))
    fits = [rows for rows in zip(*(reports[party].rows for party in PARTIES), strict=True) if rows[0].text == "fit"]
    later = [max(row.seconds or 0.0 for row in rows) for rows in fits[1:]]
    return {
        "case": f"logistic regression epoch, {epoch.ROWS:,} x {epoch.FEATURES}, batch {epoch.MODEL.batch_size}",
        "n": epoch.ROWS,
        **SHARED,
        "seconds": statistics.median(later),
        "bytes": sum(row.bytes_sent or 0 for row in fits[0]),
        "rounds": max(row.rounds or 0 for row in fits[0]),
    }


def _row(stage: Stage, *, seconds: float) -> Row:
    return {
        "case": f"stage {stage.name}",
        **SHARED,
        "seconds": seconds,
        "bytes": stage.total_bytes,
        "rounds": stage.rounds,
    }


def _run(program: Path) -> tuple[dict[str, Report], float]:
    """Run a program in fresh directories; give the parties' reports and the seconds from start to end."""
    with tempfile.TemporaryDirectory(prefix="jali-bench-") as name:
        directory = Path(name)
        federation = set_up(directory)
        started = time.perf_counter()
        status = start(program, directory, federation, _complain)
        seconds = time.perf_counter() - started
        if status != 0:
            raise DemoFailed(f"{program.name} ended with status {status}; its parties say why on standard error")
        reports = {party: Report.from_json((directory / party / job.REPORT).read_bytes()) for party in PARTIES}
        return reports, seconds


def _complain(party: str, line: str, error: bool) -> None:  # noqa: FBT001 - the launcher's signature
    if error:
        sys.stderr.write(f"{party} | {line}\n")
