# SPDX-License-Identifier: Apache-2.0
"""`jali bench`: what this machine can do at most, and what jali does on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CASES", "LIMITS", "SUITES", "command"]

LIMITS = ("jali.kernels.bench:limit_rows", "jali.transport.bench:limit_rows")
SUITES = {
    "kernels": "jali.kernels.bench:kernel_rows",
    "mpc": "jali.mpc.bench:rows",
    "psi": "jali.psi.bench:rows",
    "speed": "jali.mpc.cost.pace:rows",
    "demo": "jali.cli.demo.bench:rows",
}


CASES = {"mpc": "jali.mpc.bench_cases:CASES", "psi": "jali.psi.bench:CASES"}
"""Where the names of cases are, of suites that can run some only."""


@click.command()
@click.argument("suites", nargs=-1, type=click.Choice(tuple(SUITES)))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--compare",
    "peers",
    multiple=True,
    metavar="LABEL=COMMAND",
    help="Time a peer's script after the suites mpc and psi, and put both into one table (again for several).",
)
@click.option(
    "--case", "cases", multiple=True, metavar="NAME", help="A case of the suite mpc or psi (again for several)."
)
@click.option("--size", "sizes", multiple=True, type=int, metavar="N", help="Keys of each party in the suite psi.")
def command(
    suites: tuple[str, ...], *, as_json: bool, peers: tuple[str, ...], cases: tuple[str, ...], sizes: tuple[int, ...]
) -> None:
    """Run the benchmark SUITES (all of them if none is named).

    Every suite starts with the machine's own limits (memory, AES, loopback), so that figures of different machines
    can be compared. Times are medians of several runs; close everything else first. The suite "speed" measures anew
    what `jali run --explain --network` predicts seconds from.
    """
    commands = dict(map(_command, peers))
    _check(cases)
    ours: list[dict[str, Any]] = []
    for suite in suites or tuple(SUITES):
        show_all(_kept(_rows(suite, cases, sizes), ours), as_json=as_json)
    if commands:
        _compare(ours, commands)


def _command(peer: str) -> tuple[str, list[str]]:
    import shlex

    label, _, line = peer.partition("=")
    if not line:
        raise click.BadParameter(f"expected LABEL=COMMAND, found {peer!r}", param_hint="--compare")
    return label, shlex.split(line)


def _check(cases: tuple[str, ...]) -> None:
    if cases:
        known = [case for suite in CASES for case in _cases_of(suite)]
        for case in cases:
            if case not in known:
                raise click.BadParameter(f"{case!r} is none of {', '.join(known)}", param_hint="--case")


def _cases_of(suite: str) -> Iterable[str]:
    from jali.core.registry import load

    cases: Iterable[str] = load(CASES[suite])
    return cases


def _compare(ours: list[dict[str, Any]], commands: dict[str, list[str]]) -> None:
    from jali.cli.compare import peer_rows, table
    from jali.cli.output import columns

    found = {label: peer_rows(words) for label, words in commands.items()}
    click.echo(columns(table(ours, found)))


def _kept(rows: Iterable[dict[str, Any]], kept: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        kept.append(row)
        yield row


def _rows(suite: str, cases: tuple[str, ...], sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    from jali.core.registry import load

    for target in LIMITS:
        for row in load(target)():
            yield {**row, "suite": suite, "case": f"limit: {row['case']}"}
    options: dict[str, Any] = {}
    if cases and suite in CASES:
        options["cases"] = [case for case in cases if case in _cases_of(suite)]
    if sizes and suite == "psi":
        options["sizes"] = sizes
    for row in load(SUITES[suite])(**options):
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
