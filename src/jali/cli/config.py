# SPDX-License-Identifier: Apache-2.0
"""`jali config`: what each key of the federation file means, and whether a file is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sized

    from jali.core.config import Federation

__all__ = ["command"]

DIGEST_SHOWN = 16


@click.group()
def command() -> None:
    """Explain and check the federation file."""


@command.command()
@click.argument("key", required=False)
def explain(key: str | None) -> None:
    """Tell type, default and meaning of KEY, such as network.connect_s; list all keys without KEY."""
    from jali.cli.output import columns
    from jali.core import settings

    if key is not None:
        click.echo(settings.explain(key))
        return
    click.echo(columns((name, settings.meaning(name)) for name in settings.all_keys()))


@command.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("federation.toml"))
def check(file: Path) -> None:
    """Read FILE (federation.toml by default) and show what it says, templates expanded."""
    from jali.cli.output import warn
    from jali.core import config

    federation = config.load(file)
    click.echo(_described(federation))
    for sentence in federation.insecure_choices():
        warn(sentence)
    for missing in _missing_files(federation):
        warn(missing)


def _described(federation: Federation) -> str:
    from jali.cli.output import columns

    parties = [("party", "role", "address")]
    parties += [(party.name, party.role, party.address or "-") for party in federation.parties.values()]
    devices = [("device", "kind", "parties", "protocol", "dealer")]
    for device in federation.devices.values():
        members = ", ".join(device.parties) or device.party
        dealer = device.dealer or device.insecure_dealer or "-"
        devices.append((device.name, device.kind, members, device.protocol or "-", dealer))
    members = f"{_counted(federation.parties, 'party', 'parties')}, {_counted(federation.devices, 'device', 'devices')}"
    return "\n".join(
        [
            f"{federation.name}: {members}",
            f"digest {federation.digest().hex()[:DIGEST_SHOWN]} (the same at every party)",
            "",
            columns(parties),
            *(["", columns(devices)] if federation.devices else []),
        ]
    )


def _counted(things: Sized, one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _missing_files(federation: Federation) -> list[str]:
    """Certificates that the file names and that are not there; keys are at their own party only."""
    named = {party.certificate: f"certificate of {party.name}" for party in federation.parties.values()}
    named[federation.authority] = "certificate of the authority"
    return [f"{what} is not at {path}" for path, what in named.items() if path and not Path(path).is_file()]
