# SPDX-License-Identifier: Apache-2.0
"""Rows of `jali bench mpc`: operations of every secure protocol between real processes.

Each role is a process with a certificate of its own and talks TLS on loopback. Operands are shared before the clock
starts, as a program's inputs are. What a dealer sends is prepared and received first and timed apart, so `seconds` is
online time: that of the slowest computing role.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from jali.core.config import load
from jali.crypto.prg import derive_prg
from jali.mpc.bench_cases import CASES
from jali.mpc.cost.estimate import estimate
from jali.mpc.engine import SecretArray, compile_function, share_inputs, type_of
from jali.mpc.program import run_program
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import Round, drive
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from jali.mpc.contract import MpcProtocol
    from jali.transport.channel import Stream
    from jali.transport.session import Session

    Part = Generator[Round, Any, Any]

__all__ = ["CASES", "rows"]

Row = dict[str, object]


class _Run(NamedTuple):
    """One role's times and bytes of one run."""

    seconds: float
    offline_seconds: float
    bytes_sent: int
    offline_bytes: int


def rows(
    *,
    cases: Sequence[str] = tuple(CASES),
    protocols: Sequence[str] = (),
    repeats: int = 5,
    sizes: Mapping[str, int] | None = None,
) -> Iterator[Row]:
    """One row a case and protocol: medians of `repeats` runs after one that is not counted.

    Keys: suite, case, n, protocol, parties, seconds (online), offline_seconds, bytes (sent by all roles, online),
    offline_bytes, rounds. `sizes` are other sizes than the usual ones.
    """
    chosen = protocols or tuple(name for name in PROTOCOLS.names() if name != "plain")
    most = max(len(PROTOCOLS.get(protocol).roles) for protocol in chosen)
    with ProcessPoolExecutor(most, mp_context=multiprocessing.get_context("spawn")) as pool:
        for case in cases:
            n = (sizes or {}).get(case, CASES[case].size)
            for protocol in chosen:
                yield _row(case, protocol, n, runs=_measure(pool, case, protocol, n=n, repeats=repeats))


def _row(case: str, protocol: str, n: int, *, runs: Sequence[Sequence[_Run]]) -> Row:
    return {
        "suite": "mpc",
        "case": case,
        "n": n,
        "protocol": protocol,
        "parties": len(PROTOCOLS.get(protocol).roles),
        "seconds": statistics.median(max(role.seconds for role in run) for run in runs),
        "offline_seconds": statistics.median(max(role.offline_seconds for role in run) for run in runs),
        "bytes": sum(role.bytes_sent for role in runs[0]),
        "offline_bytes": sum(role.offline_bytes for role in runs[0]),
        "rounds": _rounds(case, protocol, n),
    }


def _rounds(case: str, protocol: str, n: int) -> int:
    """Of the function alone."""
    given: dict[int, list[SecretArray]] = {}

    def sharing(side: MpcProtocol) -> Part:
        given[side.role] = yield from _operands(side, case, n)

    def operation(side: MpcProtocol) -> Part:
        return _computed(side, case, given[side.role])

    estimate(protocol, sharing)
    return estimate(protocol, operation).rounds


def _operands(side: MpcProtocol, case: str, n: int) -> Part:
    """The case's operands, shared by roles 0 and 1 in turn."""
    shares: list[SecretArray] = []
    for position, array in enumerate(CASES[case].operands(n)):
        owner = position % 2
        values = [array] if side.role == owner else None
        shares += yield from share_inputs(side, values, owner=owner, types=[type_of(array)])
    return shares


def _computed(side: MpcProtocol, case: str, operands: Sequence[SecretArray]) -> Part:
    found = CASES[case]
    if found.operation is not None:
        return found.operation(side, *(operand.share for operand in operands))
    program = compile_function(found.function, list(operands))
    return run_program(program, side, [operand.share for operand in operands])


def _measure(pool: Executor, case: str, protocol: str, *, n: int, repeats: int) -> list[tuple[_Run, ...]]:
    """The runs, each with one entry for each role; a role is a process of the pool."""
    roles = PROTOCOLS.get(protocol).roles
    with tempfile.TemporaryDirectory() as folder:
        path = create_federation(folder, roles, helpers=())
        pending = [
            pool.submit(_role, path, role, case=case, protocol=protocol, n=n, repeats=repeats)
            for role in range(len(roles))
        ]
        sides = [side.result() for side in pending]
    return list(zip(*sides, strict=True))


def _role(path: Path, role: int, *, case: str, protocol: str, n: int, repeats: int) -> list[_Run]:
    """One role's process."""
    roles = PROTOCOLS.get(protocol).roles
    with connect_tls(load(path), roles[role]) as session:
        operands = _phase(session, protocol, role, 0, lambda side: _operands(side, case, n))[0]
        runs = [
            _phase(session, protocol, role, number, lambda side: _computed(side, case, operands))[1]
            for number in range(1, repeats + 2)
        ]
        return runs[1:]


def _phase(
    session: Session, protocol: str, role: int, number: int, operation: Callable[[Any], Part]
) -> tuple[Any, _Run]:
    """One instance of the protocol: first what the dealer sends, then, from a common start, the rounds."""
    kind = PROTOCOLS.get(protocol)
    others = {other: name for other, name in enumerate(kind.roles) if other != role}
    streams: dict[int, Stream] = {
        other: session.channel(name).stream(number.to_bytes(16, "little")) for other, name in others.items()
    }
    prgs = {other: derive_prg(session.shared_key(name), "jali.mpc.bench", number) for other, name in others.items()}
    side = kind(role, prgs=prgs, streams=streams)
    deals = role == kind.dealer
    result: Any = None
    start = time.perf_counter()
    if deals:
        result = drive(operation(side), streams)
        side.finish()
    else:
        side.prefetch()
    offline_seconds = time.perf_counter() - start
    dealt_bytes = sum(stream.counters.bytes_sent for stream in streams.values())
    _meet(streams)
    start = time.perf_counter()
    if not deals:
        result = drive(operation(side), streams)
    seconds = time.perf_counter() - start
    if not deals:
        side.finish()
    sent = sum(stream.counters.bytes_sent for stream in streams.values()) - dealt_bytes - len(streams)
    return result, _Run(0.0 if deals else seconds, offline_seconds, sent, dealt_bytes)


def _meet(streams: dict[int, Stream]) -> None:
    """Wait until all are here: one byte to and from everybody."""
    for stream in streams.values():
        stream.send(b"\0")
    for stream in streams.values():
        stream.receive()
