# SPDX-License-Identifier: Apache-2.0
"""Weight-of-evidence binning, by the label holder, of its own columns.

The weight of evidence of bin i is ln(share of all events that fall in i / share of all non-events that fall in i);
an *event* is label 1. A column's information value is the sum over its bins of (difference of the two shares) · weight.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import LabelError, ModelParameterError, TrainingRowsError
from jali.prep.columns import is_number, missing, require_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table

__all__ = ["Bins", "FittedWeightOfEvidence", "WeightOfEvidence"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightOfEvidence:
    """Replace each column by the weight of evidence of the bin that a cell falls in.

    Numbers go to at most `bins` quantile bins of the training rows (half-open, [edge, next edge)), all else to one bin
    a category; missing numbers have a bin of their own. `smoothing` is added to the events and to the non-events of
    every bin, so that a pure bin has a finite weight. A category that the training rows did not show has weight 0: no
    evidence.

    Security: local to the party that holds both the columns and the labels. Weights are functions of labels: never
    fit the columns of a party that must not learn them.
    Raises: LabelError (fit) if labels are not 0 and 1, or another number of them; TrainingRowsError if only one kind
    occurs.

    Example:
    >>> from jali.core.table import Table
    >>> table, defaults = Table({"job": ["cook", "cook", "smith", "smith"]}), np.array([1, 0, 0, 0])
    >>> fitted = WeightOfEvidence().fit(table, ["job"], labels=defaults)
    >>> [round(weight, 2) for weight in fitted.transform(table)["job"].tolist()]
    [0.69, 0.69, -0.92, -0.92]

    References: I. J. Good, Probability and the Weighing of Evidence, 1950, chapter 6; N. Siddiqi, Credit Risk
    Scorecards, 2006, chapter 6.
    """

    bins: int = 5
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.bins < 2 or not 0 < self.smoothing < np.inf:
            raise ModelParameterError(
                f"bins should be at least 2 and smoothing positive, found {self.bins} and {self.smoothing}"
            )

    def fit(self, table: Table, columns: Sequence[str], *, labels: NDArray[Any]) -> FittedWeightOfEvidence:
        """Learn bins and weights; `labels` is (n,) of 0 and 1, 1 being the event."""
        require_rows(table, columns)
        events = _events(labels, rows=len(table))
        return FittedWeightOfEvidence({name: self._bins(table[name], events) for name in columns})

    def fit_transform(
        self, table: Table, columns: Sequence[str], *, labels: NDArray[Any]
    ) -> tuple[Table, FittedWeightOfEvidence]:
        """The binned table, and the state that bins other rows in the same way."""
        fitted = self.fit(table, columns, labels=labels)
        return fitted.transform(table), fitted

    def _bins(self, column: NDArray[Any], events: NDArray[np.bool_]) -> Bins:
        if is_number(column):
            unweighted = Bins(_quantiles(column, self.bins), None, (), 0.0)
        else:
            unweighted = Bins(None, tuple(str(category) for category in np.unique(column)), (), 0.0)
        index, count = unweighted.index(column), unweighted.count
        event = np.bincount(index[events], minlength=count).astype(np.float64)
        other = np.bincount(index[~events], minlength=count).astype(np.float64)
        used = event + other > 0
        event_share, other_share = _shares(event, used, self.smoothing), _shares(other, used, self.smoothing)
        weights = np.zeros(count)
        weights[used] = np.log(event_share[used]) - np.log(other_share[used])
        value = float(((event_share - other_share) * weights).sum())
        return dataclasses.replace(unweighted, weights=tuple(weights.tolist()), information_value=value)


@dataclasses.dataclass(frozen=True, repr=False)
class Bins:
    """One column's bins: `edges` of numbers or `categories` of the rest, the weight of each, and the information value.

    Numbers below the first edge are bin 0, those from the last edge on are bin len(edges), missing ones come last.
    """

    edges: tuple[float, ...] | None
    categories: tuple[str, ...] | None
    weights: tuple[float, ...]
    information_value: float

    def __repr__(self) -> str:
        """How many bins; edges and weights are the owner's."""
        return f"Bins({self.count})"

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.categories or ()) if self.edges is None else len(self.edges) + 2

    def index(self, column: NDArray[Any]) -> NDArray[np.int64]:
        """The bin of each cell, (n,); an unseen category is -1."""
        if self.edges is not None:
            index = np.searchsorted(np.array(self.edges), column.astype(np.float64), side="right")
            return np.where(missing(column), len(self.edges) + 1, index)
        categories = np.array(self.categories, dtype=np.str_)
        cells = column.astype(np.str_)
        index = np.minimum(np.searchsorted(categories, cells), len(categories) - 1)
        return np.where(categories[index] == cells, index, -1)

    def weigh(self, column: NDArray[Any]) -> NDArray[np.float64]:
        """The weight of each cell's bin, (n,); 0 for an unseen category."""
        return np.append(np.array(self.weights), 0.0)[self.index(column)]


@dataclasses.dataclass(frozen=True, repr=False)
class FittedWeightOfEvidence:
    """The bins of each column."""

    columns: Mapping[str, Bins]

    def __repr__(self) -> str:
        """Names of the columns only."""
        return f"FittedWeightOfEvidence({', '.join(self.columns)})"

    @property
    def information_values(self) -> dict[str, float]:
        """How much each column says about the label, on the training rows; below 0.02 is little, above 0.3 is much."""
        return {name: bins.information_value for name, bins in self.columns.items()}

    def transform(self, table: Table) -> Table:
        """The table with the fitted columns replaced by weights (float64)."""
        return table.with_columns({name: bins.weigh(table[name]) for name, bins in self.columns.items()})


def _quantiles(column: NDArray[Any], bins: int) -> tuple[float, ...]:
    present = column[~missing(column)].astype(np.float64)
    if len(present) == 0:
        return ()
    return tuple(np.unique(np.quantile(present, np.arange(1, bins) / bins)).tolist())


def _shares(counts: NDArray[np.float64], used: NDArray[np.bool_], smoothing: float) -> NDArray[np.float64]:
    """Each bin's share of the total, with `smoothing` added to the bins in use. Shapes: (bins,)."""
    smooth = np.where(used, counts + smoothing, 0.0)
    return np.asarray(smooth / smooth.sum())


def _events(labels: NDArray[Any], *, rows: int) -> NDArray[np.bool_]:
    if labels.shape != (rows,):
        raise LabelError(f"expected one label for each of {rows} rows, found an array of shape {labels.shape}")
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        raise LabelError(f"labels should be 0 and 1 only, found other values in an array of {labels.dtype}")
    events = labels.astype(np.bool_)
    if events.all() or not events.any():
        raise TrainingRowsError(f"all {rows} labels are equal: weights of evidence need rows of both kinds")
    return events
