# SPDX-License-Identifier: Apache-2.0
"""The rows of a join: what follows from the common keys, and from how often each side has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from jali.core.errors import JoinTooLarge, PsiFrameInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jali.psi.contract import Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

__all__ = [
    "COUNTS_AT_ONCE",
    "MAX_ROWS",
    "counts_script",
    "exchange_counts",
    "joined_rows",
    "receive_number",
    "send_number",
]

MAX_ROWS: Final = 2**28
COUNTS_AT_ONCE: Final = 32768
_NUMBER_BYTES = 8


def joined_rows(
    keys: Keys, found: NDArray[np.int64], theirs: NDArray[np.int64], *, left: bool
) -> NDArray[np.signedinteger]:
    """This side's row numbers of the join, for common keys in order and the peer's count of each.

    Shapes: found and theirs (n,); the result has the sum of the products of both sides' counts.
    Raises: JoinTooLarge above 2^28 rows.
    """
    mine = keys.counts_of(found)
    if mine.max(initial=1) == theirs.max(initial=1) == 1:
        return np.asarray(keys.rows[keys.starts[found]])
    total = float(np.dot(mine.astype(np.float64), theirs.astype(np.float64)))
    if total > MAX_ROWS:
        raise JoinTooLarge(
            f"expected a join of at most {MAX_ROWS} rows, but duplicates on both sides make {total:.3g}: remove "
            "duplicates of the key, or aggregate by it, at one party"
        )
    products = mine * theirs
    ends = np.cumsum(products)
    within = np.arange(int(total)) - np.repeat(ends - products, products)
    offset = within // np.repeat(theirs, products) if left else within % np.repeat(mine, products)
    return np.asarray(keys.rows[np.repeat(keys.starts[found], products) + offset])


def exchange_counts(stream: Stream, mine: NDArray[np.int64]) -> NDArray[np.int64]:
    """The peer's count of each common key, for mine; both sides list the keys in the same order.

    Shapes: (n,) to (n,).
    Cost: a message of 1 byte each way: 0 if each key stands in one row, and that is all; else 1, 2, 4 or 8 bytes, as
    many as the largest count needs, and then so many for each key, in messages of 32,768 keys.
    Raises: PsiFrameInvalid.
    """
    width = _width(mine)
    stream.send(bytes([width]))
    message = stream.receive()
    other = message[0] if message.nbytes == 1 else 3
    if other not in {0, 1, 2, 4, 8}:
        raise PsiFrameInvalid(
            f"expected how long counts of {stream.peer!r} are, found another message", party=stream.peer
        )
    theirs = np.ones(len(mine), np.int64)
    for start in range(0, len(mine), COUNTS_AT_ONCE):
        chunk = slice(start, start + COUNTS_AT_ONCE)
        if width:
            stream.send(mine[chunk].astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes())
        if other:
            theirs[chunk] = _counts(stream, len(theirs[chunk]), other)
    return theirs


def _width(counts: NDArray[np.int64]) -> int:
    """Bytes that the largest count needs; none if all are 1."""
    most = int(counts.max(initial=1))
    if most == 1:
        return 0
    return next(width for width in (1, 2, 4, 8) if most < 1 << 8 * width)


def _counts(stream: Stream, n: int, width: int) -> NDArray[np.int64]:
    """The peer's next n counts."""
    message = stream.receive()
    if message.nbytes != n * width:
        raise PsiFrameInvalid(
            f"expected the counts of {n} common keys from {stream.peer!r}, found {message.nbytes} bytes: the two sides "
            "found different intersections",
            party=stream.peer,
        )
    wide = np.zeros((n, 8), np.uint8)
    wide[:, :width] = np.frombuffer(message, np.uint8).reshape(n, width)
    counts = wide.view("<i8")[:, 0].astype(np.int64)
    if np.any(counts < 1):
        raise PsiFrameInvalid(f"expected counts from 1 of {stream.peer!r}, found a smaller one", party=stream.peer)
    return counts


def counts_script(times: int) -> Iterator[tuple[Step, int]]:
    """The messages of so many runs of `exchange_counts` where each key stands in one row."""
    for _ in range(times):
        yield "send", 1
        yield "receive", 1


def send_number(stream: Stream, number: int) -> None:
    """Tell the peer how many rows this party keeps. Cost: 8 bytes."""
    stream.send(number.to_bytes(_NUMBER_BYTES, "little"))


def receive_number(stream: Stream) -> int:
    """How many rows the peer keeps. Raises: PsiFrameInvalid."""
    message = stream.receive()
    number = int.from_bytes(message, "little")
    if message.nbytes != _NUMBER_BYTES or number > MAX_ROWS:
        raise PsiFrameInvalid(
            f"expected a number of rows from {stream.peer!r}, found another message", party=stream.peer
        )
    return number
