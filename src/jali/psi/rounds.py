# SPDX-License-Identifier: Apache-2.0
"""A join from keys to row numbers: one key after the other is intersected, and rows that have matched leave.

Where both parties learn, the rows of either side that a key has matched leave, and those left go on with the next key.
Where one party learns, the other does not know which of its rows have matched, so all of its rows stay in; the
learner's leave, and random keys fill its set up to the number that it would have had, so that the other does not see
how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.intersection import buckets, intersect_buckets, intersection_script
from jali.psi.kinds import JOINS
from jali.psi.rows import counts_script, exchange_counts, joined_rows, receive_number, send_number
from jali.psi.spine import spine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from jali.psi.contract import Learns, Step
    from jali.psi.folder import RunFolder
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream
    from jali.transport.network import Network

__all__ = ["Joined", "Sizes", "Terms", "join", "join_script", "union"]


class Terms(NamedTuple):
    """What both parties ask for, as one of them sees it; `left` says which of both it is.

    `bucket_keys` is as of `jali.psi.intersection.intersect`.
    """

    how: str
    learns: Learns
    left: bool
    protocol: str
    network: str | Network = "lan"
    bucket_keys: int = 0


class Joined(NamedTuple):
    """One party's part of a join.

    Shapes: rows (n,), numbers of this party's rows, -1 where it has none; matched (n,), whether the peer has each row's
    key, where the join gives all rows to one party, else None. `common` are the numbers of common keys, round by round.
    """

    rows: NDArray[np.signedinteger]
    matched: NDArray[np.bool_] | None
    common: tuple[int, ...]


class Sizes(NamedTuple):
    """The distinct keys that the parties have in a round, and those in common."""

    mine: int
    theirs: int
    common: int


def join(
    stream: Stream,
    keys: Sequence[Keys],
    *,
    terms: Terms,
    folder: RunFolder | None = None,
    progress: Callable[[float, str], None],
) -> Joined | None:
    """The rows of a join on the first key, otherwise the second, and so on; None if only the peer learns.

    The rows of the rounds follow each other, each in the order of its keys' digests; then come the rows that the left
    keeps, then those of the right.

    Security: see `jali.psi.kinds.join_leaks`, and the protocol's `leaks`.
    Cost: see `join_script`.
    Raises: PsiKeysDiffer, PsiFrameInvalid, JoinTooLarge, and what the protocol raises.
    """
    gone = np.zeros(keys[0].n_rows, np.bool_)
    narrow = np.int32 if len(gone) < 2**31 else np.int64  # half the memory
    parts: list[NDArray[np.signedinteger]] = [np.zeros(0, narrow)]
    common = []
    for number, whole in enumerate(keys):

        def report(done: float, what: str, number: int = number) -> None:
            place = "" if len(keys) == 1 else f"key {number + 1} of {len(keys)}, "
            progress((number + done) / len(keys), place + what)

        part = whole if terms.learns == "peer" or not number else whole.without(gone)
        kept = None if folder is None else folder.round(number, part)
        common.append(0)
        for _, bucket, found in intersect_buckets(
            stream,
            part,
            protocol=terms.protocol if kept is None else kept.wish or terms.protocol,
            learns=terms.learns,
            first=terms.left,
            network=terms.network,
            filled_to=len(whole) if terms.learns == "me" else None,
            bucket_keys=terms.bucket_keys,
            checkpoints=kept,
            progress=report,
        ):
            if found is not None:
                rows = joined_rows(bucket, found, _counts(stream, bucket, found, terms), left=terms.left)
                parts.append(rows.astype(narrow))
                common[-1] += len(found)
                gone[rows] = True
    if terms.learns == "peer":
        return None
    return _given(stream, keys, parts, gone, terms)._replace(common=tuple(common))


def _counts(stream: Stream, keys: Keys, found: NDArray[np.int64], terms: Terms) -> NDArray[np.int64]:
    """How often each common key multiplies this party's rows."""
    if terms.learns == "both" and JOINS[terms.how].aligned:
        return exchange_counts(stream, keys.counts_of(found))
    return np.ones(len(found), np.int64)


def _given(
    stream: Stream, keys: Sequence[Keys], parts: list[NDArray[np.signedinteger]], gone: NDArray[np.bool_], terms: Terms
) -> Joined:
    """The rows of a kind of join, from those of each round and which have matched."""
    kind = JOINS[terms.how]
    if not kind.aligned:
        return Joined(np.flatnonzero(gone == kind.of_matches), None, ())
    if terms.learns == "me" and any(kind.keeps):
        return Joined(np.arange(len(gone)), gone, ())
    if terms.learns == "both":
        keeps, peer_keeps = kind.keeps if terms.left else kind.keeps[::-1]
        mine = _others(keys, gone) if keeps else np.zeros(0, np.int64)
        if keeps:
            send_number(stream, len(mine))
        theirs = np.full(receive_number(stream) if peer_keeps else 0, -1, np.int64)
        parts = [*parts, *([mine, theirs] if terms.left else [theirs, mine])]
    return Joined(np.concatenate(parts), None, ())


def _others(keys: Sequence[Keys], gone: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows without a match, in the order of the first key that they have; those that have none come last."""
    placed = gone.copy()
    found = []
    for part in keys:
        found.append(part.rows[~placed[part.rows]])
        placed[found[-1]] = True
    return np.concatenate([*found, np.flatnonzero(~placed)]).astype(np.int64)


def union(stream: Stream, keys: Keys, *, left: bool, progress: Callable[[float, str], None]) -> Joined:
    """The number of this party's row at each place of the spine, or -1, and how many keys are in common.

    Raises: KeyInvalid for a key in several rows; as `jali.psi.spine.spine`.
    """
    keys.require_distinct()
    found = spine(stream, keys, first=left, progress=progress)
    rows = np.full(found.size, -1, np.int64)
    rows[found.places] = keys.rows
    return Joined(rows, None, (found.common,))


def join_script(rounds: Sequence[Sizes], *, terms: Terms) -> Iterator[tuple[Step, int]]:
    """What one side does, as of `PsiProtocol.script`, if each common key stands in one row.

    Where one stands in several, its counts take 1 to 8 bytes more (see `exchange_counts`). `terms.protocol` names one.
    """
    kind, both = JOINS[terms.how], terms.learns == "both"
    made = PSI_PROTOCOLS.get(terms.protocol)()
    for sizes in rounds:
        yield from intersection_script(made, sizes.mine, sizes.theirs, learns=terms.learns, first=terms.left)
        if both and kind.aligned and sizes.mine and sizes.theirs:
            yield from counts_script(buckets(made, sizes.mine, sizes.theirs))
    keeps = kind.keeps if terms.left else kind.keeps[::-1]
    yield from (step for step, needed in zip((("send", 8), ("receive", 8)), keeps, strict=True) if needed and both)
