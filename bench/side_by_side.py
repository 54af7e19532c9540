# SPDX-License-Identifier: Apache-2.0
"""Ours beside a peer's, on this machine and in one run: seconds and ratios.

A peer lives in a virtual environment of its own and is timed by a script that prints one JSON object a line, with
`op` (or `case`), `n` and `seconds`. Close everything else first::

    python bench/side_by_side.py --label "SPU SEMI2K" -- PEER/bin/python spu_bench.py SEMI2K 3
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PAIRS = {
    # ours (suite, case, protocol): the peer's op
    ("mpc", "mul", "m2k"): "mul",
    ("mpc", "matmul", "m2k"): "matmul_1000",
    ("mpc", "less", "m2k"): "less",
    ("demo", "logistic regression epoch, 10,000 x 100, batch 1024", "m2k"): "lr_10000x100_b1024_1ep",
    ("mpc", "mul", "rep3"): "mul",
    ("mpc", "matmul", "rep3"): "matmul_1000",
    ("mpc", "less", "rep3"): "less",
}


def main() -> None:
    """Run ours, then theirs, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--label", default="peer", help="what to call the peer")
    parser.add_argument("peer", nargs="+", help="the command that times the peer, after --")
    options = parser.parse_args()
    ours = rows([sys.executable, "-m", "jali", "bench", "mpc", "demo", "--json"], cwd=Path.cwd())
    script = next((Path(word) for word in options.peer if word.endswith(".py")), Path.cwd())
    theirs = {str(row.get("op", row.get("case"))): row for row in rows(options.peer, cwd=script.resolve().parent)}
    show(table(ours, theirs), label=options.label)


def rows(command: list[str], *, cwd: Path) -> list[dict[str, Any]]:
    """The JSON objects that a command prints."""
    environment = {**os.environ, "PB_MODE": os.environ.get("PB_MODE", "time")}
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def table(ours: list[dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """A header, then a row for each operation that both have timed."""
    found: list[tuple[str, ...]] = [
        ("operation", "protocol", "ours online s", "ours offline s", "peer s", "peer / ours online", "peer / ours all")
    ]
    for row in ours:
        peer = theirs.get(PAIRS.get((str(row["suite"]), str(row["case"]), str(row.get("protocol"))), ""))
        if peer is None or not peer.get("seconds"):
            continue
        online, offline = row["seconds"], row.get("offline_seconds", 0.0)
        found.append(
            (
                row["case"],
                row["protocol"],
                f"{online:.3f}",
                f"{offline:.3f}",
                f"{peer['seconds']:.3f}",
                f"{peer['seconds'] / online:.1f}",
                f"{peer['seconds'] / (online + offline):.1f}",
            )
        )
    return found


def show(found: list[tuple[str, ...]], *, label: str) -> None:
    """Print aligned columns."""
    print(label)
    widths = [max(len(row[i]) for row in found) for i in range(len(found[0]))]
    for row in found:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
