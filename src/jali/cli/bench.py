# SPDX-License-Identifier: Apache-2.0
"""`jali bench`: what this machine can do at most, and what jali does on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LIMITS", "SUITES", "command"]

LIMITS = ("jali.kernels.bench:limit_rows", "jali.transport.bench:limit_rows")
SUITES = {
    "kernels": "jali.kernels.bench:kernel_rows",
    "mpc": "jali.mpc.bench:rows",
    "psi": "jali.psi.bench:rows",
    "speed": "jali.mpc.pace:rows",
    "demo": "jali.cli.demo.bench:rows",
}


@click.command()
@click.argument("suites", nargs=-1, type=click.Choice(tuple(SUITES)))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(suites: tuple[str, ...], *, as_json: bool) -> None:
    """Run the benchmark SUITES (all of them if none is named).

    Every suite starts with the machine's own limits (memory, AES, loopback), so that figures of different machines
    can be compared. Times are medians of several runs; close everything else first. The suite "speed" measures anew
    what `jali run --explain --network` predicts seconds from.
    """
    for suite in suites or tuple(SUITES):
        show_all(_rows(suite), as_json=as_json)


def _rows(suite: str) -> Iterator[dict[str, Any]]:
    from jali.core.registry import load

    for target in LIMITS:
        for row in load(target)():
            yield {**row, "suite": suite, "case": f"limit: {row['case']}"}
    for row in load(SUITES[suite])():
        yield {**row, "suite": suite}


def show_all(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows as they come: as JSON lines, or as a title and the figures that a row has."""
    import msgspec

    for row in rows:
        if as_json:
            click.echo(msgspec.json.encode(row))
            continue
        title = f"{row['suite']:8} {row['case']}"
        figures = [f"{key}={_figure(value)}" for key, value in row.items() if key not in {"suite", "case"}]
        click.echo(f"{title:48} {'  '.join(figures)}")


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
