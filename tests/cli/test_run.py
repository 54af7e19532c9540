# SPDX-License-Identifier: Apache-2.0
"""`jali run`: what a program is told, how it ends, and what is left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from jali.mpc.cost.pace import Pace, cache_file
from jali.mpc.cost.speed import ProtocolSpeed, Rates
from jali.transport.timeline import MachineSpeed

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """
import os, sys
print(sys.argv[1:], *(os.environ.get(f"JALI_{n}", "-") for n in ("MODE", "PARTY")))
file = os.environ.get("JALI_FEDERATION")
if file:
    from jali.core import config
    print(list(config.load(file).parties), os.path.isabs(file))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that reports what it was told."""
    path = tmp_path / "job.py"
    path.write_text(REPORT)
    return path


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `jali run ARGUMENTS`."""
    command = [sys.executable, "-m", "jali", "run", *map(str, arguments)]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("JALI_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**bare, **environment})


def write(path: Path, text: str) -> Path:
    """Write a file and give its path."""
    path.write_text(text)
    return path


def test_a_program_runs_by_itself(program: Path) -> None:
    done = run(program, "a", "--flag", "-x", "3")
    assert done.stdout == "['a', '--flag', '-x', '3'] simulate -\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_a_simulation_gets_a_federation_of_its_parties(program: Path) -> None:
    done = run(program, "--simulate", "--parties", "bank,client[0..1]")
    assert done.stdout.splitlines() == ["[] simulate -", "['bank', 'client[0]', 'client[1]', 'dealer'] True"]


def test_a_plan_runs_nothing_and_shows_who_would_learn_what(tmp_path: Path) -> None:
    program = write(
        tmp_path / "job.py",
        "import jali, pathlib\n"
        "with jali.connect() as fed:\n"
        "    x = fed.plain('alice')(lambda: pathlib.Path('ran').touch())()\n"
        "    print(jali.reveal(x, to='bob'))\n",
    )
    done = run(program, "--parties", "alice,bob", "--explain")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<revealed to bob only>\nPlan of 2 nodes for alice, bob, dealer; nothing has run\n")
    assert "bob learns the value of <lambda>" in done.stdout
    assert not (tmp_path / "ran").exists()


def test_a_plan_for_a_network_predicts_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    speed = MachineSpeed(message_s=5e-5, message_cpu_s=5e-5, byte_s=1e-9, cores=2.0)
    cache_file().parent.mkdir()
    cache_file().write_bytes(
        msgspec.json.encode(
            Pace(machine=speed, protocols={"m2k": ProtocolSpeed(work=Rates(steps={}), wall=Rates(steps={}))})
        )
    )
    program = write(
        tmp_path / "job.py",
        "import jali\nfed = jali.connect()\n"
        "x = fed.plain('alice')(min, returns=jali.Spec((9,)))(0)\n"
        "fed.mpc('alice', 'bob')(lambda a: a * a)(x)\n",
    )
    done = run(program, "--parties", "alice,bob", "--explain", "--network", "wan", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "network wan (40 ms there and back, 100 Mbit/s out of each party)" in done.stdout
    assert "planned seconds" in done.stdout


def test_a_network_is_for_plans(program: Path) -> None:
    done = run(program, "--simulate", "--network", "wan")
    assert done.returncode == 2
    assert "--network is for --explain" in done.stderr


def test_one_party_is_told_who_it_is(program: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "f.toml", "[parties.bank]\n[parties.bureau]\n")
    done = run(program, "--federation", file, "--as", "bank", "--", "--as", "x")
    assert done.stdout.splitlines() == ["['--as', 'x'] party bank", "['bank', 'bureau'] True"]
    assert run(program, "--as", "bureau", JALI_FEDERATION=str(file)).returncode == 0


def test_insecure_choices_are_printed_at_the_start(program: Path, tmp_path: Path) -> None:
    text = '[parties.a]\n[parties.b]\n[devices.d]\nkind = "mpc"\nparties = ["a", "b"]\ninsecure_dealer = "a"\n'
    done = run(program, "--federation", write(tmp_path / "f.toml", text), "--simulate")
    assert "warning: device 'd': its dealer 'a' could read every secret" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--as", "a", "--simulate"], 2, "choose one of"),
        (["--as", "a"], 2, "needs --federation"),
        (["--parties", ","], 2, "names nobody"),
        (["--federation", "F"], 2, "--as PARTY"),
        (["--federation", "F", "--as", "bnak"], 3, "no party 'bnak' (did you mean 'bank'?)"),
        (["--federation", "F", "--parties", "bnak"], 3, "no party 'bnak' (did you mean 'bank'?)"),
        (["--federation", "nofile", "--as", "bank"], 3, "J1030"),
        (["--federation", "G", "--parties", "all"], 3, "no certificate and key of 'bureau'"),
        (["--simulate", "--parties", "a,a"], 3, "lists 'a' twice"),
    ],
)
def test_wrong_usage_says_what_to_do(
    program: Path, tmp_path: Path, options: list[str], status: int, words: str
) -> None:
    file = write(tmp_path / "f.toml", "[parties.bank]\n[parties.bureau]\n")
    real = write(tmp_path / "g.toml", '[parties.bank]\ncertificate = "c"\nkey = "k"\n[parties.bureau]\n')
    files = {"F": str(file), "G": str(real)}
    done = run(program, *(files.get(option, option) for option in options))
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_launched_program_has_no_standard_input(tmp_path: Path) -> None:
    text = "import sys\nprint('input', repr(sys.stdin.read()))\n"
    done = run(write(tmp_path / "job.py", text), "--parties", "dealer", TMPDIR=str(tmp_path))
    assert done.stdout == "dealer | input ''\n"


def test_a_missing_program_is_wrong_usage(tmp_path: Path) -> None:
    done = run(tmp_path / "job.py")
    assert done.returncode == 2
    assert "does not exist" in done.stderr


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(9)", 9, ""),
        ("import sys; sys.exit('no data today')", 1, "no data today\n"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("from jali.core.errors import TableInvalid\nraise TableInvalid('ragged')", 3, "J1020 ragged\n"),
    ],
)
def test_the_programs_end_is_the_commands_end(tmp_path: Path, text: str, status: int, words: str) -> None:
    done = run(write(tmp_path / "job.py", text))
    assert done.returncode == status
    assert done.stderr.lstrip().startswith(words)
    assert bool(done.stderr) == bool(words)


def test_an_exception_of_the_program_shows_its_own_frames_only(tmp_path: Path) -> None:
    done = run(write(tmp_path / "job.py", "def f():\n    raise ValueError('x')\nf()\n"))
    assert done.returncode == 1
    assert "line 3, in <module>" in done.stderr
    assert "runpy" not in done.stderr
    assert "jali" not in done.stderr.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("name", "end", "status"),
    [("jali-alice_0", "raise TableInvalid('x')", 3), ("own", "raise KeyboardInterrupt", 130)],
)
def test_a_failed_run_does_not_wait_for_functions_that_still_run(
    tmp_path: Path, name: str, end: str, status: int
) -> None:
    text = (
        "import threading\nfrom jali.core.errors import TableInvalid\nprint('begun')\n"
        f"threading.Thread(target=threading.Event().wait, args=(55,), name={name!r}).start()\n{end}\n"
    )
    done = run(write(tmp_path / "job.py", text))
    assert (done.returncode, done.stdout) == (status, "begun\n")


def test_threads_of_a_failed_program_end_by_themselves(tmp_path: Path) -> None:
    text = (
        "import sys, threading\ngo = threading.Event()\n"
        "threading.Thread(target=lambda: (threading.main_thread().join(), print('last words'))).start()\nsys.exit(4)\n"
    )
    done = run(write(tmp_path / "job.py", text))
    assert (done.returncode, done.stdout) == (4, "last words\n")


def test_a_program_imports_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "neighbour.py", "NAME = 'next door'\n")
    assert run(write(tmp_path / "job.py", "import neighbour\nprint(neighbour.NAME)")).stdout == "next door\n"


def temporaries(directory: Path) -> list[str]:
    """What jali left in a directory for temporary files."""
    return [entry.name for entry in directory.iterdir() if entry.name.startswith("jali-")]


def test_each_party_is_a_process_and_speaks_under_its_name(program: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = run(program, "--parties", "bank,bureau", "x", TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if "party" in line) == [
        "bank   | ['x'] party bank",
        "bureau | ['x'] party bureau",
        "dealer | ['x'] party dealer",
    ]
    assert temporaries(scratch) == []


def test_a_file_without_certificates_gets_temporary_ones(program: Path, tmp_path: Path) -> None:
    text = '[parties."c[0..1]"]\n[parties.h]\nrole = "helper"\n[devices.d]\nkind = "mpc"\nparties = ["c[0..1]"]\n'
    program.write_text(
        REPORT + "settings = config.load(file)\nparty = settings.parties[os.environ['JALI_PARTY']]\n"
        "print(bool(party.address), os.path.isfile(party.certificate), settings.devices['d'].dealer)\n"
    )
    done = run(program, "--parties", "all", "--federation", write(tmp_path / "f.toml", text))
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line.endswith("| True True h")) == [
        "c[0] | True True h",
        "c[1] | True True h",
        "h    | True True h",
    ]


def test_the_first_failure_is_the_status_and_nothing_is_left(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    text = "import os, sys\nsys.exit(7 if os.environ['JALI_PARTY'] == 'b' else 0)\n"
    done = run(write(tmp_path / "job.py", text), "--parties", "a,b", TMPDIR=str(scratch))
    assert done.returncode == 7
    assert temporaries(scratch) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_every_party_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    waiting = "import os, threading\nprint('pid', os.getpid())\nthreading.Event().wait(50)\n"
    command = [sys.executable, "-m", "jali", "run", str(write(tmp_path / "job.py", waiting)), "--parties", "a,b"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as parent:
        lines = [parent.stdout.readline() for _ in range(3)] if parent.stdout else []
        parent.send_signal(number)
        parent.communicate(timeout=30)
    assert parent.returncode == 128 + number
    assert temporaries(scratch) == []
    for line in lines:
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[-1]), 0)


def test_when_the_launcher_is_killed_the_parties_end(tmp_path: Path) -> None:
    waiting = "import os, threading\nprint('pid', os.getpid())\nthreading.Event().wait(50)\n"
    command = [sys.executable, "-m", "jali", "run", str(write(tmp_path / "job.py", waiting)), "--parties", "a,b"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as parent:
        pids = [int(parent.stdout.readline().split()[-1]) for _ in range(3)] if parent.stdout else []
        watched = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    for descriptor in watched:
        ready, _, _ = select.select([descriptor], [], [], 20)
        os.close(descriptor)
        assert ready, "a party was left behind"


def test_a_program_that_forgets_to_close_ends_with_all_that_it_began(tmp_path: Path) -> None:
    """Under python alone: nodes that wait for others when the program's last line has run still run."""
    (tmp_path / "job.py").write_text(
        "import jali\n"
        "fed = jali.simulate('alice', 'bob')\n"
        "x = fed.plain('alice')(float)(1)\n"
        "for _ in range(30):\n"
        "    x = fed.mpc('alice', 'bob')(lambda v: v + 1)(x)\n"
        "def save(n, *_):\n"
        "    open(f'step{n}', 'w').close()\n"
        "step = None\n"
        "for n in range(200):\n"
        "    step = fed.plain('bob')(save)(n, *([] if step is None else [step]))\n",
        "utf-8",
    )
    command = [sys.executable, "job.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert (tmp_path / "step199").exists()


@pytest.mark.parametrize("first", [[], ["--simulate"]])
def test_what_a_program_saves_outlives_the_federation_that_was_made_for_its_run(
    tmp_path: Path, first: list[str]
) -> None:
    program = tmp_path / "count.py"
    program.write_text(
        "import jali\n"
        "with jali.connect() as fed:\n"
        "    mpc = fed.mpc('alice', 'bob')\n"
        "    found = jali.is_saved('x', mpc)\n"
        "    x = jali.load('x', mpc) if found else fed.plain('alice')(int)('41').to(mpc)\n"
        "    jali.save(mpc(lambda v: v + 1)(x), 'x')\n"
        "    print('before:', found, 'now:', int(jali.reveal(x, to='all')) + 1)\n"
    )
    start = [sys.executable, "-m", "jali", "run", str(program), "--parties", "alice,bob"]
    outputs = [
        subprocess.run([*start, *how], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
        for how in (first, ["--simulate"])
    ]
    assert "before: False now: 42" in outputs[0]
    assert "before: True now: 43" in outputs[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["count.py", "saved", "saved-keys"]
