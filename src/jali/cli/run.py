# SPDX-License-Identifier: Apache-2.0
"""`jali run`: one program, in the three ways in which it can run.

What `jali.connect()` finds is told through the environment: JALI_MODE ("party" or "simulate"), JALI_FEDERATION (the
file), JALI_PARTY and JALI_WITHOUT (who does not come). Options that jali does not know go to the program; after ``--``
everything does.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jali.core.config import Federation

__all__ = ["command", "run_here", "run_parties"]

HELPER = "dealer"
EVERYBODY = "all"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("program", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--federation", type=click.Path(path_type=Path), help="The federation file.")
@click.option("--as", "party", metavar="PARTY", help="Be this party; the others run elsewhere.")
@click.option("--parties", metavar="A,B,...", help="One process a party on this machine ('all': all of the file).")
@click.option("--simulate", is_flag=True, help="All parties in this process, over memory.")
@click.option(
    "--without", metavar="A,B,...", help="Parties that do not come, such as a dealer that dealt ahead of time."
)
@click.option(
    "--explain", is_flag=True, help="Run nothing: print what would happen, who would learn what, and the cost."
)
@click.option(
    "--network",
    metavar="NAME",
    help="With --explain, predict seconds over this network: loopback, lan (1 Gbit/s, 1 ms), wan (100 Mbit/s, 40 ms), "
    "or for example 20ms/200Mbit.",
)
def command(
    *,
    program: Path,
    arguments: tuple[str, ...],
    federation: Path | None,
    party: str | None,
    parties: str | None,
    simulate: bool,
    without: str | None,
    explain: bool,
    network: str | None,
) -> int:
    """Run PROGRAM with ARGUMENTS: as one party, as several processes, or simulated; or only --explain it.

    Without --as, --parties or --simulate the program runs by itself, as with python.
    """
    names = _listed(parties) if parties is not None else None
    if without is not None:
        os.environ["JALI_WITHOUT"] = ",".join(_listed(without))
    if party is not None and (simulate or parties is not None):
        raise click.UsageError("choose one of --as, --parties and --simulate")
    if names == []:
        raise click.UsageError("--parties names nobody: say --parties alice,bob")
    if network is not None and not explain:
        raise click.UsageError("--network is for --explain; an option of PROGRAM with that name goes after --")
    if explain:
        return _explain(program, arguments, federation=federation, parties=names, network=network)
    if party is not None:
        return run_here(program, arguments, federation=_required(federation), party=party)
    if simulate:
        return _simulate(program, arguments, federation=federation, parties=names)
    if names is not None:
        return run_parties(program, arguments, parties=names, federation=federation)
    if federation is not None:
        raise click.UsageError("say who you are: --as PARTY, or run all here: --parties all, or --simulate")
    return run_here(program, arguments)


def run_here(
    program: Path,
    arguments: tuple[str, ...] = (),
    *,
    federation: Path | None = None,
    party: str | None = None,
    mode: str = "",
) -> int:
    """Run a program in this process, as one party, or as all when there is no `party`; give its exit status.

    Raises: UnknownName if the federation has no such party; what the program raised, if it is a JaliError.
    """
    from jali.cli.launch import tether
    from jali.cli.script import run_script
    from jali.cli.status import status_line

    tether()
    environment = {"JALI_MODE": mode or ("party" if party else "simulate")}
    if federation is not None:
        _announce(_loaded(federation, party))
        environment["JALI_FEDERATION"] = str(federation.absolute())
    if party is not None:
        environment["JALI_PARTY"] = party
    os.environ.update(environment)
    with status_line():
        return run_script(program, arguments)


def run_parties(
    program: Path,
    arguments: tuple[str, ...] = (),
    *,
    parties: list[str],
    federation: Path | None = None,
    directories: Mapping[str, Path] | None = None,
) -> int:
    """Run a program in one process a party, over TLS on this machine; give the first failing exit status.

    Without a file, a federation with certificates and free ports is made for the run, with a helper party "dealer"
    unless one of that name is given; with a file whose parties have no certificates, the same is done for its parties.
    `directories` are the working directories of parties; the others start in this one.
    """
    from jali.cli.launch import Process, launch

    with ExitStack() as stack:
        file, names = _prepared(stack, parties, federation)
        names = [name for name in names if name not in _listed(os.environ.get("JALI_WITHOUT", ""))]
        start = (sys.executable, "-m", "jali", "run", str(program.absolute()), "--federation", str(file), "--as")
        processes = [
            Process(party=name, command=(*start, name, "--", *arguments), directory=(directories or {}).get(name))
            for name in names
        ]
        return launch(processes)


def _explain(
    program: Path,
    arguments: tuple[str, ...],
    *,
    federation: Path | None,
    parties: list[str] | None,
    network: str | None,
) -> int:
    """Trace the program; what it prints itself comes first, then its plan."""
    from jali.devices.connect import EXPLAIN, plans

    status = _simulate(program, arguments, federation=federation, parties=parties, mode=EXPLAIN)
    for report in plans(network):
        click.echo(report)
    return status


def _simulate(
    program: Path,
    arguments: tuple[str, ...],
    *,
    federation: Path | None,
    parties: list[str] | None,
    mode: str = "",
) -> int:
    if parties is None or federation is not None:
        return run_here(program, arguments, federation=federation, mode=mode)
    from tempfile import TemporaryDirectory

    from jali.core import config
    from jali.core.federation_text import to_toml

    with TemporaryDirectory(prefix="jali-") as directory:
        file = Path(directory) / "federation.toml"
        made = _saving_here(config.local(_with_helper(parties), helpers=[HELPER]))
        file.write_text(to_toml(made), encoding="utf-8")
        return run_here(program, arguments, federation=file, mode=mode)


def _prepared(stack: ExitStack, parties: list[str], federation: Path | None) -> tuple[Path, list[str]]:
    """The file for the run and the parties to start."""
    from jali.core import config
    from jali.core.errors import ConfigInvalid
    from jali.core.templates import expand_names

    if federation is None:
        made = config.local(_with_helper(parties), helpers=[HELPER])
        return _with_certificates(stack, made), list(made.parties)
    found = config.load(federation)
    names = list(found.parties) if parties == [EVERYBODY] else list(expand_names(parties, where="--parties"))
    for name in names:
        _require_party(found, name)
    if not any(party.certificate or party.key for party in found.parties.values()):
        return _with_certificates(stack, found), names
    for name in names:
        if not (found.parties[name].certificate and found.parties[name].key):
            raise ConfigInvalid(
                f"{federation} has no certificate and key of {name!r}: run that party where they are, with --as {name}"
            )
    return federation.absolute(), names


def _with_certificates(stack: ExitStack, federation: Federation) -> Path:
    """A temporary file of the same federation on free ports of this machine.

    Its ledger is as temporary; what the program saves stays.
    """
    from tempfile import TemporaryDirectory

    import msgspec

    from jali.core import config
    from jali.core.federation_text import to_toml
    from jali.transport.authority import create_federation

    directory = Path(stack.enter_context(TemporaryDirectory(prefix="jali-")))
    made = config.load(create_federation(directory, list(federation.parties), helpers=federation.helpers))
    ledger = config.Ledger(directory=str(directory / "ledger"))
    whole = msgspec.structs.replace(
        _saving_here(federation), parties=made.parties, authority=made.authority, ledger=ledger
    )
    file = directory / "run.toml"
    file.write_text(to_toml(whole), encoding="utf-8")
    return file


def _saving_here(federation: Federation) -> Federation:
    """The same, with what is saved in folders that do not depend on where its file is."""
    import msgspec

    from jali.core import config

    directory, keys = (str(Path(path).absolute()) if path else "" for path in msgspec.structs.astuple(federation.saved))
    return msgspec.structs.replace(federation, saved=config.Saved(directory=directory, keys=keys))


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _with_helper(parties: list[str]) -> list[str]:
    return parties if HELPER in parties else [*parties, HELPER]


def _required(federation: Path | None) -> Path:
    named = federation or os.environ.get("JALI_FEDERATION")
    if named is None:
        raise click.UsageError("--as needs --federation FILE (made by `jali federation new`)")
    return Path(named)


def _loaded(file: Path, party: str | None) -> Federation:
    from jali.core import config

    federation = config.load(file)
    if party is not None:
        _require_party(federation, party)
    return federation


def _require_party(federation: Federation, party: str) -> None:
    if party not in federation.parties:
        from jali.core.errors import UnknownName
        from jali.core.nearmiss import suggest

        raise UnknownName(f"the federation has no party {party!r}{suggest(party, federation.parties)}")


def _announce(federation: Federation) -> None:
    from jali.cli.output import warn

    for sentence in federation.insecure_choices():
        warn(sentence)
