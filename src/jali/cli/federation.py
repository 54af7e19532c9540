# SPDX-License-Identifier: Apache-2.0
"""`jali federation`: make the certificates, keys and files with which parties find and trust each other."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.core.config import Federation

__all__ = ["command"]


@click.group()
def command() -> None:
    """Make a federation: certificates, keys and the file."""


@command.command()
@click.option("--parties", required=True, metavar="A,B,C", help="Names; client[0..2] stands for three.")
@click.option("--helpers", default="dealer", show_default=True, metavar="A,B", help="Those that hold no data.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), default=Path("federation"),
              show_default=True, help="Where the files go; nothing there is overwritten.")  # fmt: skip
@click.option("--addresses", default="", metavar="A=HOST:PORT,…", help="Where others reach a party; else loopback.")
@click.option("--base-port", default=0, metavar="PORT", help="First port on loopback; free ones if not given.")
@click.option("--name", default="", help="Name of the federation; else the directory's.")
def new(*, parties: str, helpers: str, directory: Path, addresses: str, base_port: int, name: str) -> None:
    """Make an authority, a certificate and key for each party, the federation file, and a folder for each party."""
    from jali.core import config
    from jali.transport.authority import create_federation

    file = create_federation(
        directory,
        _names(parties),
        helpers=_names(helpers),
        base_port=base_port,
        name=name,
        addresses=_addresses(addresses),
    )
    click.echo(_made(config.load(file), directory))


@command.command()
@click.option("--party", required=True, help="Whose certificate ends, or whose key was lost.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), default=Path("federation"),
              show_default=True, help="Where `jali federation new` put the files.")  # fmt: skip
@click.option("--days", default=365.0, show_default=True, help="How long the new certificate is valid.")
def renew(*, party: str, directory: Path, days: float) -> None:
    """Replace a party's certificate and key; needs the authority's key. Certificates that are out stay valid."""
    from jali.transport.authority import renew_certificate

    folder = renew_certificate(directory, party, days=days)
    click.echo(f"New certificate and key of {party!r} are in {folder}; send the folder to the party over a safe way.")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _addresses(text: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in _names(text)]
    wrong = [name for name, equals, address in pairs if not (equals and address)]
    if wrong:
        raise click.BadParameter(f"expected NAME=HOST:PORT, found {wrong[0]!r}", param_hint="--addresses")
    return {name.strip(): address.strip() for name, _, address in pairs}


def _made(federation: Federation, directory: Path) -> str:
    from jali.cli.output import columns
    from jali.transport.authority import FEDERATION_FILE, folder_of

    rows: list[Sequence[object]] = [("party", "role", "address", "folder")]
    rows += [
        (party.name, party.role, party.address, directory / folder_of(party.name))
        for party in federation.parties.values()
    ]
    first = next(iter(federation.parties))
    whole = shlex.quote(str(directory / FEDERATION_FILE))
    everybody = shlex.quote(",".join(federation.parties))
    return f"""\
Federation {federation.name!r} is in {directory}

{columns(rows)}

Next:
  all on this machine   jali run PROGRAM.py --federation {whole} --parties {everybody}
  one machine a party   send each party its folder over a safe way, and nothing else; there:
                        jali doctor --federation {folder_of(first)}/federation.toml --as {first}
                        jali run PROGRAM.py --federation {folder_of(first)}/federation.toml --as {first}
Keep {directory / "authority" / "authority.key"} offline: whoever has it can admit parties."""
