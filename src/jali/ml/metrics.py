# SPDX-License-Identifier: Apache-2.0
"""ROC curve, AUC, KS and confusion of a binary classifier whose scores and labels stay secret.

`roc_counts` runs on the joint device and gives, at public thresholds, two counts each. Revealing these counts is all
that the metrics need; everything else here is arithmetic on them, at the party that was let see them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali.core.errors import LabelError, ModelParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Confusion", "Curve", "RocCounts", "curve", "exact_auc", "roc_counts", "threshold_grid"]


class RocCounts(NamedTuple):
    """What is revealed: at each threshold, how many rows score at least as high, and how many of these are positive."""

    true_positives: Any
    predicted_positives: Any
    positives: Any


class Confusion(NamedTuple):
    """Counts at one threshold: predicted positive means score >= threshold."""

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def threshold_grid(count: int = 99) -> NDArray[np.float64]:
    """Evenly spaced thresholds inside (0, 1), ascending. Shapes: (count,).

    Example:
    >>> threshold_grid(3)
    array([0.25, 0.5 , 0.75])
    """
    if count < 1:
        raise ModelParameterError(f"a curve needs at least 1 threshold, found {count}")
    return np.arange(1, count + 1) / (count + 1)


def roc_counts(scores: Any, labels: Any, thresholds: NDArray[np.float64]) -> RocCounts:
    """Count at public thresholds, in jax.numpy: give it to a joint device, then reveal the result.

    Shapes: scores (n,) and labels (n,) of 0 and 1; thresholds (m,); the counts (m,), (m,) and ().
    Security: that of the device. Whoever the counts are revealed to learns the points of the ROC curve at the
    thresholds and how many labels are 1, which bounds, but does not give, the score and label of a row.
    Cost: one batch of n · m comparisons and one product (m, n) @ (n,).
    """
    import jax.numpy as jnp

    above = (scores[None, :] >= thresholds[:, None]).astype(jnp.int32)
    positive = labels.astype(jnp.int32)
    return RocCounts(above @ positive, above.sum(axis=1), positive.sum())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """The points of a ROC curve from (1, 1), all rows predicted positive, to (0, 0), none: thresholds ascend.

    Shapes: thresholds (m,); true_positives and false_positives (m + 2,), with both end points.
    """

    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]

    @property
    def positives(self) -> int:
        """How many rows have label 1."""
        return int(self.true_positives[0])

    @property
    def negatives(self) -> int:
        """How many rows have label 0."""
        return int(self.false_positives[0])

    @property
    def true_positive_rate(self) -> NDArray[np.float64]:
        """Share of the positives that score at least each threshold, (m + 2,)."""
        return self.true_positives / self.positives

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """Share of the negatives that score at least each threshold, (m + 2,)."""
        return self.false_positives / self.negatives

    @property
    def auc(self) -> float:
        """Area under the curve by the trapezoid rule; rows between the same two thresholds count as ties (one half)."""
        return float(-np.trapezoid(self.true_positive_rate, self.false_positive_rate))

    @property
    def auc_error_bound(self) -> float:
        """How far `auc` can be from that of the exact scores: half the share of pairs that fall into one bin.

        The trapezoid counts one half for each pair of a positive and a negative between the same two thresholds; the
        exact value of these pairs is between none and all.
        """
        positives, negatives = -np.diff(self.true_positives), -np.diff(self.false_positives)
        return float((positives * negatives).sum() / (2 * self.positives * self.negatives))

    @property
    def ks(self) -> tuple[float, float]:
        """Kolmogorov-Smirnov distance between the scores of positives and negatives, and the threshold where it is.

        The largest gap at the thresholds: that of the exact scores is never smaller.
        """
        gaps = np.abs(self.true_positive_rate - self.false_positive_rate)[1:-1]
        best = int(np.argmax(gaps))
        return float(gaps[best]), float(self.thresholds[best])

    def confusion(self, threshold: float) -> Confusion:
        """The counts at the threshold nearest to the one asked for."""
        nearest = int(np.argmin(np.abs(self.thresholds - threshold)))
        hits, alarms = int(self.true_positives[nearest + 1]), int(self.false_positives[nearest + 1])
        return Confusion(float(self.thresholds[nearest]), hits, alarms, self.positives - hits, self.negatives - alarms)


def curve(counts: RocCounts, thresholds: NDArray[np.float64], *, rows: int) -> Curve:
    """The curve that revealed counts describe; `rows` is the public number of rows that were counted.

    Example:
    >>> from jali.ml import in_float64
    >>> scores, labels, thresholds = np.array([0.1, 0.6, 0.4, 0.9]), np.array([0, 0, 1, 1]), threshold_grid(9)
    >>> counts = in_float64(roc_counts)(scores, labels, thresholds)
    >>> curve(counts, thresholds, rows=4).auc
    0.75

    Raises: LabelError if the rows are all of one kind, or the counts cannot be of `rows` rows with labels 0 and 1.
    """
    positives = int(counts.positives)
    if not 0 < positives < rows:
        raise LabelError(f"a ROC curve needs rows of both kinds, found {positives} positives among {rows} rows")
    hits = np.concatenate(([positives], np.asarray(counts.true_positives, np.int64), [0]))
    alarms = np.concatenate(([rows], np.asarray(counts.predicted_positives, np.int64), [0])) - hits
    if (np.diff(hits) > 0).any() or (np.diff(alarms) > 0).any():
        raise LabelError("counts should fall as the threshold rises; were all labels 0 or 1 and thresholds ascending?")
    return Curve(thresholds=np.asarray(thresholds), true_positives=hits, false_positives=alarms)


def exact_auc(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Area under the ROC curve of scores in clear: the share of pairs in the right order, ties one half.

    Shapes: (n,) and (n,) of 0 and 1.
    References: Mann and Whitney, On a test of whether one of two random variables is stochastically larger, 1947.
    """
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise LabelError(f"an AUC needs rows of both kinds, found {positives} positives among {len(labels)} rows")
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
