# SPDX-License-Identifier: Apache-2.0
"""Rows of a table as byte strings of one length, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import PsiFrameInvalid, TableInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table

    Bytes = NDArray[np.uint8]

__all__ = ["Column", "columns_from", "columns_of", "packed", "unpacked"]

_WIDTHS = {"f": 8, "i": 8, "b": 1}
_TYPES = {"f": "<f8", "i": "<i8", "b": "?"}


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column's name, numpy's letter for its kind, and how many bytes a cell takes; text is UTF-8, padded with 0."""

    name: str
    kind: str
    width: int


_COLUMNS = msgspec.msgpack.Decoder(tuple[Column, ...])


def columns_of(table: Table, names: Sequence[str]) -> tuple[Column, ...]:
    """How these columns are packed. Raises: TableInvalid if there is none."""
    if not names:
        raise TableInvalid("expected a column to look up beside the key, found none")
    return tuple(_column(name, table[name]) for name in names)


def _column(name: str, cells: NDArray[Any]) -> Column:
    kind = cells.dtype.kind
    return Column(name, kind, _WIDTHS.get(kind) or max(_encoded(cells).dtype.itemsize, 1))


def _encoded(cells: NDArray[np.str_]) -> NDArray[np.bytes_]:
    return np.char.encode(cells, "utf-8") if len(cells) else np.zeros(0, "S1")


def columns_from(data: bytes | memoryview) -> tuple[Column, ...]:
    """What msgpack has of columns. Raises: PsiFrameInvalid for anything else."""
    try:
        columns = _COLUMNS.decode(data)
    except msgspec.MsgspecError:
        columns = ()
    good = all(column.width == _WIDTHS.get(column.kind, column.width) >= 1 for column in columns)
    if not columns or not good or any(column.kind not in {*_WIDTHS, "U"} for column in columns):
        raise PsiFrameInvalid(f"expected the columns of a table, found {len(data)} other bytes")
    return columns


def packed(table: Table, columns: Sequence[Column]) -> Bytes:
    """A row of bytes for each row.

    Shapes: (rows, sum of the columns' widths).
    """
    parts = []
    for column in columns:
        cells = table[column.name]
        raw = _encoded(cells).astype(f"S{column.width}") if column.kind == "U" else cells.astype(_TYPES[column.kind])
        parts.append(np.frombuffer(raw.tobytes(), np.uint8).reshape(len(table), column.width))
    return np.concatenate(parts, axis=1)


def unpacked(rows: Bytes, columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
    """The columns of rows that `packed` made.

    Shapes: (n, sum of widths) to (n,) for each column.
    Raises: PsiFrameInvalid for what is no UTF-8.
    """
    found, start = {}, 0
    for column in columns:
        raw = np.ascontiguousarray(rows[:, start : start + column.width])
        start += column.width
        found[column.name] = _text(raw, column) if column.kind == "U" else raw.view(_TYPES[column.kind])[:, 0].copy()
    return found


def _text(raw: Bytes, column: Column) -> NDArray[np.str_]:
    try:
        return np.char.decode(raw.view(f"S{column.width}")[:, 0], "utf-8")
    except UnicodeDecodeError:
        raise PsiFrameInvalid(f"expected text in column {column.name!r}, found bytes that are none") from None
