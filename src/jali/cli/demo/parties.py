# SPDX-License-Identifier: Apache-2.0
"""Runs the demonstration's job as three processes and collects what each of them wrote."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from jali.cli.demo import job
from jali.cli.demo.outcome import PartyReport
from jali.core.errors import DemoFailed, WriteFailed
from jali.ml import RocCounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PARTIES", "Results", "collect", "prepare_directory", "run_parties"]

PARTIES = ("bank", "bureau", "dealer")
COUNTS = "counts.json"
JOB = "job.py"


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What was revealed to the bank, and every party's report."""

    counts: RocCounts
    reports: tuple[PartyReport, ...]


def prepare_directory(directory: Path) -> None:
    """Make the directory, without results of an earlier run, and put the job there to read and to run again.

    Raises: WriteFailed if it cannot be made, or holds files of somebody else under the names that the demo writes.
    """
    if (directory / "bank.csv").exists() and not (directory / JOB).exists():
        raise WriteFailed(f"{directory} has a bank.csv that the demo did not write; choose another --dir")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (COUNTS, *(f"{party}.json" for party in PARTIES)):
            (directory / name).unlink(missing_ok=True)
        shutil.copyfile(job.__file__, directory / JOB)
    except OSError as error:
        raise WriteFailed(f"cannot use the directory {directory} ({error.strerror}); choose another --dir") from None


def run_parties(directory: Path, show: Callable[[str], None]) -> int:
    """Run the job as one process a party, show their lines, and give the exit status (0 if all went well).

    Their errors go to this process's standard error. Each party waits with deadlines of its own.
    """
    command = [sys.executable, "-m", "jali", "run", JOB, "--parties", ",".join(PARTIES)]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True, bufsize=1) as process:  # noqa: S603
        try:
            for line in process.stdout or ():
                show(line.rstrip("\n"))
        except KeyboardInterrupt:
            process.wait()  # it had the interrupt too, and ends its parties
            raise
    return process.returncode


def collect(directory: Path) -> Results:
    """Read what the parties wrote. Raises: DemoFailed if something is missing or unreadable."""
    try:
        counts = msgspec.json.decode((directory / COUNTS).read_bytes(), type=dict[str, int | list[int]])
        reports = tuple(
            msgspec.json.decode((directory / f"{party}.json").read_bytes(), type=PartyReport) for party in PARTIES
        )
        return Results(counts=RocCounts(**counts), reports=reports)
    except (OSError, msgspec.MsgspecError, TypeError) as error:
        raise DemoFailed(f"the parties ended, but their results in {directory} are incomplete: {error}") from error
