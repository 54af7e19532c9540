# SPDX-License-Identifier: Apache-2.0
"""`jali demo` as a newcomer runs it: three processes over TLS, one report, and errors that leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from jali.devices.report import Report
from jali.graph.ledger import verify

if TYPE_CHECKING:
    from pathlib import Path


class Run(NamedTuple):
    """A finished demonstration."""

    text: str
    directory: Path
    report: Path


def jali(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jali", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    where = tmp_path_factory.mktemp("run")
    done = jali("demo", cwd=where)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(done.stdout, where / "demo", where / "report.html")


def figures(text: str, model: str) -> tuple[float, float]:
    found = re.search(rf"{model}\s+([\d.]+)\s+([\d.]+)", text)
    assert found is not None
    return float(found[1]), float(found[2])


def test_joint_model_is_as_good_as_the_pooled_one(demo: Run) -> None:
    joint, pooled = figures(demo.text, "joint, under MPC"), figures(demo.text, "pooled, in clear")
    assert 0.7 < joint[0] < 0.9
    assert abs(joint[0] - pooled[0]) <= 0.005
    assert abs(joint[1] - pooled[1]) <= 0.03


def test_run_shows_progress_and_every_stage(demo: Run) -> None:
    cost = demo.text[demo.text.index("COST") :]
    for stage in ("load", "align", "prepare", "train", "evaluate"):
        assert re.search(rf"\| {stage}: ", demo.text)
        assert re.search(rf"^\s+{stage}\s+\d", cost, re.MULTILINE)


def test_report_is_whole(demo: Run) -> None:
    page = demo.report.read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert page.rstrip().endswith("</html>")
    assert [path.name for path in demo.report.parent.iterdir() if path.suffix != ".html"] == ["demo"]


def test_only_declared_things_were_disclosed(demo: Run) -> None:
    reports = {name: Report.from_json((demo.directory / name / "report.json").read_bytes()) for name in PARTIES}
    learned = {(leak.to, leak.what) for report in reports.values() for leak in report.disclosures}
    values = {item for item in learned if "value of" in item[1]}
    assert {to for to, _ in values} == {"bank"}
    assert all("roc_counts" in what for _, what in values)
    assert all("shapes" in what for to, what in learned if to == "dealer")


def test_ledgers_verify(demo: Run) -> None:
    for name in PARTIES:
        entries, _ = verify(demo.directory / "federation" / "ledger" / f"{name}.jsonl")
        assert entries > 0


PARTIES = ("bank", "bureau", "dealer")


def test_it_runs_again_over_its_own_directory_only(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "job.py").write_text("print('mine')")
    done = jali("demo", cwd=tmp_path)
    assert done.returncode == 8
    assert "holds files that the demo did not write" in done.stderr
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["job.py"]


def test_report_that_cannot_be_written_is_known_at_the_start(tmp_path: Path) -> None:
    done = jali("demo", "--report", "missing/report.html", cwd=tmp_path)
    assert done.returncode == 8
    assert "J6010" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_full_disk_for_the_report_is_named_and_nothing_stays(tmp_path: Path) -> None:
    """A disk of one page, in a mount namespace of the test's own: the report does not fit."""
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=4k tmpfs {small} && "
        f"{sys.executable} -m jali demo --report {small}/report.html; status=$?; ls -A {small} >listing; exit $status"
    )
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*own, "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 8, done.stdout + done.stderr
    assert "J6010" in done.stderr
    assert "No space left" in done.stderr
    assert (tmp_path / "listing").read_text() == ""
