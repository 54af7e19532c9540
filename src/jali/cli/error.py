# SPDX-License-Identifier: Apache-2.0
"""`jali error`: the page of an error, at a terminal without the documentation."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]

# A wheel carries the pages beside this file (CMakeLists.txt); in a checkout they stand in docs.
FOLDERS = (Path(__file__).with_name("errors"), Path(__file__).parents[3] / "docs" / "reference" / "errors")


@click.command()
@click.argument("code", required=False)
def command(*, code: str | None) -> None:
    """Tell what happened, why, and what to do when an error has CODE, such as J1014; list all codes without CODE."""
    from jali.cli.output import columns
    from jali.core.errors import UnknownName
    from jali.core.nearmiss import suggest

    pages = {page.stem: page for folder in FOLDERS for page in folder.glob("J*.md")}
    if code is None:
        click.echo(columns((name, _title(pages[name])) for name in sorted(pages)))
    elif code.upper() in pages:
        click.echo(pages[code.upper()].read_text("utf-8").rstrip())
    else:
        raise UnknownName(f"there is no error {code!r}{suggest(code, sorted(pages))}")


def _title(page: Path) -> str:
    """The name of the error: its page begins with code and name."""
    with page.open(encoding="utf-8") as text:
        return text.readline().split()[-1]
