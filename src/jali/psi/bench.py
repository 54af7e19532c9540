# SPDX-License-Identifier: Apache-2.0
"""Rows of `jali bench psi`: the curve kernel, and every protocol from file to file.

A protocol runs as users run it: two processes with certificates of their own, talking TLS on loopback, each with a CSV
file of ids and amounts, half of the ids in common, and a file for the result.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from jali import kernels
from jali.core.config import load
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import Scalar, tags
from jali.crypto.elligator import hash_to_curve
from jali.kernels.dispatch import one_thread
from jali.psi.bench_queries import QUERIES, query_row
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.files import prepare, run
from jali.psi.folder import Job
from jali.psi.keys import Keys
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["CASES", "SIZES", "rows"]

Row = dict[str, object]

PARTIES = ("alice", "bob")
SIZES = (1_000, 100_000, 1_000_000)
CASES = ("curve", "hash to the curve", "tag", "keys", *PSI_PROTOCOLS.names(), *QUERIES)
_LARGE = 2_000_000
_POINTS = 16_384
_LINES = 1 << 16


def rows(*, sizes: Sequence[int] = SIZES, cases: Sequence[str] = (), repeats: int = 3) -> Iterator[Row]:
    """One row a case, as it is measured: medians of `repeats` runs, of one run above two million keys.

    Keys: suite, case, n, protocol, parties, seconds, per_second, bytes (both ways), rounds, peak_bytes (the larger
    process's memory); of queries instead of per_second and peak_bytes also queries, offline_seconds, offline_bytes.
    """
    yield from (row for row in _parts(_POINTS, repeats) if not cases or row["case"] in cases)
    for name in PSI_PROTOCOLS.names():
        for n in sizes if not cases or name in cases else ():
            yield _from_file_to_file(name, n, repeats if n <= _LARGE else 1)
    for name in QUERIES:
        for n in sizes if not cases or name in cases else ():
            yield {"suite": "psi", **query_row(name, n, repeats)}


def _parts(n: int, repeats: int) -> Iterator[Row]:
    """On one core."""
    messages = ByteStrings.of([b"bench-%d" % i for i in range(n)])
    points, scalar = hash_to_curve(messages, domain=b"jali.psi.bench.v1"), Scalar()
    texts = [f"bench-{i}" for i in range(n)]
    parts: list[tuple[str, Callable[[], object]]] = [
        ("curve", lambda: scalar.multiply(points)),
        ("hash to the curve", lambda: hash_to_curve(messages, domain=b"jali.psi.bench.v1")),
        ("tag", lambda: tags(points, domain="jali.psi.bench.v1")),
        ("keys", lambda: Keys(texts)),
    ]
    level = str(kernels.report()["level"])
    for case, part in parts:
        with one_thread():
            seconds = statistics.median(_seconds(part) for _ in range(repeats))
        yield _row(case, n, seconds, protocol=level, parties=1)


def _from_file_to_file(name: str, n: int, repeats: int) -> Row:
    """Seconds of the slower side, without the start of the processes."""
    with tempfile.TemporaryDirectory() as folder:
        path = create_federation(folder, PARTIES, helpers=())
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            runs = [pool.submit(_side, path, me, name=name, n=n, repeats=repeats) for me in PARTIES]
            sides = [run_.result() for run_ in runs]
    seconds = statistics.median(max(pair) for pair in zip(*(times for times, _ in sides), strict=True))
    peak = max(figures["peak_bytes"] for _, figures in sides)
    return {**_row(name, n, seconds, protocol=name, parties=2), **sides[0][1], "peak_bytes": peak}


def _side(path: Path, me: str, *, name: str, n: int, repeats: int) -> tuple[list[float], dict[str, int]]:
    """One party's process: seconds of each run from file to file, and figures of one."""
    peer, folder = PARTIES[me == PARTIES[0]], path.parent
    first = 0 if me == PARTIES[0] else n // 2
    session = connect_tls(load(path), me)
    try:
        times = []
        for index in range(repeats + 1):  # the first, of few keys, loads libraries
            size, start = (n, first) if index else (1_000, 0)
            source, target = folder / f"{me}.csv", folder / f"{me}-out.csv"
            _write(source, start, size)
            stream = session.channel(peer).stream(index.to_bytes(16, "little"))
            job = Job(
                federation=str(path),
                me=me,
                peer=peer,
                source=str(source),
                on=("id",),
                target=str(target),
                protocol=name,
            )
            begin = time.perf_counter()
            outcome = run(prepare(job, left=me == PARTIES[0]), stream, progress=_quiet)
            times.append(time.perf_counter() - begin)
            if outcome.written != (n - n // 2 if index else size):
                message = f"{name} wrote {outcome.written} rows of {n - n // 2} in common"
                raise ArithmeticError(message)
        counters = stream.counters
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return times[1:], {
            "bytes": counters.bytes_sent + counters.bytes_received,
            "rounds": counters.rounds,
            "peak_bytes": peak,
        }
    finally:
        session.close()


def _write(path: Path, start: int, n: int) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write("id,amount\n")
        for at in range(0, n, _LINES):
            numbers = range(start + at, start + min(at + _LINES, n))
            file.writelines(f"customer-{i:09d},{i % 1000}.5\n" for i in numbers)


def _quiet(done: float, what: str) -> None:
    del done, what


def _seconds(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


def _row(case: str, n: int, seconds: float, *, protocol: str, parties: int) -> Row:
    return {
        "suite": "psi",
        "case": case,
        "n": n,
        "protocol": protocol,
        "parties": parties,
        "seconds": seconds,
        "per_second": n / seconds,
        "bytes": 0,
        "rounds": 0,
        "peak_bytes": 0,
    }
