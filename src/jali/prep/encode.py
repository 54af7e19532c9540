# SPDX-License-Identifier: Apache-2.0
"""One-hot encoding: one 0/1 column for each category seen in the training rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jali.core.errors import ColumnTypeError, UnseenCategoryError
from jali.prep.columns import require_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table

__all__ = ["FittedOneHot", "OneHot"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneHot:
    """Replace each column by columns `name=category` of 0.0 and 1.0, categories in sorted order.

    `drop_first` leaves the first category out (its rows are all zero). A category that the training rows did not show
    becomes all zeros, or an error with `unseen="error"`.

    Security: local to the table's owner. The *number* of columns becomes public once they move to a joint device.
    Raises: ColumnTypeError for fractional numbers; UnseenCategoryError (transform).

    Example:
    >>> from jali.core.table import Table
    >>> encoded, fitted = OneHot().fit_transform(Table({"job": ["smith", "cook", "smith"]}), ["job"])
    >>> {name: encoded[name].tolist() for name in encoded}
    {'job=cook': [0.0, 1.0, 0.0], 'job=smith': [1.0, 0.0, 1.0]}
    """

    drop_first: bool = False
    unseen: Literal["zeros", "error"] = "zeros"

    def fit(self, table: Table, columns: Sequence[str]) -> FittedOneHot:
        """Learn the categories of each column."""
        require_rows(table, columns)
        return FittedOneHot({name: _categories(name, table[name]) for name in columns}, self)

    def fit_transform(self, table: Table, columns: Sequence[str]) -> tuple[Table, FittedOneHot]:
        """The encoded table, and the state that encodes other rows in the same way."""
        fitted = self.fit(table, columns)
        return fitted.transform(table), fitted


@dataclasses.dataclass(frozen=True, repr=False)
class FittedOneHot:
    """The categories of each column, as text."""

    categories: Mapping[str, tuple[str, ...]]
    options: OneHot

    def __repr__(self) -> str:
        """Names of the columns and how many categories each has; not which."""
        return f"FittedOneHot({', '.join(f'{name}: {len(seen)}' for name, seen in self.categories.items())})"

    def transform(self, table: Table) -> Table:
        """The table with each fitted column replaced by its indicator columns (float64), at the end."""
        encoded: dict[str, NDArray[np.float64]] = {}
        for name, seen in self.categories.items():
            cells = table[name].astype(np.str_)
            if self.options.unseen == "error":
                _refuse_unseen(name, cells, seen)
            for category in seen[1:] if self.options.drop_first else seen:
                encoded[f"{name}={category}"] = (cells == category).astype(np.float64)
        return table.drop(*self.categories).with_columns(encoded)


def _categories(name: str, column: NDArray[Any]) -> tuple[str, ...]:
    if column.dtype.kind == "f":
        raise ColumnTypeError(
            f"column {name!r} holds fractional numbers ({column.dtype}), not categories. "
            "Scale it with Standardise or bin it with WeightOfEvidence"
        )
    return tuple(str(category) for category in np.unique(column))


def _refuse_unseen(name: str, cells: NDArray[np.str_], seen: tuple[str, ...]) -> None:
    rows = np.flatnonzero(~np.isin(cells, seen))
    if len(rows):
        raise UnseenCategoryError(
            f"column {name!r} has {len(rows)} rows with categories that the training rows did not show, "
            f'the first at row {rows[0]}. Fit on more rows, or encode them as zeros with unseen="zeros"'
        )
