# SPDX-License-Identifier: Apache-2.0
"""Rows of `jali bench psi`: the parts of the Diffie-Hellman intersection, and the whole of every protocol.

The whole runs as users run it: two processes with certificates of their own, talking TLS on loopback.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from jali.core.config import load
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import Scalar, tags
from jali.crypto.elligator import hash_to_curve
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.intersection import intersect
from jali.psi.keys import Keys
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


__all__ = ["rows"]

Row = dict[str, object]

PARTIES = ("alice", "bob")


def rows(*, sizes: Sequence[int] = (1_000, 10_000), repeats: int = 3) -> Iterator[Row]:
    """One row a case, as it is measured: medians of `repeats` runs.

    Keys: suite, case, n, protocol, parties, seconds, per_second, bytes (both ways), rounds.
    """
    yield from _parts(2_000, repeats)
    for name in PSI_PROTOCOLS.names():
        for n in sizes:
            seconds, size_bytes, rounds = _two_processes(name, n, repeats)
            case = f"{n} x {n}, half in common"
            yield _row(case, n, seconds, protocol=name, parties=2, bytes=size_bytes, rounds=rounds)


def _parts(n: int, repeats: int) -> Iterator[Row]:
    messages = ByteStrings.of([b"bench-%d" % i for i in range(n)])
    points, scalar = hash_to_curve(messages, domain=b"jali.psi.bench.v1"), Scalar()
    texts = [f"bench-{i}" for i in range(n)]
    parts: list[tuple[str, Callable[[], object]]] = [
        ("hash to the curve", lambda: hash_to_curve(messages, domain=b"jali.psi.bench.v1")),
        ("multiply", lambda: scalar.multiply(points)),
        ("tag", lambda: tags(points, domain="jali.psi.bench.v1")),
        ("canonical keys", lambda: Keys(texts)),
    ]
    for case, part in parts:
        yield _row(case, n, statistics.median(_seconds(part) for _ in range(repeats)), protocol="ecdh", parties=1)


def _two_processes(name: str, n: int, repeats: int) -> tuple[float, int, int]:
    """Median seconds of the slower side, bytes both ways, and rounds."""
    with tempfile.TemporaryDirectory() as folder:
        path = create_federation(folder, PARTIES, helpers=())
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            runs = [pool.submit(_side, path, me, name=name, n=n, repeats=repeats) for me in PARTIES]
            sides = [run.result() for run in runs]
    seconds = statistics.median(max(pair) for pair in zip(*(side[0] for side in sides), strict=True))
    return seconds, sides[0][1], sides[0][2]


def _side(path: Path, me: str, *, name: str, n: int, repeats: int) -> tuple[list[float], int, int]:
    """One party's process: seconds of each run from column to positions, bytes of one run both ways, rounds."""
    column = np.arange(n) if me == PARTIES[0] else np.arange(n // 2, n // 2 + n)
    session = connect_tls(load(path), me)
    try:
        times = []
        for run in range(repeats):
            stream = session.channel(PARTIES[me == PARTIES[0]]).stream(run.to_bytes(16, "little"))
            start = time.perf_counter()
            found = intersect(
                stream, Keys(column), protocol=name, learns="both", first=me == PARTIES[0], progress=_quiet
            )
            times.append(time.perf_counter() - start)
            if found is None or len(found) != n - n // 2:
                message = f"{name} did not find the {n - n // 2} common keys"
                raise ArithmeticError(message)
        return times, stream.counters.bytes_sent + stream.counters.bytes_received, stream.counters.rounds
    finally:
        session.close()


def _quiet(done: float, what: str) -> None:
    del done, what


def _seconds(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


def _row(case: str, n: int, seconds: float, *, protocol: str, parties: int, **more: int) -> Row:
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
        **more,
    }
