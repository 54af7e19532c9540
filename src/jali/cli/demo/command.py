# SPDX-License-Identifier: Apache-2.0
"""The command `jali demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jali.cli.demo.progress import shown

if TYPE_CHECKING:
    from jali.cli.demo.outcome import Outcome

__all__ = ["command"]


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where the two organisations' files, the program and its results go.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write; it opens without a network.",
)
def command(directory: Path, report: Path) -> None:
    """Train one credit model from a bank's and a bureau's data.

    Three processes (bank, bureau and a dealer of randomness) talk TLS on this machine: they align their customers,
    prepare features, train a logistic regression under MPC and evaluate it, without showing each other their data.
    """
    from jali.cli.demo.report import report_page, summary
    from jali.core.extras import need
    from jali.core.files import write_atomically

    need("jax", extra="jax")  # before three processes miss it
    write_atomically(report, "")  # that it can be written is known before the run,
    report.unlink()  # and an earlier run's report does not pass for this one's
    outcome = _run(directory)
    click.echo(summary(outcome))
    write_atomically(report, report_page(outcome))
    click.echo(f"\nReport: {report}    Program: {directory / 'job.py'}")


def _run(directory: Path) -> Outcome:
    from jali.cli.demo.job import THRESHOLDS
    from jali.cli.demo.outcome import Outcome, disclosures_of, stages_of
    from jali.cli.demo.parties import PARTIES, collect, run_parties, set_up
    from jali.cli.demo.pooled import pooled_model
    from jali.ml import curve

    federation = set_up(directory)
    started = time.monotonic()
    with shown(f"{', '.join(PARTIES)}: a process each, TLS between them") as show:

        def hear(party: str, line: str, error: bool) -> None:  # noqa: FBT001 - the launcher's signature
            text = f"{party:6} | {line}"
            click.echo(text, err=True) if error else show(text)

        status = run_parties(directory, federation, hear)
        if status != 0:
            raise click.exceptions.Exit(status)
        seconds = time.monotonic() - started
        show("both files in one place, in clear, to compare")
        pooled = pooled_model(directory)
    counts, reports = collect(directory)
    return Outcome(
        joint=curve(counts, THRESHOLDS, rows=pooled.held_out_rows),
        pooled=pooled.curve,
        pooled_exact_auc=pooled.exact_auc,
        training_rows=pooled.training_rows,
        held_out_rows=pooled.held_out_rows,
        features=pooled.features,
        disclosures=disclosures_of(reports["bank"]),
        stages=stages_of(reports),
        trust=reports["bank"].trust,
        seconds=seconds,
    )
