# SPDX-License-Identifier: Apache-2.0
"""`jali bench mpc --compare`, and psi: our rows beside those of peers, timed in the same run on the same machine.

A peer lives in a virtual environment of its own and is timed by a script that prints one JSON object a line, with
`op`, `n` and `seconds`, and where it knows them `bytes` and `rounds`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["peer_rows", "table"]

Row = dict[str, Any]

_PEER_NAMES = {
    "mul": "mul",
    "matmul": "matmul_1000",
    "matvec": "matmul_10000x100x1",
    "less": "less",
    "exp": "exp",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "log": "log",
    "reciprocal": "reciprocal",
    "sqrt": "sqrt",
    "division": "div",
    "softmax": "softmax_1000x100",
    "sort": "sort_1e5",
    "logistic": "lr_10000x100_b1024_1ep",
    "mlp": "mlp_784-128-128-10_b128",
    "cnn": "cnn_lenet_b16",
    "vole": "RR22",
    "ecdh": "ECDH_25519",
}
_SUITES = ("mpc", "psi")


def peer_rows(command: Sequence[str]) -> dict[str, Row]:
    """The rows that a peer's command prints, by operation; where it times one several times, the last.

    The command runs in the folder of its script, whatever else it prints is skipped.
    Raises: click.UsageError if it cannot be started, fails, or prints no row.
    """
    script = next((Path(word).resolve() for word in command if word.endswith(".py")), None)
    # Never through links: a virtual environment is known by the link that its interpreter was started from.
    program = [str(Path(command[0]).absolute()) if Path(command[0]).exists() else command[0]]
    words = program + [str(Path(word).absolute()) if word.endswith(".py") else word for word in command[1:]]
    environment = {**os.environ, "PB_MODE": os.environ.get("PB_MODE", "both")}
    try:
        done = subprocess.run(  # noqa: S603 - what the user asked for
            words, cwd=script.parent if script else None, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.UsageError(f"{' '.join(command)} does not run: {error}") from None
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found: dict[str, Row] = {}
    for row in rows:
        known = found.setdefault(str(row.get("op", row.get("case"))), {})
        known.update({key: value for key, value in row.items() if value is not None})
    if not found:
        raise click.UsageError(f"{' '.join(command)} printed no row: expected JSON objects with op, n and seconds")
    return found


def table(ours: Sequence[Row], peers: Mapping[str, Mapping[str, Row]]) -> list[tuple[str, ...]]:
    """A header, then our rows with each peer's seconds, rounds, and seconds over ours.

    Ratios are online time, and in parentheses with the dealer's time added to ours. Of intersections, where the number
    of keys is the user's, only times for the same number are compared.
    """
    header = ["case", "protocol", "n", "online s", "offline s", "rounds", "bytes"]
    for label in peers:
        header += [f"{label} s", "rounds", "ratio"]
    found = [tuple(header)]
    for row in ours:
        if row["suite"] not in _SUITES or "seconds" not in row or row["case"] not in _PEER_NAMES:
            continue
        cells = [str(row["case"]), str(row["protocol"]), f"{row['n']:,}", f"{row['seconds']:.4f}"]
        cells += [f"{row.get('offline_seconds', 0.0):.4f}", str(row["rounds"]), f"{row['bytes']:,}"]
        for rows in peers.values():
            cells += _beside(row, rows.get(_PEER_NAMES[row["case"]], {}))
        found.append(tuple(cells))
    return found


def _beside(ours: Row, peer: Row) -> list[str]:
    seconds = peer.get("seconds")
    if not seconds or (ours["suite"] == "psi" and peer.get("n") != ours["n"]):
        return ["-", "-", "-"]
    online, whole = ours["seconds"], ours["seconds"] + ours.get("offline_seconds", 0.0)
    return [f"{seconds:.4f}", str(peer.get("rounds", "-")), f"{seconds / online:.1f} ({seconds / whole:.1f})"]
