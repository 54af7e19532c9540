# SPDX-License-Identifier: Apache-2.0
"""Fill missing cells with a value learned from the training rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jali.core.errors import TrainingRowsError
from jali.prep.columns import is_number, missing, require_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table

__all__ = ["FittedImpute", "Impute"]

MISSING_CATEGORY = "(missing)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Impute:
    """Fill missing numbers with their mean or median, missing strings with the most frequent or a category.

    Security: local to the table's owner; nothing is sent.
    Raises: TrainingRowsError (fit) when a column has no value at all to learn from.

    Example:
    >>> from jali.core.table import Table
    >>> filled, fitted = Impute().fit_transform(Table({"age": [20.0, float("nan"), 40.0]}), ["age"])
    >>> filled["age"].tolist()
    [20.0, 30.0, 40.0]
    """

    numbers: Literal["mean", "median"] = "median"
    strings: Literal["most_frequent", "category"] = "most_frequent"

    def fit(self, table: Table, columns: Sequence[str]) -> FittedImpute:
        """Learn one fill value a column."""
        require_rows(table, columns)
        return FittedImpute({name: self._fill(name, table[name]) for name in columns})

    def fit_transform(self, table: Table, columns: Sequence[str]) -> tuple[Table, FittedImpute]:
        """The filled table, and the state that fills other rows in the same way."""
        fitted = self.fit(table, columns)
        return fitted.transform(table), fitted

    def _fill(self, name: str, column: NDArray[Any]) -> float | str | None:
        if column.dtype.kind == "b":
            return None
        if column.dtype.kind == "U" and self.strings == "category":
            return MISSING_CATEGORY
        present = column[~missing(column)]
        if len(present) == 0:
            raise TrainingRowsError(f"column {name!r} is missing in all {len(column)} training rows: leave it out")
        if is_number(column):
            return float(np.mean(present) if self.numbers == "mean" else np.median(present))
        values, counts = np.unique(present, return_counts=True)
        return str(values[np.argmax(counts)])


@dataclasses.dataclass(frozen=True, repr=False)
class FittedImpute:
    """The fill value of each column; None for a column that cannot miss (booleans)."""

    fills: Mapping[str, float | str | None]

    def __repr__(self) -> str:
        """Names of the columns only: fill values are the owner's."""
        return f"FittedImpute({', '.join(self.fills)})"

    def transform(self, table: Table) -> Table:
        """The table with the missing cells of the fitted columns filled."""
        return table.with_columns({name: _filled(table[name], fill) for name, fill in self.fills.items()})


def _filled(column: NDArray[Any], fill: float | str | None) -> NDArray[Any]:
    gaps = missing(column)
    if fill is None or not gaps.any():
        return column
    return np.where(gaps, np.asarray(fill), column)
