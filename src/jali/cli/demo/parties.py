# SPDX-License-Identifier: Apache-2.0
"""The demonstration's organisations on this machine: a directory, a certificate and a process each.

::

    demo/job.py                    the program, the same at all
    demo/federation/               certificates, keys and the federation file
    demo/bank/bank.csv             only the bank reads it; here it also writes counts.json, what it learned
    demo/bureau/bureau.csv         only the bureau reads it
    demo/PARTY/report.json         what the run cost PARTY, and what was disclosed
    demo/federation/ledger/        each party's hash-chained record
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from jali.cli.demo import job
from jali.cli.demo.customers import write_customers
from jali.cli.launch import Process, launch
from jali.core.errors import DemoFailed, WriteFailed
from jali.devices.report import Report
from jali.ml import RocCounts
from jali.transport.authority import create_federation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PARTIES", "collect", "run_parties", "set_up", "start"]

PARTIES = ("bank", "bureau", "dealer")
HELPERS = ("dealer",)
JOB = "job.py"

_COUNTS = msgspec.json.Decoder(dict[str, int | list[int]])


def set_up(directory: Path) -> Path:
    """Make the organisations' directories, files and certificates anew; give the federation file.

    Raises: WriteFailed if that is not possible, or the directory holds something that the demo did not write.
    """
    if not _ours(directory):
        raise WriteFailed(f"{str(directory)!r} holds files that the demo did not write; choose another --dir")
    try:
        for name in (*PARTIES, "federation"):
            shutil.rmtree(directory / name, ignore_errors=True)
        for name in PARTIES:
            (directory / name).mkdir(parents=True)
        shutil.copyfile(job.__file__, directory / JOB)
        write_customers(directory / "bank", directory / "bureau")
        federation = create_federation(directory / "federation", PARTIES, helpers=HELPERS)
    except OSError as error:
        raise WriteFailed(f"cannot use the directory {str(directory)!r}: {error.strerror}") from None
    return federation


def _ours(directory: Path) -> bool:
    """Whether the directory is missing, empty, or holds the demonstration's job."""
    if not directory.exists() or not any(directory.iterdir()):
        return True
    place, first_line = directory / JOB, (job.__doc__ or "").splitlines()[0]
    return place.is_file() and first_line in place.read_text(encoding="utf-8", errors="replace")


def run_parties(directory: Path, federation: Path, hear: Callable[[str, str, bool], None]) -> int:
    """Run the job as one process a party and give the first failing exit status, or 0.

    `hear(party, line, error)` gets every line that they print. Each party waits with deadlines of its own.
    """
    return start(directory / JOB, directory, federation, hear)


def start(program: Path, directory: Path, federation: Path, hear: Callable[[str, str, bool], None]) -> int:
    """As `run_parties`, for any program of these three parties."""
    file = str(federation.absolute())
    return launch(
        [
            Process(
                party=party,
                command=(
                    sys.executable,
                    "-m",
                    "jali",
                    "run",
                    str(program.absolute()),
                    "--as",
                    party,
                    "--federation",
                    file,
                ),
                directory=directory / party,
            )
            for party in PARTIES
        ],
        hear=hear,
    )


def collect(directory: Path) -> tuple[RocCounts, dict[str, Report]]:
    """What was revealed to the bank, and every party's report. Raises: DemoFailed if something is missing."""
    try:
        counts = _COUNTS.decode((directory / "bank" / job.COUNTS).read_bytes())
        reports = {party: Report.from_json((directory / party / job.REPORT).read_bytes()) for party in PARTIES}
        return RocCounts(**counts), reports
    except (OSError, msgspec.MsgspecError, TypeError) as error:
        raise DemoFailed(
            f"the parties ended, but their results in {str(directory)!r} are not whole: {error}"
        ) from error
