# SPDX-License-Identifier: Apache-2.0
"""Intersections from file to file: keys are read, intersected, and the rows of the join written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import InputError, PsiFrameInvalid, PsiKeysDiffer
from jali.psi.intersection import intersect
from jali.psi.keys import Keys
from jali.psi.normalise import require_normalisation
from jali.psi.rows import exchange_counts, exchange_number, joined_rows, other_rows
from jali.tables.sources import Source, check_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from jali.psi.contract import Learns
    from jali.psi.folder import Job, RunFolder
    from jali.transport.channel import Stream

__all__ = ["Outcome", "Prepared", "prepare", "run"]

_VERSION = 1


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to: numbers of rows and of distinct keys, and seconds by stage."""

    protocol: str
    rows: int
    keys: int
    common_keys: int | None
    written: int
    target: str
    seconds: dict[str, float]
    bytes_sent: int
    bytes_received: int


class _Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both parties must ask for alike."""

    version: int
    learns: str
    keep: tuple[str, ...]
    columns: int
    network: str


_TERMS = msgspec.json.Decoder(_Terms)


class Prepared:
    """A source whose keys are read; the party may connect."""

    def __init__(self, job: Job, source: Source, keys: Keys, seconds: float) -> None:
        """See `prepare`."""
        self.job, self.source, self.keys, self.seconds = job, source, keys, seconds


def prepare(job: Job, *, folder: Path | None = None, given: Any = None) -> Prepared:
    """Check a job and read its keys, so that a mistake is found before anybody is called.

    `given` is a table in the place of the job's source.
    Raises: InputError family; WriteFailed for a target that cannot be.
    """
    parties = {job.me, job.peer}
    if job.learns != "both" and job.learns not in parties:
        raise InputError(f"expected learns = 'both', {job.me!r} or {job.peer!r}, found {job.learns!r}")
    if job.anti and job.keep:
        raise InputError(
            "expected either rows that are not in common or rows to keep beside those that are, found both"
        )
    if not set(job.keep) <= parties or (job.keep and job.learns != "both"):
        raise InputError(f"expected to keep rows of {job.me!r} or {job.peer!r} when both learn, found {job.keep}")
    require_normalisation(job.normalise)
    if job.learns in {"both", job.me}:
        check_target(job.target)
    start = time.perf_counter()
    source = Source(job.source if given is None else given, memory_bytes=job.memory_mib << 17, folder=folder)
    keys = Keys.of_batches(source.keys(job.on), normalise=job.normalise)
    return Prepared(job, source, keys, time.perf_counter() - start)


def run(
    ready: Prepared,
    stream: Stream,
    *,
    first: bool,
    folder: RunFolder | None = None,
    progress: Callable[[float, str], None],
) -> Outcome:
    """Intersect and write.

    Security: see `intersect`; when both learn, each also learns in how many rows the other has each common key, and
    how many other rows of it are kept.
    Raises: PsiKeysDiffer for a peer that asks for something else, ProtocolAbort family, WriteFailed.
    """
    job, keys = ready.job, ready.keys
    sizes = {"rows": len(keys.rows), "keys": len(keys)}
    learns: Learns = "both" if job.learns == "both" else "me" if job.learns == job.me else "peer"
    start = time.perf_counter()
    _agree(stream, job)
    if folder is not None:
        folder.holds(keys)
    found = intersect(
        stream,
        keys,
        protocol=job.protocol if folder is None else folder.wish,
        learns=learns,
        first=first,
        network=job.network,
        checkpoints=folder,
        progress=progress,
    )
    rows = _rows(stream, job, keys, found, learns=learns, first=first)
    common = None if found is None else len(found)
    del found, keys, ready.keys  # writing needs the memory
    middle = time.perf_counter()
    progress(1.0, "writing")
    if rows is not None:
        ready.source.write(rows, job.target)
    ready.source.close()
    end = time.perf_counter()
    return Outcome(
        protocol=job.protocol if folder is None else folder.wish,
        **sizes,
        common_keys=common,
        written=0 if rows is None else len(rows),
        target="" if rows is None else job.target,
        seconds={"read": ready.seconds, "intersect": middle - start, "write": end - middle},
        bytes_sent=stream.counters.bytes_sent,
        bytes_received=stream.counters.bytes_received,
    )


def _agree(stream: Stream, job: Job) -> None:
    terms = _Terms(
        version=_VERSION, learns=job.learns, keep=tuple(sorted(job.keep)), columns=len(job.on), network=job.network
    )
    stream.send(msgspec.json.encode(terms))
    try:
        theirs = _TERMS.decode(stream.receive())
    except msgspec.MsgspecError:
        raise PsiFrameInvalid(
            f"expected what {stream.peer!r} wants, found another message: both parties need the same jali",
            party=stream.peer,
        ) from None
    for field in terms.__struct_fields__:
        mine, other = getattr(terms, field), getattr(theirs, field)
        if mine != other:
            raise PsiKeysDiffer(
                f"{stream.peer!r} asks for {field} = {other!r}, this party for {mine!r}: give both the same",
                party=stream.peer,
            )


def _rows(
    stream: Stream, job: Job, keys: Keys, found: NDArray[np.int64] | None, *, learns: Learns, first: bool
) -> NDArray[np.int64] | None:
    """The rows to write, in the order that both have: common keys, then what the first keeps, then the second."""
    if found is None:
        return None
    if learns == "both" and job.anti:
        exchange_counts(stream, keys.counts[found])  # the peer may want them
        exchange_number(stream, 0)
    if job.anti:
        return np.sort(other_rows(keys, found))
    if learns == "me":
        return joined_rows(keys, found, np.ones(len(found), np.int64), left=True)
    rows = [joined_rows(keys, found, exchange_counts(stream, keys.counts[found]), left=first)]
    mine = other_rows(keys, found) if job.me in job.keep else np.zeros(0, np.int64)
    theirs = np.full(exchange_number(stream, len(mine)), -1, np.int64)
    if len(theirs) and job.peer not in job.keep:
        raise PsiFrameInvalid(f"{stream.peer!r} keeps rows that were not to be kept", party=stream.peer)
    return np.concatenate(rows + ([mine, theirs] if first else [theirs, mine]))
