# SPDX-License-Identifier: Apache-2.0
"""Learners and metrics: ordinary `jax.numpy` functions that run on a joint device, and on plain arrays alike."""

from jali.ml.curves import ks_svg, roc_svg
from jali.ml.logistic import LogisticRegression, Weights, in_float64
from jali.ml.metrics import Confusion, Curve, RocCounts, curve, exact_auc, roc_counts, threshold_grid

__all__ = [
    "Confusion",
    "Curve",
    "LogisticRegression",
    "RocCounts",
    "Weights",
    "curve",
    "exact_auc",
    "in_float64",
    "ks_svg",
    "roc_counts",
    "roc_svg",
    "threshold_grid",
]
