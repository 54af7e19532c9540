# SPDX-License-Identifier: Apache-2.0
"""The command `jali`: a table of commands, each loaded when it is called."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from jali import __version__
from jali.cli.output import DEBUG, describe
from jali.core.registry import load

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "LazyGroup", "application", "main"]

COMMANDS = {
    "demo": ("jali.cli.demo.command:command", "Train a credit model of a bank and a bureau, on this machine."),
    "run": ("jali.cli.run:command", "Run a program: as one party, as several processes, or simulated."),
    "psi": ("jali.cli.psi:command", "Find the rows that two files have in common."),
    "federation": ("jali.cli.federation:command", "Make a federation: certificates, keys and the file."),
    "doctor": ("jali.cli.doctor:command", "Check this machine, the certificates and the network."),
    "config": ("jali.cli.config:command", "Explain and check the federation file."),
    "audit": ("jali.cli.audit:command", "Verify and read the ledger."),
    "error": ("jali.cli.error:command", "Explain the code of an error: why, and what to do."),
    "bench": ("jali.cli.bench:command", "Measure this machine and jali on it."),
}
INTERRUPTED_STATUS = 130
PATIENCE_S = 1.0
OUR_THREADS = "jali-"


class LazyGroup(click.Group):
    """A group whose help needs no command's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = load(COMMANDS[cmd_name][0])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with near misses for a name that does not exist."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from jali.core.nearmiss import suggest

            raise click.UsageError(f"no command {args[0]!r}{suggest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="jali", message="%(package)s %(version)s")
@click.option("--debug", is_flag=True, help=f"Show tracebacks (also {DEBUG}=1).")
def application(*, debug: bool) -> None:
    """Compute together on data that nobody else can see."""
    if debug:
        os.environ[DEBUG] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0, 2 for wrong usage, 130 when interrupted, else the error's own status."""
    status = status_of(arguments)
    if status:
        _leave(status)
    sys.exit(status)


def status_of(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit status; errors go to standard error as one message."""
    try:
        result = application.main(arguments, prog_name="jali", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED_STATUS
    except Exception as error:  # noqa: BLE001 - the edge of the process: everything else becomes a message and a status
        text, status = describe(error)
        click.echo(text, err=True)
        return status
    return result if isinstance(result, int) else 0


def _leave(status: int) -> None:
    """After a failure, end this process even if a function of the program still runs at one of its devices.

    Python would wait for it, however long it takes, or unwind it in the middle of native code; nobody wants its result
    any more. Threads of the program's own are waited for, as ever, unless it was interrupted.
    """
    deadline = time.monotonic() + PATIENCE_S
    for thread in threading.enumerate():
        ours = thread.name.startswith(OUR_THREADS) or (status == INTERRUPTED_STATUS and not thread.daemon)
        if thread is threading.main_thread() or not ours:
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
