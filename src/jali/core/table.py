# SPDX-License-Identifier: Apache-2.0
"""Tables: columns of one length, at one party. Small, immutable and silent about their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import ColumnMissing, TableInvalid
from jali.core.nearmiss import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Table"]


class Table:
    """An ordered, immutable mapping from column names to one-dimensional arrays of one length.

    Columns are float64, int64, bool or text (numpy's 'U'); other widths are converted. The arrays are read-only views.
    `len(table)` is the number of rows; iterating gives column names.

    Security: `repr` shows names, types and the number of rows, never a value.
    Raises: TableInvalid if the columns do not fit together.

    Example:
    >>> table = Table({"id": ["a", "b"], "age": [31, 45]})
    >>> table
    Table(2 rows: id <U1, age int64)
    >>> table.take([1])["age"].tolist()
    [45]
    """

    __slots__ = ("_columns", "_rows")

    def __init__(self, columns: Mapping[str, ArrayLike]) -> None:
        """Keep read-only views of the columns, in the mapping's order."""
        arrays = {name: _column(name, value) for name, value in columns.items()}
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} has {length}" for name, length in list(lengths.items())[:8])
            raise TableInvalid(f"expected columns of one length, found {found}")
        self._columns = arrays
        self._rows = next(iter(lengths.values()), 0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._columns)

    @property
    def dtypes(self) -> dict[str, str]:
        """numpy's type name of each column."""
        return {name: str(array.dtype) for name, array in self._columns.items()}

    def __len__(self) -> int:
        """The number of rows."""
        return self._rows

    def __iter__(self) -> Iterator[str]:
        """The names, in order."""
        return iter(self._columns)

    def __contains__(self, name: object) -> bool:
        """Whether there is a column of that name."""
        return name in self._columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The column of that name, (rows,), read-only.

        Raises: ColumnMissing.
        """
        self._require([name])
        return self._columns[name]

    def select(self, *names: str) -> Table:
        """Only these columns, in this order. Raises: ColumnMissing."""
        self._require(names)
        return Table({name: self._columns[name] for name in names})

    def drop(self, *names: str) -> Table:
        """All columns but these. Raises: ColumnMissing."""
        self._require(names)
        return Table({name: array for name, array in self._columns.items() if name not in names})

    def rename(self, names: Mapping[str, str]) -> Table:
        """The same columns under new names (old name → new name). Raises: ColumnMissing, TableInvalid."""
        self._require(names)
        renamed = [names.get(name, name) for name in self._columns]
        if len(set(renamed)) < len(renamed):
            raise TableInvalid(f"expected different names after renaming, found {', '.join(renamed)}")
        return Table(dict(zip(renamed, self._columns.values(), strict=True)))

    def with_columns(self, columns: Mapping[str, ArrayLike]) -> Table:
        """These columns added, or put in the place of those with the same name. Raises: TableInvalid."""
        return Table({**self._columns, **columns})

    def take(self, index: ArrayLike) -> Table:
        """The rows at these positions, in this order; or, given booleans, the rows where they are true.

        Raises: TableInvalid if a position is outside the table.
        """
        rows = np.asarray(index)
        if rows.size == 0 and rows.dtype != np.bool_:
            rows = rows.astype(np.int64)
        whole = rows.ndim == 1 and (rows.dtype.kind in "iu" or (rows.dtype.kind == "b" and len(rows) == self._rows))
        if not whole:
            raise TableInvalid(
                f"expected whole numbers, or {self._rows} booleans; found {rows.dtype}{list(rows.shape)}"
            )
        try:
            return Table({name: array[rows] for name, array in self._columns.items()})
        except IndexError:
            raise TableInvalid(f"expected positions of a table with {self._rows} rows, found one outside") from None

    def numeric(self, names: Iterable[str] | None = None) -> NDArray[np.float64]:
        """The columns as one matrix (rows, len(names)) of float64, in C order; all columns when names is None.

        Raises: ColumnMissing; TableInvalid if a column is text.
        """
        chosen = tuple(self._columns if names is None else names)
        self._require(chosen)
        matrix = np.empty((self._rows, len(chosen)), np.float64)
        for position, name in enumerate(chosen):
            array = self._columns[name]
            if array.dtype.kind == "U":
                raise TableInvalid(f"expected numbers in column {name!r}, found text: encode it first")
            matrix[:, position] = array
        return matrix

    def equals(self, other: Table) -> bool:
        """Whether names, order, types and values are the same (NaN equals NaN)."""
        if self.columns != other.columns or len(self) != len(other):
            return False
        pairs = ((array, other[name]) for name, array in self._columns.items())
        return all(
            a.dtype.kind == b.dtype.kind and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs
        )

    def __repr__(self) -> str:
        """Names, types and the number of rows; no values."""
        names = ", ".join(f"{name} {dtype}" for name, dtype in self.dtypes.items())
        return f"Table({self._rows} rows: {names or 'no columns'})"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(dtype)}</td></tr>" for name, dtype in self.dtypes.items()
        )
        return f"<table><caption>{self._rows} rows</caption><tr><th>column</th><th>type</th></tr>{rows}</table>"

    def _require(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._columns:
                raise ColumnMissing(f"the table has no column {name!r}{suggest(str(name), self._columns)}")


def _column(name: object, value: ArrayLike) -> NDArray[Any]:
    if not isinstance(name, str):
        raise TableInvalid(f"expected texts as column names, found {type(name).__name__}")
    try:
        array = np.asarray(value)
    except ValueError:
        raise TableInvalid(
            f"expected a one-dimensional column {name!r}, found nested lists of different lengths"
        ) from None
    if array.ndim != 1:
        raise TableInvalid(f"expected a one-dimensional column {name!r}, found shape {list(array.shape)}")
    kind = array.dtype.kind
    if kind == "O" and all(isinstance(cell, str) for cell in array.tolist()):
        array = array.astype(np.str_)
    elif kind == "f":
        array = array.astype(np.float64, copy=False)
    elif kind in "iu":
        if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise TableInvalid(f"expected whole numbers below 2^63 in column {name!r}, found larger ones")
        array = array.astype(np.int64, copy=False)
    elif kind not in "bU":
        raise TableInvalid(f"expected floats, whole numbers, booleans or text in column {name!r}, found {array.dtype}")
    view = array.view()
    view.flags.writeable = False
    return view
