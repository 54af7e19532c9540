# SPDX-License-Identifier: Apache-2.0
"""The command: quick help, one message for an error, the exit status of its class."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any, NoReturn

import click
import pytest

from jali.cli import app
from jali.core.errors import FileMissing, UnknownName


def jali(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m jali ARGUMENTS`."""
    command = [sys.executable, "-m", "jali", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `jali config` end with an error."""

    @click.command()
    def failing() -> NoReturn:
        raise error

    monkeypatch.setattr(app, "load", lambda _: failing)


def test_help_lists_every_command_and_loads_none() -> None:
    program = (
        "import sys\nfrom jali.cli.app import status_of\nstatus = status_of(['--help'])\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('numpy', 'jax', 'msgspec', 'cryptography')])\n"
        "print(sorted(m for m in sys.modules if m.startswith('jali.cli.')))\nsys.exit(status)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    *text, heavy, ours = run.stdout.splitlines()
    assert heavy == "[]"
    assert ours == "['jali.cli.app', 'jali.cli.output']"
    for name, (_, summary) in app.COMMANDS.items():
        assert any(line.split()[:1] == [name] and summary in line for line in text)


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_exists(name: str) -> None:
    module, _, attribute = app.COMMANDS[name][0].partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.help


def test_the_module_is_the_command() -> None:
    run = jali("--version")
    assert run.returncode == 0
    assert run.stdout.startswith("jali ")


def test_an_error_is_one_message_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.status_of(["config", "check", "/no/such/file.toml"]) == FileMissing.exit_status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "J1030 cannot read '/no/such/file.toml': No such file or directory",
        "  more: jali error J1030",
    ]


def test_a_defect_is_an_internal_error_without_the_exceptions_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ValueError("account 4711"))
    assert app.status_of(["config"]) == 70
    message = capsys.readouterr().err
    assert message.startswith("J9000 ValueError at ")
    assert "test_app.py:" in message
    assert "4711" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize("option", [True, False])
def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    raising(monkeypatch, ValueError("inside"))
    monkeypatch.setenv("JALI_DEBUG", "0" if option else "1")
    assert app.status_of(["--debug", "config"] if option else ["config"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_not_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert app.status_of(["config"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_an_unknown_command_has_a_near_miss(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.status_of(["confg"]) == 2
    assert "no command 'confg' (did you mean 'config'?)" in capsys.readouterr().err


def test_every_key_is_listed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.status_of(["config", "explain"]) == 0
    assert "network.window_mib" in capsys.readouterr().out
    assert app.status_of(["config", "explain", "network.connect_s"]) == 0
    assert capsys.readouterr().out.startswith("network.connect_s (number above 0; default 60.0)\n")
    assert app.status_of(["config", "explain", "conect_s"]) == UnknownName.exit_status
    assert "did you mean 'connect_s'" in capsys.readouterr().err


def test_a_file_is_checked(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "federation.toml"
    file.write_text(
        'authority = "ca.pem"\n[parties."p[0..1]"]\naddress = "h:{7000+i}"\n'
        '[devices.d]\nkind = "mpc"\nparties = ["p[0..1]"]\ninsecure_dealer = "p[0]"\n'
    )
    assert app.status_of(["config", "check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "local: 2 parties, 1 device\n" in out
    assert "p[1]" in out
    assert "h:7001" in out
    assert "m2k" in out
    assert "could read every secret" in err
    assert "certificate of the authority is not at" in err
