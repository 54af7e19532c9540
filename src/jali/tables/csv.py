# SPDX-License-Identifier: Apache-2.0
"""CSV files at their owner: read with types, written whole or not at all."""

from __future__ import annotations

import csv
import io
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import (
    CellTypeWrong,
    ColumnMissing,
    EncodingWrong,
    FileEmpty,
    FileMissing,
    KeyInvalid,
    RowRagged,
    TableInvalid,
    UnknownName,
)
from jali.core.files import write_atomically
from jali.core.nearmiss import suggest
from jali.core.table import Table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pieces = list[NDArray[np.str_]]
    Converter = Callable[[NDArray[np.str_]], NDArray[Any] | None]

__all__ = ["read_csv", "write_csv"]

CHUNK_ROWS = 2_000
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none"))
TRUE, FALSE = frozenset(("true", "t", "yes")), frozenset(("false", "f", "no"))


def read_csv(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    key: str | None = None,
    dtypes: Mapping[str, Any] | None = None,
) -> Table:
    """The table in a CSV file (UTF-8, comma, a header line of names).

    `columns` are those to keep, in that order (all otherwise). `key` names the column of identifiers, which is kept as
    text, with its leading zeros, and must be complete and without repetition. `dtypes` gives the type of a column:
    float, int, bool or str (or numpy's names); the others are inferred: whole numbers, else floats, else booleans
    (true/false, yes/no), else text.

    Missing values (nothing, NA, NaN, null, none) are NaN in columns of numbers, so whole numbers with gaps become
    floats; they are "" in text.

    Security: runs where the file is. No error contains the content of a cell.
    Raises: FileMissing, FileEmpty, EncodingWrong, ColumnMissing, CellTypeWrong, RowRagged, KeyInvalid, TableInvalid.
    """
    wanted = {name: _dtype_name(dtype) for name, dtype in (dtypes or {}).items()}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123 - also takes what has __fspath__
            reader = csv.reader(file, strict=True)
            names = _header(reader, path)
            _require(names, [*(columns or ()), *wanted, *([key] if key else [])], path)
            chosen = list(columns) if columns is not None else names
            kept = [*chosen, key] if key and key not in chosen else chosen
            texts, lines = _cells(reader, names, kept, path)
    except OSError as error:
        raise FileMissing(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise EncodingWrong(f"expected UTF-8 in {str(path)!r}, found other bytes: save the file as UTF-8") from None
    except csv.Error as error:
        raise RowRagged(f"{str(path)!r}, line {reader.line_num}: not valid CSV ({error})") from None
    if key:
        wanted[key] = "str"
        _require_key(texts[key], lines, key, path)
    return Table(
        {name: _typed(texts[name], wanted.get(name), lines, f"{str(path)!r}, column {name!r}") for name in kept}
    )


def write_csv(table: Table, path: str | os.PathLike[str]) -> Path:
    """Write a table as CSV that `read_csv` reads back; give the path. NaN becomes an empty cell.

    Raises: WriteFailed; what was at the path before is untouched.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; also makes it quote both characters
    writer.writerow(table.columns)
    for start in range(0, len(table), CHUNK_ROWS):
        part = [_written(table[name][start : start + CHUNK_ROWS]) for name in table]
        writer.writerows(zip(*part, strict=True))
    return write_atomically(path, text.getvalue())


def _header(reader: Iterator[list[str]], path: object) -> list[str]:
    names = [name.strip() for name in next(reader, [])]
    if not any(names):
        raise FileEmpty(f"{str(path)!r} is empty: expected a first line with the names of the columns")
    if "" in names or len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1 and name})
        found = f"{repeated[0]!r} twice" if repeated else f"none for column {names.index('') + 1}"
        raise TableInvalid(f"{str(path)!r}, line 1: expected a different name for each column, found {found}")
    return names


def _require(names: list[str], asked: list[str], path: object) -> None:
    for name in asked:
        if name not in names:
            raise ColumnMissing(f"{str(path)!r} has no column {name!r}{suggest(name, names)}")


def _cells(
    reader: Any, names: list[str], kept: list[str], path: object
) -> tuple[dict[str, Pieces], Callable[[int], int]]:
    """The text of each kept column, and the line of a row.

    Cost: the pieces are short so that their strings die in the cache, before the garbage collector visits them; with
    one list of all strings a million rows take three times as long.
    """
    texts: dict[str, Pieces] = {name: [] for name in kept}
    places = [(texts[name], names.index(name)) for name in texts]
    count, rows, found = len(names), filter(None, reader), 0  # a blank line is no row
    while chunk := list(islice(rows, CHUNK_ROWS)):
        if any(len(row) != count for row in chunk):
            _report_ragged(path, count)
        for pieces, place in places:
            pieces.append(np.array([row[place] for row in chunk], np.str_))
        found += len(chunk)
    if not found:
        raise FileEmpty(f"{str(path)!r} has a header and no row")
    return texts, lambda row: _line_of(path, row)


def _lines(path: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header with the line on which each begins; only read again for an error message."""
    with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
        reader = csv.reader(file, strict=True)
        next(reader)
        begin = reader.line_num + 1
        for row in reader:
            if row:
                yield begin, row
            begin = reader.line_num + 1


def _line_of(path: object, row: int) -> int:
    return next((line for line, _ in islice(_lines(path), row, None)), 0)


def _report_ragged(path: object, count: int) -> None:
    for line, row in _lines(path):
        if len(row) != count:
            raise RowRagged(f"{str(path)!r}, line {line}: expected {count} cells as in the header, found {len(row)}")


def _require_key(pieces: Pieces, line_of: Callable[[int], int], key: str, path: object) -> None:
    pieces[:] = [np.strings.strip(piece) for piece in pieces]
    empty = np.flatnonzero(np.concatenate([piece == "" for piece in pieces]))
    if empty.size:
        first_line = line_of(int(empty[0]))
        raise KeyInvalid(
            f"{str(path)!r}, column {key!r}: empty identifiers: {empty.size}, the first on line {first_line}"
        )
    seen: set[str] = set()
    for piece in pieces:
        seen.update(piece.tolist())
    if len(seen) == sum(map(len, pieces)):
        return
    cells = [cell for piece in pieces for cell in piece.tolist()]
    first: dict[str, int] = {}
    repeated = [(first[cell], row) for row, cell in enumerate(cells) if first.setdefault(cell, row) != row]
    earlier, later = repeated[0]
    raise KeyInvalid(
        f"{str(path)!r}, column {key!r}: repeated identifiers: {len(repeated)}; "
        f"line {line_of(later)} has that of line {line_of(earlier)}"
    )


def _dtype_name(dtype: Any) -> str:
    """One of "float", "int", "bool" and "str"."""
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        kind = ""
    names = {"f": "float", "i": "int", "u": "int", "b": "bool", "U": "str"}
    if kind not in names:
        raise UnknownName(f"there is no column type {dtype!r}{suggest(str(dtype), names.values())}")
    return names[kind]


def _typed(pieces: Pieces, dtype: str | None, line_of: Callable[[int], int], where: str) -> NDArray[Any]:
    """The cells of a column as the type that was asked for, or the first that fits."""
    for name in (dtype,) if dtype else ("int", "float", "bool", "str"):
        array = _converted(pieces, CONVERTERS[name])
        if array is not None:
            return array
    kind = {"int": "a whole number", "float": "a number", "bool": "true or false"}[str(dtype)]
    converter = CONVERTERS[str(dtype)]
    cells = (cell for piece in pieces for cell in piece.tolist())
    wrong = [row for row, cell in enumerate(cells) if converter(np.array([cell])) is None]
    raise CellTypeWrong(
        f"{where}, line {line_of(wrong[0])}: expected {kind}, found something else ({len(wrong)} cells)"
    )


def _converted(pieces: Pieces, converter: Converter) -> NDArray[Any] | None:
    converted = []
    for piece in pieces:
        array = converter(piece)
        if array is None:
            return None
        converted.append(array)
    return np.concatenate(converted)


def _as_int(piece: NDArray[np.str_]) -> NDArray[np.int64] | None:
    cells = piece.tolist()
    if any("_" in cell for cell in cells):
        return None
    try:
        return np.fromiter(map(int, cells), np.int64, len(cells))
    except (ValueError, OverflowError):
        return None


def _as_float(piece: NDArray[np.str_]) -> NDArray[np.float64] | None:
    cells = piece.tolist()
    if any("_" in cell for cell in cells):
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        pass
    filled = ["nan" if cell.strip().lower() in MISSING else cell for cell in cells]
    try:
        return np.fromiter(map(float, filled), np.float64, len(filled))
    except ValueError:
        return None


def _as_bool(piece: NDArray[np.str_]) -> NDArray[np.bool_] | None:
    words = [cell.strip().lower() for cell in piece.tolist()]
    if not all(word in TRUE or word in FALSE for word in words):
        return None
    return np.array([word in TRUE for word in words], np.bool_)


CONVERTERS: dict[str, Converter] = {"int": _as_int, "float": _as_float, "bool": _as_bool, "str": lambda piece: piece}


def _written(column: NDArray[Any]) -> list[Any]:
    cells: list[Any] = column.tolist()
    if column.dtype.kind == "f":
        return ["" if cell != cell else repr(cell) for cell in cells]  # noqa: PLR0124 - NaN differs from itself
    if column.dtype.kind == "b":
        return ["true" if cell else "false" for cell in cells]
    return cells
