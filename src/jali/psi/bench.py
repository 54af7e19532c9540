# SPDX-License-Identifier: Apache-2.0
"""Rows of `jali bench psi`: the parts of the Diffie-Hellman intersection, and the whole of every protocol.

Both parties run as threads of one process over memory sessions. Their Python holds one interpreter lock, so the
whole takes about what one core needs for both sides' work; two machines need about half.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from jali.crypto.curve import Scalar, tags
from jali.crypto.elligator import hash_to_curve
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.keys import Keys
from jali.transport.memory import connect_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jali.psi.contract import PsiProtocol
    from jali.transport.channel import Counters, Stream

__all__ = ["rows"]

Row = dict[str, object]


def rows(*, sizes: Sequence[int] = (1_000, 10_000), repeats: int = 3) -> Iterator[Row]:
    """One row a case, as it is measured: medians of `repeats` runs.

    Keys: suite, case, n, protocol, parties, seconds, per_second, bytes (both ways), rounds.
    """
    yield from _parts(2_000, repeats)
    for name in PSI_PROTOCOLS.names():
        protocol: PsiProtocol = PSI_PROTOCOLS.get(name)()
        for n in sizes:
            runs = [_intersect(protocol, n) for _ in range(repeats)]
            counters = runs[0][1]
            yield _row(
                f"{n} x {n}, half in common",
                n,
                statistics.median(seconds for seconds, _ in runs),
                protocol=name,
                parties=2,
                bytes=counters.bytes_sent + counters.bytes_received,
                rounds=counters.rounds,
            )


def _parts(n: int, repeats: int) -> Iterator[Row]:
    messages = [b"bench-%d" % i for i in range(n)]
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


def _intersect(protocol: PsiProtocol, n: int) -> tuple[float, Counters]:
    """Seconds from tables' columns to positions at both, and one side's counters."""
    columns = (np.arange(n), np.arange(n // 2, n // 2 + n))
    sessions = connect_memory(("alice", "bob"))
    try:
        streams = [sessions[a].channel(b).stream(bytes(16)) for a, b in (("alice", "bob"), ("bob", "alice"))]

        def side(stream: Stream, column: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
            found = protocol.intersect(stream, Keys(column), learns="both", progress=_quiet)
            return -1 if found is None else len(found)

        start = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(side, streams, columns))
        seconds = time.perf_counter() - start
    finally:
        for session in sessions.values():
            session.close()
    if results != [n - n // 2] * 2:
        message = f"the intersection is wrong: {results} keys of {n - n // 2}"
        raise ArithmeticError(message)
    return seconds, streams[0].counters


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
