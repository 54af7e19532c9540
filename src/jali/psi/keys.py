# SPDX-License-Identifier: Apache-2.0
"""Keys: what stands for the identifiers of a table, each once, and the rows in which it stands."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels
from jali.core.errors import InputError, KeyInvalid, KeyTypeWrong
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.psi.normalise import canonical, normalised
from jali.psi.spilled import forget_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jali.psi.spilled import Spill

    Column = NDArray[Any] | Sequence[str] | Sequence[bytes] | Sequence[int]

__all__ = ["DIGEST_BYTES", "KINDS", "MOST_COLUMNS", "Keys"]

KINDS = ("whole numbers", "text", "bytes")
DIGEST_BYTES = 16
MOST_COLUMNS = 8
_CHUNK = 65536
_ONE, _SEVERAL = "jali.psi.key.v1", "jali.psi.keys.v1"


class Keys:
    """The distinct keys of one column, or of several together.

    A key is a digest of 128 bits: SHA-512 of 8 little-endian bytes of a whole number, UTF-8 of normalised text, or
    bytes as they are, with a label for the kind; of several columns, of their digests. `digests` are distinct and
    ascending, so parties that have keys in common have them in the same order. `rows` lists the rows of the column key
    by key, from `starts[i]` to `starts[i + 1]` for key i, in the column's order within a key. With `optional`, a row
    with an empty cell among those of its key has none, and is not listed; `n_rows` counts those too.

    Shapes: digests (distinct, 16), rows (rows with a key,), starts (distinct + 1,).
    Security: digests of identifiers that can be guessed are as good as these: they never leave. Two of n keys have one
    digest with probability n^2 / 2^129: below 2^-80 for 2^24 keys. `repr` gives numbers only.
    """

    __slots__ = ("digests", "kinds", "n_rows", "normalise", "rows", "starts")

    def __init__(
        self,
        columns: Column | Mapping[str, Column],
        *,
        name: str = "key",
        normalise: str = "trimmed",
        optional: bool = False,
    ) -> None:
        """Read the keys of a column, whose `name` is for messages, or of several named ones.

        Raises: KeyTypeWrong unless they are whole numbers, text or bytes of one length; KeyInvalid if one is empty and
        not `optional`; UnknownName for a normalisation that does not exist.
        """
        parts = columns if isinstance(columns, Mapping) else {name: columns}
        self._hold([{label: _encode(column, label) for label, column in parts.items()}], normalise, optional=optional)

    @classmethod
    def of_batches(
        cls,
        batches: Iterable[Mapping[str, tuple[str, ByteStrings]]],
        *,
        normalise: str,
        optional: bool = False,
        spill: Spill | None = None,
    ) -> Keys:
        """The keys of columns that come in batches: of each its kind and its canonical bytes.

        More than `spill` allows go there: the arrays are mapped from files then.

        Raises: as the constructor; KeyTypeWrong if a column changes its kind; WriteFailed.
        """
        keys = cls.__new__(cls)
        keys._hold(batches, normalise, optional=optional, spill=spill)  # noqa: SLF001 - its own
        return keys

    def _hold(
        self,
        batches: Iterable[Mapping[str, tuple[str, ByteStrings]]],
        normalise: str,
        *,
        optional: bool,
        spill: Spill | None = None,
    ) -> None:
        self.normalise, self.n_rows = canonical(normalise), 0
        self.kinds: tuple[str, ...] = ()
        held: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]] = []
        spilled = 0  # rows
        for kinds, digests, empty in _digests_of(batches, self.normalise, optional=optional):
            self.kinds = kinds
            held.append((digests, empty))
            self.n_rows += len(digests)
            if spill is not None and self.n_rows - spilled > (0 if spilled else spill.most_rows):
                spilled = _spill(held, spilled, spill)
        self.kinds = self.kinds or (KINDS[1],)
        if spill is not None and spilled:
            self.digests, self.rows, self.starts = spill.finish(_grouped)
            return
        none = np.zeros((0, DIGEST_BYTES), np.uint8)
        of_row = held[0][0] if len(held) == 1 else np.concatenate([none, *(digests for digests, _ in held)])
        empty = np.concatenate([np.zeros(0, np.bool_), *(missing for _, missing in held)])
        held.clear()
        if np.any(empty):
            rows, self.starts = _grouped(of_row[~empty])
            self.rows = np.flatnonzero(~empty).astype(rows.dtype)[rows]
        else:
            self.rows, self.starts = _grouped(of_row)
        self.digests = of_row[self.rows[self.starts[:-1]]]

    def without(self, gone: NDArray[np.bool_]) -> Keys:
        """The keys of the rows that are not gone.

        Shapes: gone (rows of the table,).
        """
        stays = ~gone[self.rows]
        ends = np.concatenate([np.zeros(1, self.starts.dtype), np.cumsum(stays, dtype=self.starts.dtype)])[self.starts]
        left = np.diff(ends) > 0
        part = object.__new__(Keys)
        part.kinds, part.normalise, part.n_rows = self.kinds, self.normalise, self.n_rows
        part.digests, part.rows = self.digests[left], self.rows[stays]
        part.starts = np.concatenate([ends[:1], ends[1:][left]])
        return part

    def part(self, start: int, end: int, more: NDArray[np.uint8]) -> Keys:
        """The keys from `start` to `end`, and others that stand in no row.

        Shapes: more (n, 16), uniform.
        """
        part = object.__new__(Keys)
        part.kinds, part.normalise, part.n_rows = self.kinds, self.normalise, self.n_rows
        part.digests = np.concatenate([self.digests[start:end], more])
        part.rows, part.starts = self.rows, np.append(self.starts[start:end], [self.starts[end]] * (len(more) + 1))
        return part

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows each key stands in.

        Shapes: (distinct,).
        """
        return np.diff(self.starts).astype(np.int64)

    def counts_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows the keys at some places stand in.

        Shapes: (n,) to (n,).
        """
        return np.asarray(self.starts[places + 1].astype(np.int64) - self.starts[places])

    def ends(self, count: int) -> list[int]:
        """Where the keys are cut into parts by the first bits of their digests: from each number to the next.

        Shapes: count + 1 numbers.
        """
        limits = [(-(-(i << 64) // count)).to_bytes(8, "big") for i in range(1, count)]
        places = range(len(self))
        return [
            0,
            *(bisect_left(places, limit, key=lambda at: self.digests[at, :8].tobytes()) for limit in limits),
            len(self),
        ]

    def fingerprint(self) -> str:
        """A hash of all keys, as private as they are."""
        state = hashlib.sha512(b"jali.psi.run.v2")
        for start in range(0, len(self), _CHUNK):
            state.update(self.digests[start : start + _CHUNK].tobytes())
        return state.hexdigest()[:64]

    def forget_pages(self) -> None:
        """Give memory back that holds parts of mapped files."""
        forget_pages(self.digests, self.rows, self.starts)

    def require_distinct(self) -> None:
        """Raises: KeyInvalid if a key stands in several rows."""
        repeated = int(np.sum(self.counts > 1))
        if repeated:
            raise KeyInvalid(
                f"expected each key in one row, found {repeated} of {len(self)} in several: sum up by the key at its "
                "party first, or see the rows with jali.align"
            )

    def __len__(self) -> int:
        """The number of distinct keys."""
        return len(self.digests)

    def __repr__(self) -> str:
        """Kinds and numbers."""
        return f"<Keys: {len(self)} distinct in {len(self.rows)} rows, {' and '.join(self.kinds)}, {self.normalise}>"


def _digests_of(
    batches: Iterable[Mapping[str, tuple[str, ByteStrings]]], normalise: str, *, optional: bool
) -> Iterator[tuple[tuple[str, ...], NDArray[np.uint8], NDArray[np.bool_]]]:
    """Of each batch the kinds of the columns, a digest for each row, and whether the row has no key."""
    kinds: tuple[str, ...] = ()
    row = 0
    for batch in batches:
        new = tuple(kind for kind, _ in batch.values())
        if not 1 <= len(batch) <= MOST_COLUMNS or len({len(strings) for _, strings in batch.values()}) > 1:
            raise KeyTypeWrong(f"expected 1 to {MOST_COLUMNS} key columns of one length, found {len(batch)}")
        if kinds and kinds != new:
            raise KeyTypeWrong(
                f"expected key columns of one kind, found {' and '.join(kinds)}, then {' and '.join(new)}"
            )
        kinds = new
        columns = [_digests(*column, label, row, normalise, optional=optional) for label, column in batch.items()]
        digests = [digest for digest, _ in columns]
        if len(digests) > 1:
            digests = [_hash(ByteStrings.rows(np.concatenate(digests, axis=1)), encode_parts(_SEVERAL))]
        yield kinds, digests[0], np.any([missing for _, missing in columns], axis=0)
        row += len(digests[0])


def _spill(held: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]], start: int, spill: Spill) -> int:
    """Put what is held where keys go, and forget it; the first is that of a row. Gives the next row."""
    for digests, empty in held:
        rows = np.flatnonzero(~empty)
        spill.add(digests[rows] if np.any(empty) else digests, rows + start)
        start += len(digests)
    held.clear()
    return start


def _grouped(digests: NDArray[np.uint8]) -> tuple[NDArray[np.signedinteger], NDArray[np.signedinteger]]:
    """Rows by ascending digest and, of equal ones, in order; and where each group of equal ones starts."""
    high = digests.view(">u8")[:, 0].astype(np.uint64)
    order = np.argsort(high)  # much faster than a stable one
    ranked = high[order]
    same = ranked[1:] == ranked[:-1]
    del ranked
    if np.any(same):
        low = digests.view(">u8")[:, 1].astype(np.uint64)
        order = np.lexsort((low, high))
        same = (np.diff(high[order]) == 0) & (np.diff(low[order]) == 0)
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(order), 1), np.bool_), ~same]))
    narrow = np.int32 if len(order) < 2**31 else np.int64  # half the memory
    return order.astype(narrow), np.append(starts, len(order)).astype(narrow)


def _hash(strings: ByteStrings, prefix: bytes) -> NDArray[np.uint8]:
    return kernels.sha512_each(strings.data, strings.offsets, width=DIGEST_BYTES, prefix=prefix)


def _digests(
    kind: str, strings: ByteStrings, name: str, row: int, normalise: str, *, optional: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The digest of each string, and whether it is empty; the first is that of a row."""
    if kind == "text":
        strings = normalised(strings, normalise)
    empty = strings.lengths == 0
    if np.any(empty) and not optional:
        raise KeyInvalid(
            f"expected an id in every row of key column {name!r}, found {np.sum(empty)} empty, the first in row "
            f"{row + np.argmax(empty)} (counted from 0): remove those rows, or name another key for them (`otherwise`)"
        )
    return _hash(strings, encode_parts(_ONE, kind)), empty


def _encode(column: Column, name: str) -> tuple[str, ByteStrings]:
    cells = np.asarray(column)
    if cells.ndim != 1:
        raise KeyTypeWrong(f"expected a one-dimensional key column {name!r}, found shape {list(cells.shape)}")
    if not len(cells):
        return KINDS[1], ByteStrings.of([])
    if cells.dtype.kind in "iu" and not (cells.dtype.kind == "u" and np.any(cells > np.iinfo(np.int64).max)):
        return KINDS[0], ByteStrings.rows(cells.astype("<i8").view(np.uint8).reshape(-1, 8))
    if cells.dtype.kind == "U" and isinstance(column, np.ndarray):
        return KINDS[1], _encode_array(cells, name)
    values: list[Any] = column.tolist() if isinstance(column, np.ndarray) else list(column)
    if all(isinstance(value, str) for value in values) and cells.dtype.kind in "UO":
        return KINDS[1], _encode_text(values, name)
    if all(isinstance(value, bytes) for value in values) and cells.dtype.kind in "SO":
        return KINDS[2], ByteStrings.of(values)
    raise KeyTypeWrong(
        f"expected whole numbers, text or bytes in key column {name!r}, found {cells.dtype}: "
        "read it as text, or remove rows without an id"
    )


def _encode_array(cells: NDArray[np.str_], name: str) -> ByteStrings:
    """Fixed-width text, which is all zeros after its end; ASCII without a look at each."""
    parts, lengths = [], []
    for at in range(0, len(cells), _CHUNK):
        part = cells[at : at + _CHUNK].astype(cells.dtype.newbyteorder("="), order="C")
        codes = part.view(np.uint32).reshape(len(part), -1)
        if codes.size and codes.max() > 127:
            encoded = _encode_text(part.tolist(), name)
            parts.append(encoded.data)
            lengths.append(encoded.lengths)
            continue
        width = codes.shape[1]
        length = width - np.argmax((codes != 0)[:, ::-1], axis=1)
        length[~np.any(codes, axis=1)] = 0
        parts.append(codes.astype(np.uint8)[np.arange(width) < length[:, None]])
        lengths.append(length)
    offsets = np.zeros(len(cells) + 1, np.uint64)
    np.cumsum(np.concatenate(lengths), out=offsets[1:], dtype=np.uint64)
    return ByteStrings(np.concatenate(parts), offsets)


def _encode_text(texts: Sequence[str], name: str) -> ByteStrings:
    try:
        return ByteStrings.of([text.encode() for text in texts])
    except UnicodeEncodeError:
        raise _bad_text(name) from None


def _bad_text(name: str) -> InputError:
    return KeyInvalid(f"expected valid Unicode in key column {name!r}, found half of a surrogate pair")
