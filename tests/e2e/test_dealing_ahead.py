# SPDX-License-Identifier: Apache-2.0
"""Dealing ahead between processes: the dealer goes home, a party is killed half-way, and no mask is used twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from jali.core import config
from jali.core.federation_text import to_toml
from jali.mpc.dealing.store import Store
from tests.e2e.parties import Parties, federation_file

if TYPE_CHECKING:
    from pathlib import Path

SHARED = """
import os, signal, sys
import numpy as np
import jali
from jali.mpc.dealing import store as dealing_store

def load(n):
    return np.arange(float(n))

def total(x, y):
    return (x * y * 0.5 > 3).sum()

ME = os.environ["JALI_PARTY"]
taking = dealing_store.Store._take

def noted(store, execution):
    dealing = taking(store, execution)
    print("used", execution, dealing.prg._key.hex(), flush=True)
    HOOK
    return dealing

dealing_store.Store._take = noted
"""
DEAL = """
with jali.connect() as fed:
    mpc = fed.mpc("alice", "bob", dealing="ahead", store=f"store-{ME}")
    print(mpc.deal_ahead(total, count=4)(jali.Spec((10,)), jali.Spec((10,))))
print("dealt", flush=True)
"""
USE = """
with jali.connect() as fed:
    mpc = fed.mpc("alice", "bob", dealing="ahead", store=f"store-{ME}")
    x, y = fed.plain("alice")(load)(10), fed.plain("bob")(load)(10)
    print("total", jali.reveal(mpc(total)(x, y), to="all"), flush=True)
"""
pytestmark = pytest.mark.slow

EVALUATORS = ("alice", "bob")
EVERYBODY = (*EVALUATORS, "dealer")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return federation_file(tmp_path_factory.mktemp("fed"), EVALUATORS)


@pytest.fixture(scope="module")
def without_dealer(federation: Path) -> Path:
    whole = config.load(federation)
    parties = {name: whole.parties[name] for name in EVALUATORS}
    path = federation.with_name("without.toml")
    path.write_text(to_toml(msgspec.structs.replace(whole, parties=parties)))
    return path


@pytest.fixture
def dealt(federation: Path, tmp_path: Path) -> Path:
    """A directory with the stores of both."""
    job = written(tmp_path, "deal.py", DEAL)
    ended = Parties(federation, dict.fromkeys(EVERYBODY, job), directory=tmp_path).ended()
    for party in EVERYBODY:
        assert ended[party].status == 0, ended
        assert "total under m2k" in ended[party].output
    return tmp_path


def written(directory: Path, name: str, text: str, *, hook: str = "pass") -> Path:
    path = directory / name
    path.write_text(SHARED.replace("HOOK", hook) + text)
    return path


def used(output: str) -> tuple[int, str]:
    """The execution and the seed that a process used."""
    [line] = [line.split() for line in output.splitlines() if line.startswith("used")]
    return int(line[1]), line[2]


def left(directory: Path, party: str) -> tuple[int, int]:
    [path] = (directory / f"store-{party}").glob("*.dealt")
    with Store(path, party) as store:
        return store.position(), store.left


def test_two_processes_compute_without_the_dealer(dealt: Path, without_dealer: Path) -> None:
    job = written(dealt, "use.py", USE)
    ended = Parties(without_dealer, dict.fromkeys(EVALUATORS, job), directory=dealt).ended()
    for party in EVALUATORS:
        assert ended[party].status == 0, ended
        assert "total 7" in ended[party].output
        assert used(ended[party].output)[0] == 0
        assert left(dealt, party) == (1, 3)
    assert len({used(ended[party].output)[1] for party in EVALUATORS}) == 2


def test_a_run_says_who_does_not_come(dealt: Path, federation: Path) -> None:
    """With the federation file as it is."""
    job = written(dealt, "use.py", USE)
    command = [sys.executable, "-m", "jali", "run", str(job), "--federation", str(federation)]
    done = subprocess.run(
        [*command, "--parties", "all", "--without", "dealer"],
        cwd=dealt,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("total 7") == 2
    assert [left(dealt, party) for party in EVALUATORS] == [(1, 3), (1, 3)]
    wrong = subprocess.run(
        [*command, "--as", "alice", "--without", "daeler"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "J1014 the federation has no party 'daeler' (did you mean 'dealer'?)" in wrong.stdout + wrong.stderr


@pytest.mark.parametrize("victim", EVALUATORS)
def test_a_party_that_is_killed_with_material_in_its_hands(dealt: Path, without_dealer: Path, victim: str) -> None:
    """The run after it uses other material at both parties, although one of them had not used any."""
    hook = f'ME == "{victim}" and os.kill(os.getpid(), signal.SIGKILL)'
    crashing = written(dealt, "crash.py", USE, hook=hook)
    first = Parties(without_dealer, dict.fromkeys(EVALUATORS, crashing), directory=dealt).ended()
    assert first[victim].status == -signal.SIGKILL
    job = written(dealt, "use.py", USE)
    second = Parties(without_dealer, dict.fromkeys(EVALUATORS, job), directory=dealt).ended()
    before = used(first[victim].output)
    for party in EVALUATORS:
        assert second[party].status == 0, second
        assert "total 7" in second[party].output
        execution, seed = used(second[party].output)
        assert execution == 1
        assert seed != before[1]
        assert left(dealt, party)[0] == 2


def test_all_used_is_an_error_with_its_own_exit_status(dealt: Path, without_dealer: Path) -> None:
    [path] = (dealt / "store-bob").glob("*.dealt")
    with Store(path, "bob") as store:
        store.take(3)
    job = written(dealt, "use.py", USE)
    ended = Parties(without_dealer, dict.fromkeys(EVALUATORS, job), directory=dealt).ended()
    for party in EVALUATORS:
        assert ended[party].status == 3, ended
        assert "J1103 all 4 executions of 'total'" in ended[party].output
        assert "run deal_ahead again" in ended[party].output
