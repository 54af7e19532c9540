# SPDX-License-Identifier: Apache-2.0
"""Predicted beside actual seconds, between real processes over TLS: on loopback, and over emulated networks.

Over a network each party runs in a network namespace of its own, joined by an emulator that delays packets and limits
each sender's rate; this needs root, `ip` and a C++ compiler. Times are the least of several runs. Close everything else
first::

    sudo python bench/network_times.py --emulator ../shared/bench/peers/wan.cpp loopback lan wan
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jali.devices.report import Report
from jali.mpc.cost.pace import pace_of
from jali.transport.authority import create_federation
from jali.transport.network import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.devices.report import Row

PARTIES = ("alice", "bob", "dealer")
NAMESPACES = tuple(f"jali{os.getpid()}-{index}" for index in range(len(PARTIES)))
QUEUE_KIB = {"lan": 4096, "wan": 2048}
EMULATOR = Path("../shared/bench/peers/wan.cpp")
IP = shutil.which("ip") or "/sbin/ip"
PORT = 7100
JOB = Path(__file__).with_name("network_job.py")
WITHIN = 0.3


def main() -> None:
    """Measure this machine, run the job for each network and protocol, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="+", choices=tuple(NETWORKS))
    parser.add_argument("--protocols", default="m2k,rep3", help="comma-separated")
    parser.add_argument("--n", type=int, default=1_000_000, help="elements of mul and less, and of a matrix")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each job")
    parser.add_argument("--emulator", type=Path, default=EMULATOR, help="source of the emulator")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jali-times-") as name:
        os.environ["XDG_CACHE_HOME"] = str(Path(name, "cache"))
        pace = pace_of(*options.protocols.split(","))
        print(f"this machine: {pace.machine}, load {os.getloadavg()[0]:.1f}")
        print(f"{'network':9} {'protocol':8} {'node':14} {'call':5} {'planned':>9} {'actual':>9} {'ratio':>6}")
        for network in options.networks:
            print(f"load {os.getloadavg()[0]:.1f}")
            with ExitStack() as stack:
                if network != "loopback":
                    stack.enter_context(emulated(network, options.emulator, Path(name)))
                for protocol in options.protocols.split(","):
                    folders = (Path(name, f"{network}-{protocol}-{run}") for run in range(options.repeats))
                    runs = [measured(network, protocol, options.n, folder) for folder in folders]
                    show(network, protocol, runs)


def measured(network: str, protocol: str, n: int, folder: Path) -> list[tuple[Row, float]]:
    """The rows of one party, with the seconds of the slowest."""
    inside = network != "loopback"
    hosts = {party: f"10.77.0.{index + 1}:{PORT}" for index, party in enumerate(PARTIES)} if inside else {}
    file = create_federation(folder, PARTIES, addresses=hosts)
    found = NETWORKS[network]
    reports = [folder / f"{party}.json" for party in PARTIES]
    running = []
    for party, namespace, report in zip(PARTIES, NAMESPACES, reports, strict=True):
        enter = [IP, "netns", "exec", namespace] if inside else []
        job = [sys.executable, "-m", "jali", "run", str(JOB), "--federation", str(file), "--as", party, "--"]
        given = [str(found.rtt_s), str(found.bandwidth), protocol, str(n), str(report)]
        running.append(subprocess.Popen([*enter, *job, *given]))
    if any(process.wait() for process in running):
        raise SystemExit(1)
    tables = [Report.from_json(report.read_bytes()).rows for report in reports]
    nodes = [rows for rows in zip(*tables, strict=True) if rows[0].predicted_seconds is not None]
    for rows in nodes:
        check(rows)
    return [(rows[0], max(row.seconds or 0.0 for row in rows)) for rows in nodes]


def check(rows: tuple[Row, ...]) -> None:
    """End with an error if bytes and rounds of a node, from all parties, are not those that were planned."""
    cost = rows[0].predicted
    sent, rounds = sum(row.bytes_sent or 0 for row in rows), max(row.rounds or 0 for row in rows)
    if cost is not None and (sent, rounds) != (sum(cost.bytes_sent.values()) + cost.offline_bytes, cost.rounds):
        raise SystemExit(f"{rows[0].text}: planned {cost}, found {sent} bytes in {rounds} rounds")


def show(network: str, protocol: str, runs: list[list[tuple[Row, float]]]) -> None:
    """A line for each function's first call, which is traced and finds no memory ready, and one for the best later."""
    for text, first, found in [*calls(runs, first=True), *calls(runs, first=False)]:
        planned = statistics.median(row.predicted_seconds or 0.0 for row, _ in found)
        actual = min(seconds for _, seconds in found)
        ratio = planned / actual
        miss = "" if 1 - WITHIN <= ratio <= 1 + WITHIN else "  miss"
        call = "first" if first else "later"
        print(f"{network:9} {protocol:8} {text:14} {call} {planned:9.4f} {actual:9.4f} {ratio:6.2f}{miss}", flush=True)


def calls(runs: list[list[tuple[Row, float]]], *, first: bool) -> Iterator[tuple[str, bool, list[tuple[Row, float]]]]:
    """The calls of each function in all runs: the first, or those after it."""
    for text in dict.fromkeys(row.text for row, _ in runs[0] if row.text != "kept"):
        same = [[found for found in run if found[0].text == text] for run in runs]
        chosen = [found for run in same for found in (run[:1] if first else run[1:])]
        if chosen:
            yield text, first, chosen


@contextmanager
def emulated(network: str, source: Path, folder: Path) -> Iterator[None]:
    """Network namespaces for the parties, joined as the network says."""
    if not source.is_file():
        raise SystemExit(f"no emulator at {source}; name its source with --emulator")
    found = NETWORKS[network]
    binary = folder / "emulator"
    subprocess.run([shutil.which("g++") or "c++", "-O2", "-o", str(binary), str(source)], check=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what is made here is taken down
    limits = [f"{found.bandwidth / 1e6:g}", f"{found.rtt_s * 1e3:g}", str(QUEUE_KIB[network])]
    with ExitStack() as stack:
        for namespace in NAMESPACES:
            subprocess.run([IP, "netns", "add", namespace], check=True)
            stack.callback(subprocess.run, [IP, "netns", "del", namespace], check=True)
        emulator = subprocess.Popen([str(binary), *limits, *NAMESPACES], stdout=subprocess.PIPE, text=True)
        stack.callback(emulator.wait)
        stack.callback(emulator.kill)
        if emulator.stdout is None or emulator.stdout.readline().strip() != "ready":
            raise SystemExit("the emulator did not start")
        yield


if __name__ == "__main__":
    main()
