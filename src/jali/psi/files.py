# SPDX-License-Identifier: Apache-2.0
"""Intersections from file to file: keys are read, intersected, and the rows of the join written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from jali import kernels
from jali.core.errors import InputError, JaliError, PsiFrameInvalid, PsiKeysDiffer, TableInvalid
from jali.psi import intersection
from jali.psi.contract import learns_of
from jali.psi.keys import Keys
from jali.psi.kinds import UNION, mark_of_rows, require_join, require_union
from jali.psi.normalise import steps_of
from jali.psi.rounds import Terms, join, union
from jali.psi.spilled import Spill
from jali.tables.sources import Source, check_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from jali.psi.folder import Job, RunFolder
    from jali.psi.rounds import Joined
    from jali.transport.channel import Stream

__all__ = ["Outcome", "Prepared", "prepare", "run"]

_VERSION = 3
_LIBRARIES_MIB = 136  # of a process before it has data
_LEAST_MIB = 64
_ROW_BYTES = 48  # of a key's row while it is sorted
_KEY_BYTES = 416  # of a key in a bucket, at most, in any protocol
_LEAST_KEYS = 1 << 14


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to: numbers of rows and of distinct (first) keys, and seconds by stage.

    `common_keys` of all keys together, `common_by_key` of the first key and each other one; None if only the peer
    learns. `protocol` has more than one name where later keys were intersected by another.
    """

    protocol: str
    rows: int
    keys: int
    common_keys: int | None
    common_by_key: tuple[int, ...] | None
    written: int
    target: str
    seconds: dict[str, float]
    bytes_sent: int
    bytes_received: int


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both parties must ask for alike; `columns` are the numbers of columns of each key."""

    version: int
    how: str
    learns: str
    columns: tuple[int, ...]
    network: str
    bucket_keys: int


_ASKED = msgspec.json.Decoder(_Asked)


class Prepared:
    """A source whose keys are read; the party may connect."""

    def __init__(self, job: Job, source: Source, keys: list[Keys], *, left: bool, seconds: float) -> None:
        """See `prepare`."""
        self.job, self.source, self.keys, self.left, self.seconds = job, source, keys, left, seconds


def prepare(job: Job, *, left: bool, folder: Path | None = None, given: Any = None) -> Prepared:
    """Check a job and read its keys, so that a mistake is found before anybody is called.

    `left` says which of both parties this is. `given` is a table in the place of the job's source.
    Cost: at most half of the job's memory beside the libraries, and then files (`jali.psi.spilled`).
    Raises: InputError family; WriteFailed for a target that cannot be.
    """
    parties = (job.me, job.peer) if left else (job.peer, job.me)
    if job.learns != "both" and job.learns not in parties:
        raise InputError(f"expected learns = 'both', {job.me!r} or {job.peer!r}, found {job.learns!r}")
    learners = parties if job.learns == "both" else (job.learns,)
    require_join(job.how, learners=learners, owners=parties, error=InputError)
    if job.how == UNION:
        require_union(otherwise=bool(job.otherwise), protocol=job.protocol, error=InputError)
    steps_of(job.normalise)
    if job.me in learners:
        check_target(job.target)
    start = time.perf_counter()
    source = Source(
        job.source if given is None else given,
        encoding=job.encoding,
        memory_bytes=job.memory_mib << 20,
        folder=folder,
    )
    mark = _mark(job)
    if mark and mark in source.columns:
        raise TableInvalid(f"{source.name!r} has a column {mark!r}, which a {job.how} join would add: rename it")
    keys = [
        Keys.of_batches(
            source.keys(columns),
            normalise=job.normalise,
            optional=bool(job.otherwise),
            spill=Spill(folder, most_rows=_most_rows(job)),
        )
        for columns in (job.on, *job.otherwise)
    ]
    return Prepared(job, source, keys, left=left, seconds=time.perf_counter() - start)


def run(
    ready: Prepared, stream: Stream, *, folder: RunFolder | None = None, progress: Callable[[float, str], None]
) -> Outcome:
    """Intersect and write.

    Security: see `jali.psi.rounds.join`.
    Raises: PsiKeysDiffer for a peer that asks for something else, ProtocolAbort family, WriteFailed.
    """
    with _Phases(progress) as noted:
        return _run(ready, stream, folder=folder, progress=noted)


def _run(
    ready: Prepared, stream: Stream, *, folder: RunFolder | None, progress: Callable[[float, str], None]
) -> Outcome:
    job, keys = ready.job, ready.keys
    sizes = {"rows": keys[0].n_rows, "keys": len(keys[0])}
    start = time.perf_counter()
    bucket_keys = _agree(stream, job)
    terms = Terms(job.how, learns_of(job.learns, job.me), ready.left, job.protocol, job.network, bucket_keys)
    if job.how == UNION:
        joined: Joined | None = union(stream, keys[0], left=ready.left, progress=progress)
    else:
        joined = join(stream, keys, terms=terms, folder=folder, progress=progress)
    keys.clear()  # writing needs the memory
    kernels.give_memory_back()
    middle = time.perf_counter()
    progress(1.0, "writing")
    if joined is not None:
        marks = {} if joined.matched is None else {_mark(job): joined.matched}
        ready.source.write(joined.rows, job.target, marks=marks)
    ready.source.close()
    end = time.perf_counter()
    common = None if joined is None else joined.common
    return Outcome(
        protocol="spine"
        if job.how == UNION
        else " and ".join(() if folder is None else folder.protocols) or job.protocol,
        **sizes,
        common_keys=None if common is None else sum(common),
        common_by_key=common,
        written=0 if joined is None else len(joined.rows),
        target="" if joined is None else job.target,
        seconds={"read": ready.seconds, "intersect": middle - start, "write": end - middle},
        bytes_sent=stream.counters.bytes_sent,
        bytes_received=stream.counters.bytes_received,
    )


def _mark(job: Job) -> str:
    """The column that the result has beside those of the source: an empty row says that it is absent."""
    return "" if job.learns == "both" else mark_of_rows(job.how, both_learn=False)


def _most_rows(job: Job) -> int:
    """How many rows of keys stay in memory: half of it, for all keys together."""
    return _data_bytes(job) // 2 // (_ROW_BYTES * (1 + len(job.otherwise)))


def _bucket_keys(job: Job) -> int:
    """How many keys a bucket may have, so that what a protocol needs for it is half of the memory."""
    return min(intersection.BUCKET_KEYS, max(_data_bytes(job) // 2 // _KEY_BYTES, _LEAST_KEYS))


def _data_bytes(job: Job) -> int:
    """What is left of the memory beside the libraries."""
    return max(job.memory_mib - _LIBRARIES_MIB, _LEAST_MIB) << 20


def _agree(stream: Stream, job: Job) -> int:
    """Make sure that both want the same; gives how many keys a bucket has, the fewer of both."""
    asked = _Asked(
        version=_VERSION,
        how=job.how,
        learns=job.learns,
        columns=tuple(len(columns) for columns in (job.on, *job.otherwise)),
        network=job.network,
        bucket_keys=_bucket_keys(job),
    )
    stream.send(msgspec.json.encode(asked))
    try:
        theirs = _ASKED.decode(stream.receive())
    except msgspec.MsgspecError:
        raise PsiFrameInvalid(
            f"expected what {stream.peer!r} wants, found another message: both parties need the same jali",
            party=stream.peer,
        ) from None
    for field in asked.__struct_fields__:
        mine, other = getattr(asked, field), getattr(theirs, field)
        if mine != other and field != "bucket_keys":
            raise PsiKeysDiffer(
                f"{stream.peer!r} asks for {field} = {other!r}, this party for {mine!r}: give both the same",
                party=stream.peer,
            )
    least = min(_LEAST_KEYS, intersection.BUCKET_KEYS)
    if theirs.bucket_keys < least:
        raise PsiFrameInvalid(f"expected buckets of {least} keys or more of {stream.peer!r}", party=stream.peer)
    return min(asked.bucket_keys, theirs.bucket_keys)


class _Phases:
    """Progress that is passed on, and, of an error that comes, the last that was said: where it happened."""

    def __init__(self, progress: Callable[[float, str], None]) -> None:
        """Nothing was said yet."""
        self._progress, self._last = progress, ""

    def __call__(self, done: float, what: str) -> None:
        """Pass it on."""
        self._last = what
        self._progress(done, what)

    def __enter__(self) -> Self:
        """Itself, as progress."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Name the phase in an error that names none."""
        if isinstance(error, JaliError):
            error.phase = error.phase or self._last or None
