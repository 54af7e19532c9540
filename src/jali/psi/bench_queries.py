# SPDX-License-Identifier: Apache-2.0
"""Rows of `jali bench psi` for queries: one side has much and prepares it once, the other asks about little.

And for what two sides do with as many keys each and no files: secret joins and counts. Two processes with certificates
of their own, talking TLS on loopback.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from jali.core.config import load
from jali.core.files import write_atomically
from jali.psi.cache import Cache, build, scalar_of
from jali.psi.circuit import left_parts, place, right_parts
from jali.psi.count import count
from jali.psi.keys import Keys
from jali.psi.oprf import answer as answer_oprf
from jali.psi.oprf import ask as ask_oprf
from jali.psi.pir.index import Hint, IndexClient, IndexServer, answer, ask
from jali.psi.pir.keyword import KeywordClient, KeywordServer, Layout, ask_keys
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jali.core.config import Federation
    from jali.transport.channel import Stream

    Side = Callable[[Stream], object]

__all__ = ["QUERIES", "query_row"]

PARTIES = ("server", "client")
_WIDTH = 32  # bytes of a row
_ASKED = 1_000  # keys of the case oprf


class _Case(NamedTuple):
    """How many are asked about at once, and what both sides do for a table of n rows in a folder.

    `prepare` gives what the server needs for each message; `ask` what the client does, with a check of what comes.
    """

    queries: int
    prepare: Callable[[int, Federation, Path], Side]
    ask: Callable[[int, Federation, Path], Side]


def query_row(name: str, n: int, repeats: int) -> dict[str, Any]:
    """Seconds of one message of queries and its answer; `offline_seconds` are the server's, once."""
    case = QUERIES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = create_federation(folder, PARTIES, helpers=())
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            offline, offline_bytes = pool.submit(_prepared, name, n, path).result()
            serving = pool.submit(_serve, name, n, path, repeats)
            times, size_bytes, rounds = pool.submit(_ask, name, n, path, repeats).result()
            serving.result()
    return {
        "suite": "psi",
        "case": name,
        "n": n,
        "protocol": name,
        "parties": 2,
        "queries": case.queries,
        "seconds": statistics.median(times),
        "offline_seconds": offline,
        "bytes": size_bytes,
        "offline_bytes": offline_bytes,
        "rounds": rounds,
    }


def _prepared(name: str, n: int, path: Path) -> tuple[float, int]:
    """Seconds of the preparation, and bytes of what the client gets once; the server prepares again where it serves."""
    start = time.perf_counter()
    QUERIES[name].prepare(n, load(path), path.parent)
    given = path.parent / "given"
    return time.perf_counter() - start, given.stat().st_size if given.exists() else 0


def _serve(name: str, n: int, path: Path, repeats: int) -> None:
    side = QUERIES[name].prepare(n, load(path), path.parent)
    session = connect_tls(load(path), PARTIES[0])
    try:
        for index in range(repeats + 1):
            side(session.channel(PARTIES[1]).stream(index.to_bytes(16, "little")))
    finally:
        session.close()


def _ask(name: str, n: int, path: Path, repeats: int) -> tuple[list[float], int, int]:
    """Seconds of each but the first, and bytes both ways and rounds of one."""
    session, times = connect_tls(load(path), PARTIES[1]), []
    side = QUERIES[name].ask(n, load(path), path.parent)
    try:
        for index in range(repeats + 1):
            stream = session.channel(PARTIES[0]).stream(index.to_bytes(16, "little"))
            start = time.perf_counter()
            side(stream)
            times.append(time.perf_counter() - start)
        counters = stream.counters
        return times[1:], counters.bytes_sent + counters.bytes_received, counters.rounds
    finally:
        session.close()


def _prepare_oprf(n: int, federation: Federation, folder: Path) -> Side:
    owner, path = federation.parties[PARTIES[0]], folder / "given"
    where = {"certificate": Path(owner.certificate), "key": Path(owner.key)}
    if not path.exists():
        build(Keys(np.arange(n)), path, party=PARTIES[0], progress=_quiet, **where)
    header = Cache(path, authority=Path(federation.authority)).header
    scalar = scalar_of(path, header)
    return lambda stream: answer_oprf(stream, header, scalar)


def _ask_oprf(n: int, federation: Federation, folder: Path) -> Side:
    cache = Cache(folder / "given", authority=Path(federation.authority), party=PARTIES[0])
    there = min(_ASKED // 2, n)
    keys = Keys(np.arange(n - there, n - there + _ASKED))
    return lambda stream: _check(right=len(ask_oprf(stream, cache, keys)) == there)


def _prepare_index(n: int, federation: Federation, folder: Path) -> Side:
    del federation
    server = IndexServer(_table(n), seed=bytes(16))
    write_atomically(folder / "given", server.hint.to_bytes())
    return lambda stream: answer(stream, server)


def _ask_index(n: int, federation: Federation, folder: Path, queries: int = 1) -> Side:
    del federation
    client, table = IndexClient(Hint.from_bytes((folder / "given").read_bytes())), _table(n)
    wanted = [n // 3] * queries
    return lambda stream: _check(right=np.array_equal(ask(stream, client, wanted), table[wanted]))


def _keyword_server(n: int) -> KeywordServer:
    return KeywordServer(Keys(np.arange(n)), _table(n), seed=bytes(16))


def _prepare_keyword(n: int, federation: Federation, folder: Path) -> Side:
    del federation
    server = _keyword_server(n)
    write_atomically(folder / "given", server.hint.to_bytes())
    write_atomically(folder / "layout", server.layout.to_bytes())
    return lambda stream: answer(stream, server.index)


def _ask_keyword(n: int, federation: Federation, folder: Path) -> Side:
    del federation
    hint = Hint.from_bytes((folder / "given").read_bytes())
    client = KeywordClient(Layout.from_bytes((folder / "layout").read_bytes()), hint)
    keys, row = Keys(np.array([n // 3])), _table(n)[n // 3]

    def side(stream: Stream) -> None:
        found, values = ask_keys(stream, client, keys)
        _check(right=bool(found[0]) and np.array_equal(values[0], row))

    return side


def _prepare_circuit(n: int, federation: Federation, folder: Path) -> Side:
    """The right party, with a column of whole numbers; half of the keys are in common."""
    del federation, folder
    keys = Keys(np.arange(n // 2, n // 2 + n))
    cells = np.arange(n, dtype=np.uint64)[:, None]
    return lambda stream: right_parts(stream, keys.digests, cells, n, _quiet)


def _ask_circuit(n: int, federation: Federation, folder: Path) -> Side:
    del federation, folder
    keys = Keys(np.arange(n))
    return lambda stream: left_parts(stream, place(keys.digests), n, 1, _quiet)


def _prepare_count(n: int, federation: Federation, folder: Path) -> Side:
    del federation, folder
    return _counting(Keys(np.arange(n)), n)


def _ask_count(n: int, federation: Federation, folder: Path) -> Side:
    del federation, folder
    return _counting(Keys(np.arange(n // 2, n // 2 + n)), n)


def _counting(keys: Keys, n: int) -> Side:
    return lambda stream: _check(right=count(stream, keys, progress=_quiet) == n - n // 2)


QUERIES: Final = {
    "circuit": _Case(1, _prepare_circuit, _ask_circuit),
    "count": _Case(1, _prepare_count, _ask_count),
    "oprf": _Case(_ASKED, _prepare_oprf, _ask_oprf),
    "pir_index": _Case(1, _prepare_index, _ask_index),
    "pir_index_batch": _Case(32, _prepare_index, lambda n, f, folder: _ask_index(n, f, folder, 32)),
    "pir_keyword": _Case(1, _prepare_keyword, _ask_keyword),
}


def _table(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(n).integers(0, 256, (n, _WIDTH), np.uint8)  # noqa: TID251 - made-up rows


def _check(*, right: bool) -> None:
    if not right:
        message = "a query found something else"
        raise ArithmeticError(message)


def _quiet(done: float, what: str) -> None:
    del done, what
