# SPDX-License-Identifier: Apache-2.0
"""Standardise numbers: zero mean and unit spread on the training rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from jali.core.errors import ModelParameterError, TrainingRowsError
from jali.prep.columns import numbers, require_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table

__all__ = ["FittedStandardise", "Standardise"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standardise:
    """(x - mean) / standard deviation, then cut to ±`clip`: models in fixed point want inputs of a known size.

    A column that is constant in the training rows becomes 0. The deviation is that of the population (divisor n).

    Security: local to the table's owner; nothing is sent.
    Raises: ColumnTypeError for a column of strings; TrainingRowsError (fit) for one with missing cells.

    Example:
    >>> from jali.core.table import Table
    >>> train, later = Table({"age": [20.0, 40.0]}), Table({"age": [50.0]})
    >>> Standardise().fit(train, ["age"]).transform(later)["age"].tolist()
    [2.0]
    """

    clip: float = 8.0

    def __post_init__(self) -> None:
        """Check the range."""
        if not self.clip > 0:
            raise ModelParameterError(f"clip should be positive, found {self.clip}")

    def fit(self, table: Table, columns: Sequence[str]) -> FittedStandardise:
        """Learn mean and standard deviation of each column."""
        require_rows(table, columns)
        moments = {name: _moments(name, numbers(table, name)) for name in columns}
        return FittedStandardise(moments, self.clip)

    def fit_transform(self, table: Table, columns: Sequence[str]) -> tuple[Table, FittedStandardise]:
        """The standardised table, and the state that scales other rows in the same way."""
        fitted = self.fit(table, columns)
        return fitted.transform(table), fitted


@dataclasses.dataclass(frozen=True, repr=False)
class FittedStandardise:
    """Mean and standard deviation of each column."""

    moments: Mapping[str, tuple[float, float]]
    clip: float

    def __repr__(self) -> str:
        """Names of the columns only: the moments are the owner's."""
        return f"FittedStandardise({', '.join(self.moments)})"

    def transform(self, table: Table) -> Table:
        """The table with the fitted columns scaled (float64); NaN stays NaN."""
        return table.with_columns(
            {
                name: np.clip((numbers(table, name) - mean) / spread, -self.clip, self.clip)
                for name, (mean, spread) in self.moments.items()
            }
        )


def _moments(name: str, column: NDArray[np.float64]) -> tuple[float, float]:
    mean, spread = float(column.mean()), float(column.std())
    if not np.isfinite(mean):
        raise TrainingRowsError(f"column {name!r} has missing or infinite cells: fill them first, with Impute")
    return mean, spread if spread > 0 else 1.0
