# SPDX-License-Identifier: Apache-2.0
"""`jali doctor`: is this machine, this party, this network ready?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.transport.doctor import Check

__all__ = ["command"]

FAILED_STATUS = 1


@click.command()
@click.option("--federation", "file", type=click.Path(path_type=Path), help="Also check the files of a federation.")
@click.option("--as", "party", metavar="PARTY", help="Also check the port and the network, as this party.")
@click.option("--wait", "wait_s", type=click.FloatRange(0.1, 3600), default=15.0, show_default=True,
              help="Seconds to wait for the doctors of the other parties.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(*, file: Path | None, party: str | None, wait_s: float, as_json: bool) -> int:
    """Check this machine, the certificates and the network.

    With --as at every party at the same time, it measures clocks, latency and bandwidth between them. Ends with 0
    when nothing fails (warnings are allowed), else with 1.
    """
    import msgspec

    if party is not None and file is None:
        raise click.UsageError("--as needs --federation FILE")
    statuses = []
    for check in _checks(file, party, wait_s):
        statuses.append(check.status)
        click.echo(msgspec.json.encode(check) if as_json else _line(check))
    return FAILED_STATUS if "fail" in statuses else 0


def _checks(file: Path | None, party: str | None, wait_s: float) -> Iterator[Check]:
    from jali.core import config
    from jali.core.errors import UnknownName
    from jali.core.nearmiss import suggest
    from jali.transport import doctor

    yield from doctor.check_machine()
    if file is None:
        return
    federation = config.load(file)
    if party is None:
        for name in federation.parties:
            yield from doctor.check_files(federation, name, own=False)
        return
    if party not in federation.parties:
        raise UnknownName(f"there is no party {party!r} in the federation{suggest(party, federation.parties)}")
    yield from doctor.check_files(federation, party)
    yield from doctor.check_network(federation, party, wait_s=wait_s)


def _line(check: Check) -> str:
    advice = f"\n{'':34}-> {check.advice}" if check.advice else ""
    return f"{check.status:6}{check.subject:28}{check.found}{advice}"
