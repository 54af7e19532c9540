# SPDX-License-Identifier: Apache-2.0
"""Rows by their number, from one server, by learning with errors.

The table is a matrix D of bytes, 2^32 is the modulus, and A a public random matrix. The client has the *hint* H = D A,
which does not depend on what it asks. For column c it draws a secret s and small errors e, and sends q = A s + e +
2^24 u with u_c = 1 and else 0: without s, noise. The server answers D q, and D q - H s = D e + 2^24 D u, whose upper
bytes are column c of D, since D e stays far below 2^23.

References: Henzinger, Hong, Corrigan-Gibbs, Meiklejohn, Vaikuntanathan 2023 (ePrint 2022/949), section 4 (SimplePIR).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from jali import kernels
from jali.core.errors import PsiFrameInvalid, TableInvalid
from jali.core.threat import Cost, Leak, Threat
from jali.crypto.randomness import random_bytes, random_words
from jali.crypto.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]

__all__ = [
    "MOST_QUERIES",
    "THREAT",
    "Change",
    "Hint",
    "IndexClient",
    "IndexServer",
    "Query",
    "answer",
    "ask",
    "leaks",
    "query_cost",
]

SECRET_WORDS: Final = 1024
"""The dimension of the secret. With 2^32 and errors of deviation 6.4 it takes 2^128 steps to tell a query from noise,
by the estimates of the paper, for up to 2^20 columns."""

MOST_QUERIES: Final = 1024
THREAT: Final = Threat(
    parties=2,
    corrupt=1,
    adversary="malicious server for what is asked, semi-honest for the answer; semi-honest client",
    abort="malformed messages raise a named error",
    assumptions=("learning with errors, dimension 1024, modulus 2^32, deviation 6.4",),
    paper="Henzinger, Hong, Corrigan-Gibbs, Meiklejohn, Vaikuntanathan 2023 (ePrint 2022/949)",
)
_DEVIATION = 6.4
_TAIL = 80  # errors beyond have probability below 2^-113
_STEP = 24  # bits below a byte
_MASK = np.uint64(2**32 - 1)
_CENTRE = 128
_ROWS_AT_ONCE = 1 << 22  # elements, 8 bytes each while they are multiplied
_HELLO = struct.Struct("<8sII16s")
_FORM = struct.Struct("<8sQQQ16s")
_MAGIC = b"jalipir1"


class Hint:
    """What a client needs before it asks: the shape of the table, the seed of A, and D A.

    Shapes: rows (height width, 1024), uint32: 4 kB for each byte of a column.
    """

    __slots__ = ("columns", "n", "rows", "seed", "width")

    def __init__(self, n: int, width: int, columns: int, seed: bytes, rows: NDArray[np.uint32]) -> None:
        """Of n rows of `width` bytes, in so many columns."""
        self.n, self.width, self.columns, self.seed, self.rows = n, width, columns, seed, rows

    @property
    def size_bytes(self) -> int:
        """What it takes to send it."""
        return _FORM.size + self.rows.nbytes

    def to_bytes(self) -> bytes:
        """For a file or a message."""
        form = _FORM.pack(_MAGIC, self.n, self.width, self.columns, self.seed)
        return form + self.rows.astype("<u4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Hint:
        """What `to_bytes` gave. Raises: PsiFrameInvalid for anything else."""
        if len(data) >= _FORM.size:
            magic, n, width, columns, seed = _FORM.unpack_from(data)
            height = -(-n // columns) * width if columns else 0
            if magic == _MAGIC and 0 < columns <= n and len(data) == _FORM.size + 4 * SECRET_WORDS * height:
                rows = np.frombuffer(data, "<u4", offset=_FORM.size).reshape(height, SECRET_WORDS)
                return cls(n, width, columns, seed, rows.astype(np.uint32))
        raise PsiFrameInvalid(f"expected the hint of a table, found {len(data)} other bytes")

    def place(self, row: int) -> tuple[slice, int]:
        """The rows of the matrix in which a row of the table stands, and its column."""
        height, column = divmod(row, self.columns)
        return slice(height * self.width, (height + 1) * self.width), column

    def follow(self, change: Change, public: Words) -> None:
        """Be the hint of the changed table."""
        place, column = self.place(change.row)
        step = change.step.astype(np.int64).view(np.uint64)
        self.rows[place] += (step[:, None] * public[column][None] & _MASK).astype(np.uint32)


class Change(NamedTuple):
    """One row of a table that was written: its number, and by how much each byte grew (width,)."""

    row: int
    step: NDArray[np.int64]


class IndexServer:
    """A table of n rows of equal width, and its hint.

    Row i stands in column i mod columns; a column is answered as a whole, so it is as long as a query, about.
    """

    def __init__(self, rows: Bytes, *, seed: bytes | None = None) -> None:
        """Take a table and compute the hint.

        Shapes: rows (n, width) uint8, n from 1.
        Cost: 1024 multiplications for each byte of the table.
        Raises: TableInvalid for another shape or type.
        """
        if rows.dtype != np.uint8 or rows.ndim != 2 or not rows.size:
            raise TableInvalid(f"expected rows of bytes, found {rows.dtype} of shape {list(rows.shape)}")
        n, width = rows.shape
        columns = min(n, max(1, math.isqrt(4 * n * width)))
        height = -(-n // columns)
        padded = np.zeros((height * columns, width), np.uint8)
        padded[:n] = rows
        self._table = np.ascontiguousarray(padded.reshape(height, columns, width).transpose(0, 2, 1)).reshape(
            -1, columns
        )
        seed = random_bytes(16) if seed is None else seed
        self._public = _public_matrix(seed, columns)
        self.hint = Hint(n, width, columns, seed, self._times(self._public).astype(np.uint32))

    def answer(self, queries: Words) -> NDArray[np.uint32]:
        """D q for each query.

        Shapes: (columns, queries) to (height width, queries).
        Cost: a multiplication for each byte of the table and query; several at once share the way through memory.
        """
        return self._times(queries).astype(np.uint32)

    def row(self, row: int) -> Bytes:
        """A row, (width,), as a copy. Raises: TableInvalid for a row that is not there."""
        self._require_row(row)
        place, column = self.hint.place(row)
        return self._table[place, column].copy()

    def _require_row(self, row: int) -> None:
        if not 0 <= row < self.hint.n:
            raise TableInvalid(f"expected a row below {self.hint.n}, found {row}")

    def update(self, row: int, content: bytes) -> Change:
        """Write a row, and the hint with it; gives what clients change theirs by.

        Cost: 1024 multiplications for each byte of the row.
        Raises: TableInvalid for a row that is not there, or of another width.
        """
        hint = self.hint
        self._require_row(row)
        if len(content) != hint.width:
            raise TableInvalid(f"expected {hint.width} bytes, found {len(content)}")
        place, column = hint.place(row)
        new = np.frombuffer(content, np.uint8)
        change = Change(row, new.astype(np.int64) - self._table[place, column])
        self._table[place, column] = new
        hint.follow(change, self._public)
        return change

    def _times(self, right: Words) -> Words:
        """Modulo 2^32, a few rows at a time; bytes count from -128 to 127, so that errors add up to less."""
        rows = max(1, _ROWS_AT_ONCE // self._table.shape[1])
        parts = [
            kernels.matmul(_centred(self._table[at : at + rows]), right) & _MASK
            for at in range(0, len(self._table), rows)
        ]
        return np.concatenate(parts)


class Query(Secret):
    """The secrets of queries on their way."""

    __slots__ = ("_secrets", "indices", "message")

    def __init__(self, hint: Hint, indices: Sequence[int], public: Words) -> None:
        """Draw secrets and errors for rows of these numbers."""
        n = len(indices)
        self.indices = tuple(indices)
        self._secrets = random_words((SECRET_WORDS, n)) & _MASK
        masked = kernels.matmul(public, self._secrets) + _errors(hint.columns * n).reshape(hint.columns, n)
        masked[[i % hint.columns for i in indices], np.arange(n)] += np.uint64(1 << _STEP)
        self.message: NDArray[np.uint32] = (masked & _MASK).astype(np.uint32)

    def decode(self, hint: Hint, answers: NDArray[np.uint32]) -> Bytes:
        """The rows that were asked for.

        Shapes: answers (height width, queries) to (queries, width).
        """
        width = hint.width
        found = np.zeros((len(self.indices), width), np.uint8)
        for k, index in enumerate(self.indices):
            place, _ = hint.place(index)
            mask = kernels.matmul(hint.rows[place].astype(np.uint64), self._secrets[:, k : k + 1])[:, 0]
            noisy = (answers[place, k].astype(np.uint64) - mask + np.uint64(1 << (_STEP - 1))) & _MASK
            found[k] = (noisy >> np.uint64(_STEP)).astype(np.uint8) + np.uint8(_CENTRE)
        return found


class IndexClient:
    """Who asks. It holds the hint, and follows changes of the table."""

    def __init__(self, hint: Hint) -> None:
        """Take the server's hint."""
        self.hint = hint
        self._public = _public_matrix(hint.seed, hint.columns)

    def query(self, indices: Sequence[int]) -> Query:
        """Queries for rows of these numbers. Raises: TableInvalid for a row that is not there."""
        for index in indices:
            if not 0 <= index < self.hint.n:
                raise TableInvalid(f"expected a row below {self.hint.n}, found {index}")
        return Query(self.hint, indices, self._public)

    def follow(self, change: Change) -> None:
        """Take a change of the table that the server announced."""
        self.hint.follow(change, self._public)


def ask(stream: Stream, client: IndexClient, indices: Sequence[int]) -> Bytes:
    """The rows of these numbers, from a server that runs `answer`.

    Shapes: to (queries, width).
    Security: the server learns how many rows are asked for. A dishonest one can answer wrongly.
    Raises: TableInvalid, PsiFrameInvalid.
    """
    hint, query = client.hint, client.query(indices)
    stream.send(_HELLO.pack(_MAGIC, len(indices), hint.columns, hint.seed), query.message.astype("<u4").tobytes())
    message, height = stream.receive(), len(hint.rows)
    if message.nbytes != 4 * height * len(indices):
        raise PsiFrameInvalid(
            f"expected {len(indices)} answers from {stream.peer!r}, found {message.nbytes} bytes", party=stream.peer
        )
    return query.decode(hint, np.frombuffer(message, "<u4").reshape(height, len(indices)).astype(np.uint32))


def answer(stream: Stream, server: IndexServer, *, most: int = MOST_QUERIES) -> int:
    """Answer one message of queries; gives their number. Raises: PsiFrameInvalid."""
    message, hint = stream.receive(), server.hint
    n = 0
    if message.nbytes >= _HELLO.size:
        magic, n, columns, seed = _HELLO.unpack_from(message)
        fits = (magic, columns, seed) == (_MAGIC, hint.columns, hint.seed) and n <= most
        if not fits or message.nbytes != _HELLO.size + 4 * columns * n:
            n = -1
    if n < 0 or message.nbytes < _HELLO.size:
        raise PsiFrameInvalid(
            f"expected up to {most} queries of {hint.columns} words for this table from {stream.peer!r}, found another "
            "message: does the client have the newest hint?",
            party=stream.peer,
        )
    queries = np.frombuffer(message[_HELLO.size :], "<u4").reshape(hint.columns, n).astype(np.uint64)
    stream.send(server.answer(queries).astype("<u4").tobytes())
    return int(n)


def query_cost(hint: Hint, n: int) -> Cost:
    """Exact bytes of the roles "me" (the client) and "peer" for n queries; the hint is the offline part."""
    return Cost(
        rounds=1,
        bytes_sent={"me": _HELLO.size + 4 * hint.columns * n, "peer": 4 * len(hint.rows) * n},
        offline_bytes=hint.size_bytes,
    )


def leaks(client: str, server: str) -> tuple[Leak, ...]:
    """What each party learns."""
    return (
        Leak(what=f"how many rows {client} asks for, and when", to=server, why="number of queries"),
        Leak(what=f"the shape of the table of {server}", to=client, why="the hint"),
        Leak(
            what=f"sums over whole columns of the table of {server}, beyond the rows that are asked for",
            to=client,
            why="hint and answers are not masked: the table is not kept from who asks",
        ),
    )


def _centred(rows: Bytes) -> Words:
    return (rows.astype(np.int64) - _CENTRE).view(np.uint64)


def _public_matrix(seed: bytes, columns: int) -> Words:
    """A, from its public seed.

    Shapes: (columns, 1024).
    """
    words = kernels.prg_words(seed, 0, columns * SECRET_WORDS // 2)
    return words.view(np.uint32).reshape(columns, SECRET_WORDS).astype(np.uint64)


def _errors(n: int) -> Words:
    """From a discrete Gaussian of deviation 6.4, by its distribution to 64 bits."""
    signs = random_words(n)
    sizes = np.searchsorted(_DISTRIBUTION, random_words(n), side="right").astype(np.uint64)
    return np.where(signs & np.uint64(1) == 0, sizes, np.uint64(0) - sizes)


def _distribution() -> Words:
    """The chances of sizes up to 0, 1, 2, ... in units of 2^-64; 0 has two signs, so it counts half."""
    weights = [math.exp(-(x**2) / (2 * _DEVIATION**2)) for x in range(_TAIL)]
    weights[0] /= 2
    total, sums = sum(weights), np.cumsum(weights)
    return np.array([min(int(value / total * 2**64), 2**64 - 1) for value in sums[:-1]], np.uint64)


_DISTRIBUTION = _distribution()
