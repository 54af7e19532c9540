# SPDX-License-Identifier: Apache-2.0
"""What a program will do, disclose, trust and cost, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jali.core import config
from jali.devices.connect import with_helper
from jali.devices.federation import Federation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jali.devices.report import Report
    from jali.transport.network import Network

__all__ = ["explain"]


def explain(
    program: Callable[[Federation], Any],
    federation: str | Path | Sequence[str],
    *,
    network: str | Network | None = None,
) -> Report:
    """Trace `program(fed)` without running anything, and list its nodes, disclosures, trust and cost.

    `federation` is a federation file, or the names of parties as for `jali.simulate`. Rounds and bytes are exact for
    the nodes whose input shapes are known: pin them with ``device(load, returns=jali.Spec((1000, 20)))``. Everything
    that is revealed is a placeholder, so the program must not branch on it.

    With a `network`, the report predicts seconds: "loopback" (processes on this machine), "lan" (1 Gbit/s, 1 ms), "wan"
    (100 Mbit/s, 40 ms), a description such as "20ms/200Mbit", or a `jali.Network`. Parties are taken to be as fast as
    this machine, which is measured for some seconds the first time and remembered in the user's cache folder.

    Example:
    >>> import jali
    >>> def job(fed):
    ...     x = fed.plain("alice")(min, returns=jali.Spec((100,)))(0)
    ...     y = fed.plain("bob")(max, returns=jali.Spec((100,)))(0)
    ...     jali.reveal(fed.mpc("alice", "bob")(lambda a, b: a * b)(x, y), to="alice")
    >>> [leak.to for leak in jali.explain(job, ["alice", "bob"]).disclosures if "value" in leak.what]
    ['alice']
    """
    settings = config.load(federation) if isinstance(federation, (str, Path)) else with_helper(tuple(federation))
    planning = Federation(settings)
    program(planning)
    return planning.report(network=network)
