# SPDX-License-Identifier: Apache-2.0
"""`jali audit`: check and show ledgers."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.group("audit")
def command() -> None:
    """Check and show what was recorded of runs."""


@command.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--head", help="The head that was noted down: the ledger must still contain it.")
def verify(files: tuple[Path, ...], *, head: str | None) -> None:
    """Check that no entry of the ledger FILES was changed, removed, inserted or moved.

    A chain cannot know of entries that were removed at its end. Note its head down elsewhere, and give it with --head.
    """
    from jali.graph.ledger import verify as check

    for path in files:
        count, found = check(path, containing=head)
        click.echo(f"{path}: {count} entries, the chain holds, head {found}")


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--disclosures", is_flag=True, help="Only who learned what.")
def show(file: Path, *, disclosures: bool) -> None:
    """Print the entries of a ledger FILE, verified first."""
    from jali.graph.ledger import ENTRIES
    from jali.graph.ledger import verify as check

    check(file)
    for line in file.read_bytes().splitlines():
        entry = ENTRIES.decode(line)
        if not disclosures:
            click.echo(f"{entry.number:5} {entry.time} {entry.kind} {entry.body.get('text', '')}")
            if "trust" in entry.body:
                click.echo(f"{'':5} {entry.body['trust']}")
        for leak in entry.body.get("disclosures", ()):
            click.echo(f"{'':5} {leak['to']} learns {leak['what']} ({leak['why']})")
