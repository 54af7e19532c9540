# SPDX-License-Identifier: Apache-2.0
"""Metrics against brute force over all pairs and all rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import LabelError, ModelParameterError
from jali.ml import Curve, curve, exact_auc, in_float64, roc_counts, threshold_grid
from jali.ml.metrics import RocCounts


def brute_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
    return float(wins.mean())


def measured(scores: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> Curve:
    return curve(in_float64(roc_counts)(scores, labels, thresholds), thresholds, rows=len(labels))


scored = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(label for _, label in rows) < len(rows)
)


@settings(max_examples=25, deadline=None)
@given(scored, st.integers(1, 40))
def test_curve_equals_brute_force(rows: list[tuple[float, bool]], count: int) -> None:
    scores, labels = np.array([score for score, _ in rows]), np.array([label for _, label in rows], np.int64)
    thresholds = threshold_grid(count)
    found = measured(scores, labels, thresholds)
    assert (found.positives, found.negatives) == (labels.sum(), len(labels) - labels.sum())
    for threshold in thresholds:
        above = scores >= threshold
        confusion = found.confusion(threshold)
        assert confusion.true_positives == (above & (labels == 1)).sum()
        assert confusion.false_positives == (above & (labels == 0)).sum()
        assert confusion.false_negatives == (~above & (labels == 1)).sum()
        assert confusion.true_negatives == (~above & (labels == 0)).sum()
    binned = np.searchsorted(thresholds, scores, side="right")
    assert found.auc == pytest.approx(brute_auc(binned, labels))
    assert exact_auc(scores, labels) == pytest.approx(brute_auc(scores, labels))
    assert abs(found.auc - brute_auc(scores, labels)) <= found.auc_error_bound + 1e-12
    gaps = [abs((scores[labels == 1] >= t).mean() - (scores[labels == 0] >= t).mean()) for t in thresholds]
    assert found.ks[0] == pytest.approx(max(gaps))
    assert gaps[thresholds.tolist().index(found.ks[1])] == pytest.approx(max(gaps))


def test_perfect_and_reversed_scores() -> None:
    labels = np.array([0, 0, 1, 1])
    good = measured(np.array([0.1, 0.2, 0.8, 0.9]), labels, threshold_grid(9))
    assert (good.auc, good.ks[0], good.auc_error_bound) == (1, 1, 0)
    assert measured(np.array([0.9, 0.8, 0.2, 0.1]), labels, threshold_grid(9)).auc == 0
    assert measured(np.full(4, 0.55), labels, threshold_grid(9)).auc == 0.5


def test_one_kind_of_labels_is_an_error() -> None:
    for labels in (np.zeros(3), np.ones(3)):
        with pytest.raises(LabelError, match="J1503 a ROC curve needs rows of both kinds"):
            measured(np.array([0.1, 0.5, 0.9]), labels, threshold_grid(3))
        with pytest.raises(LabelError, match="J1503 an AUC needs rows of both kinds"):
            exact_auc(np.array([0.1, 0.5, 0.9]), labels.astype(np.int64))


def test_counts_that_no_rows_can_give_are_an_error() -> None:
    with pytest.raises(LabelError, match="should fall"):
        curve(RocCounts(np.array([1, 2]), np.array([2, 3]), 2), threshold_grid(2), rows=4)


def test_a_curve_needs_a_threshold() -> None:
    with pytest.raises(ModelParameterError, match="at least 1"):
        threshold_grid(0)
