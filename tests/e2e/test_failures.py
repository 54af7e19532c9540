# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong at one party, every party ends, soon, with the same named error and its exit status."""

from __future__ import annotations

import datetime as dt
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from jali.core import config
from jali.transport.authority import Authority
from tests.e2e.parties import Parties, federation_file

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, signal, sys
import numpy as np
import jali

def load(n):
    return np.arange(float(n))

def total(x, y):
    return (x * y).sum()

def step(name):
    print("at", name, flush=True)
    HOOK

with jali.connect() as fed:
    step("start")
    alice, bob, mpc = fed.plain("alice"), fed.plain("bob"), fed.mpc("alice", "bob")
    x, y = alice(load)(10), bob(load)(10)
    step("loaded")
    jali.reveal(x, to=bob)
    step("revealed")
    s = mpc(total)(x, y)
    print("total", jali.reveal(s, to="all"), flush=True)
    step("computed")
    jali.reveal(y, to=alice)
print("end", flush=True)
"""
PARTIES = ("alice", "bob", "dealer")
STAGES = ("start", "loaded", "revealed", "computed")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return federation_file(tmp_path_factory.mktemp("fed"), ("alice", "bob"))


def program(directory: Path, name: str, text: str = PROGRAM, *, hook: str = "pass") -> Path:
    path = directory / name
    path.write_text(text.replace("HOOK", hook))
    return path


def test_all_parties_finish_with_the_result(federation: Path, tmp_path: Path) -> None:
    job = program(tmp_path, "job.py")
    ended = Parties(federation, dict.fromkeys(PARTIES, job), directory=tmp_path).ended()
    for party in PARTIES:
        assert ended[party].status == 0, ended
        assert "total 285" in ended[party].output


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("victim", PARTIES)
def test_killed_party_is_named_by_all_others(federation: Path, tmp_path: Path, victim: str, stage: str) -> None:
    hook = f'name == "{stage}" and os.environ["JALI_PARTY"] == "{victim}" and os.kill(os.getpid(), signal.SIGKILL)'
    job = program(tmp_path, "job.py", hook=hook)
    ended = Parties(federation, dict.fromkeys(PARTIES, job), directory=tmp_path).ended()
    assert ended[victim].status == -signal.SIGKILL
    for party in PARTIES:
        if party != victim:
            assert ended[party].status == 5, ended
            assert "J3" in ended[party].output
            assert victim in ended[party].output.split("J3", 1)[1]


def test_different_programs_are_named_at_both_parties(federation: Path, tmp_path: Path) -> None:
    one = program(tmp_path, "one.py")
    two = program(tmp_path, "two.py", PROGRAM.replace("x * y", "x + y"))
    ended = Parties(federation, {"alice": one, "bob": two, "dealer": one}, directory=tmp_path).ended()
    for party in PARTIES:
        assert ended[party].status == 4, ended
        assert "J2080" in ended[party].output
    assert "one.py:" in ended["alice"].output
    assert "two.py:" in ended["alice"].output


def test_party_that_leaves_early_is_a_mismatch_not_a_hang(federation: Path, tmp_path: Path) -> None:
    one = program(tmp_path, "one.py")
    two = program(tmp_path, "two.py", PROGRAM.split("    s = mpc", maxsplit=1)[0])
    ended = Parties(federation, {"alice": one, "bob": two, "dealer": one}, directory=tmp_path).ended()
    for party in ("alice", "dealer"):
        assert ended[party].status == 4, ended
        assert "J2080" in ended[party].output


def test_exception_at_one_party_ends_all_under_one_code_without_its_message(federation: Path, tmp_path: Path) -> None:
    failing = PROGRAM.replace("return np.arange(float(n))", 'raise ValueError("row 7 is 4711")')
    job = program(tmp_path, "job.py", failing)
    ended = Parties(federation, dict.fromkeys(PARTIES, job), directory=tmp_path).ended()
    for party in PARTIES:
        assert ended[party].status == 4, ended
        assert "J2086" in ended[party].output
    assert any("ValueError: row 7 is 4711" in ended[party].output for party in ("alice", "bob"))
    assert "4711" not in ended["dealer"].output


def test_missing_party_is_named_by_those_who_wait(tmp_path: Path) -> None:
    path = federation_file(tmp_path, ("alice", "bob"))
    path.write_text(path.read_text().replace("connect_s = 20", "connect_s = 3"))
    job = program(tmp_path, "job.py")
    ended = Parties(path, {"alice": job, "dealer": job}, directory=tmp_path).ended()
    for party in ("alice", "dealer"):
        assert ended[party].status == 5, ended
        assert "bob" in ended[party].output.split("J3", 1)[1]


def test_stopped_party_is_named_within_the_deadline(tmp_path: Path) -> None:
    path = federation_file(tmp_path, ("alice", "bob"))
    path.write_text(path.read_text() + "heartbeat_s = 0.5\n")
    hook = 'name == "revealed" and os.environ["JALI_PARTY"] == "bob" and os.kill(os.getpid(), signal.SIGSTOP)'
    job = program(tmp_path, "job.py", hook=hook)
    parties = Parties(path, dict.fromkeys(PARTIES, job), directory=tmp_path)
    for party in ("alice", "dealer"):
        assert parties.processes[party].wait(60) == 5
        assert "bob" in "".join(parties.lines[party]).split("J3", 1)[1]
    parties.stop()


@pytest.mark.parametrize(("wrong", "code"), [("expired", "J30"), ("foreign", "J30")])
def test_bad_certificate_ends_all_parties(tmp_path: Path, wrong: str, code: str) -> None:
    path = federation_file(tmp_path, ("alice", "bob"))
    path.write_text(path.read_text().replace("connect_s = 20", "connect_s = 4"))
    authority = Authority.new("elsewhere") if wrong == "foreign" else Authority.read(path.parent)
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=9) if wrong == "expired" else None
    certificate, key = authority.issue("bob", start=start, days=8)
    (path.parent / "bob" / "certificate.pem").write_bytes(certificate)
    (path.parent / "bob" / "key.pem").write_bytes(key)
    job = program(tmp_path, "job.py")
    ended = Parties(path, dict.fromkeys(PARTIES, job), directory=tmp_path).ended()
    for party in PARTIES:
        assert ended[party].status == 5, ended
        assert code in ended[party].output
        assert "bob" in ended[party].output.split(code, 1)[1]
    assert "certificate" in ended["bob"].output


def test_port_in_use_ends_all_parties(tmp_path: Path) -> None:
    path = federation_file(tmp_path, ("alice", "bob"))
    path.write_text(path.read_text().replace("connect_s = 20", "connect_s = 4"))
    host, _, port = config.load(path).parties["bob"].address.rpartition(":")
    job = program(tmp_path, "job.py")
    with socket.create_server((host, int(port))):
        ended = Parties(path, dict.fromkeys(PARTIES, job), directory=tmp_path).ended()
    for party in PARTIES:
        assert ended[party].status == 5, ended
        assert "bob" in ended[party].output.split("J3", 1)[1]
    assert port in ended["bob"].output
