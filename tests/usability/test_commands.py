# SPDX-License-Identifier: Apache-2.0
"""Mistakes that people make on the command line, each with the words and the exit status that help them out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FEDERATION = """
name = "credit"
authority = "authority.pem"
[parties.bank]
address = "127.0.0.1:7101"
[parties.bureau]
address = "127.0.0.1:7102"
"""


def jali(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` as a person would."""
    environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "jali", *arguments]
    return subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def words(text: str) -> str:
    """The text without the line breaks of a terminal."""
    return " ".join(text.split())


def test_a_misspelt_command_names_the_near_miss(tmp_path: Path) -> None:
    run = jali(tmp_path, "rnu", "job.py")
    assert run.returncode == 2
    assert "run" in words(run.stderr)


def test_no_command_shows_the_help(tmp_path: Path) -> None:
    run = jali(tmp_path)
    assert "Usage: jali" in run.stdout + run.stderr
    assert "demo" in run.stdout + run.stderr


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    run = jali(tmp_path, "run", "job.py", "--simulate")
    assert run.returncode in {2, 3}
    assert "job.py" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_program_with_an_error_of_its_own_shows_where(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import jali\n\nprint(undefined_name)\n", "utf-8")
    run = jali(tmp_path, "run", "job.py", "--simulate")
    assert run.returncode != 0
    assert "undefined_name" in run.stderr
    assert "job.py" in run.stderr
    assert "line 3" in run.stderr or "job.py:3" in run.stderr


def test_an_error_of_jali_is_one_message_with_its_code(tmp_path: Path) -> None:
    job = "import jali\nfed = jali.connect()\nx = fed.plain('bank')(lambda: 1)()\nif x:\n    pass\n"
    (tmp_path / "job.py").write_text(job, "utf-8")
    (tmp_path / "federation.toml").write_text(FEDERATION, "utf-8")
    run = jali(tmp_path, "run", "job.py", "--simulate", "--federation", "federation.toml")
    assert run.returncode == 4
    assert "J20" in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) <= 4


def test_a_misspelt_key_names_the_near_miss_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "federation.toml").write_text(FEDERATION.replace("[parties.bank]\naddress", "[parties.bank]\nadress"))
    run = jali(tmp_path, "config", "check", "federation.toml")
    assert run.returncode == 3
    assert "adress" in run.stderr
    assert "address" in run.stderr.replace("adress", "")
    assert "federation.toml" in run.stderr


def test_two_parties_without_a_dealer_are_told_the_ways_out(tmp_path: Path) -> None:
    device = '[devices.joint]\nkind = "mpc"\nparties = ["bank", "bureau"]\n'
    (tmp_path / "federation.toml").write_text(FEDERATION + device, "utf-8")
    run = jali(tmp_path, "config", "check", "federation.toml")
    assert run.returncode == 3
    for way in ("helper", "rep3", "insecure_dealer"):
        assert way in words(run.stderr)


def test_explaining_a_key_that_is_not_there(tmp_path: Path) -> None:
    run = jali(tmp_path, "config", "explain", "network.conect_s")
    assert run.returncode == 3
    assert "connect_s" in run.stderr


def test_explaining_a_misspelt_section(tmp_path: Path) -> None:
    run = jali(tmp_path, "config", "explain", "netwrk")
    assert run.returncode == 3
    assert "did you mean 'network'" in run.stderr


def test_the_code_of_an_error_leads_to_its_page(tmp_path: Path) -> None:
    failed = jali(tmp_path, "config", "explain", "netwrk")
    advice = failed.stderr.splitlines()[-1].split("jali ")[1].split()
    page = jali(tmp_path, *advice)
    assert page.returncode == 0
    assert page.stdout.startswith("# J1014 UnknownName")
    assert "## What to do" in page.stdout
    assert jali(tmp_path, "error", "j1014").stdout == page.stdout


def test_all_errors_are_listed_and_a_misspelt_one_has_near_misses(tmp_path: Path) -> None:
    assert "J1014  UnknownName" in jali(tmp_path, "error").stdout
    run = jali(tmp_path, "error", "J1O15")
    assert run.returncode == 3
    assert "did you mean 'J1015'" in run.stderr


def test_a_federation_is_never_overwritten(tmp_path: Path) -> None:
    first = jali(tmp_path, "federation", "new", "--parties", "bank,bureau,dealer", "--dir", "credit")
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in (tmp_path / "credit").rglob("*") if path.is_file()}
    second = jali(tmp_path, "federation", "new", "--parties", "bank,bureau,dealer", "--dir", "credit")
    assert second.returncode in {2, 3, 5, 8}
    assert "credit" in second.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "credit").rglob("*") if path.is_file()} == before


def test_a_party_that_is_not_in_the_federation(tmp_path: Path) -> None:
    (tmp_path / "federation.toml").write_text(FEDERATION, "utf-8")
    (tmp_path / "job.py").write_text("import jali\njali.connect()\n", "utf-8")
    run = jali(tmp_path, "run", "job.py", "--federation", "federation.toml", "--as", "bnak")
    assert run.returncode in {2, 3, 4}
    assert "bank" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["run", "config", "federation", "doctor", "audit", "bench", "demo", "error"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    run = jali(tmp_path, command, "--help")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"Usage: jali {command}")
