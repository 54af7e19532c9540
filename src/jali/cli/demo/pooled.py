# SPDX-License-Identifier: Apache-2.0
"""The model of both files in one place, in double precision: what the joint model is compared with.

Only a demonstration can compute it, since it reads both organisations' files. It uses the job's own functions for
preparation and training, on the same rows in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jali.cli.demo import job
from jali.ml import curve, exact_auc, in_float64, roc_counts
from jali.tables.csv import read_csv

if TYPE_CHECKING:
    from pathlib import Path

    from jali.ml import Curve

__all__ = ["Pooled", "pooled_model"]


class Pooled(NamedTuple):
    """The pooled model's curve at the job's thresholds, its exact AUC, and the sizes of what it was trained on."""

    curve: Curve
    exact_auc: float
    training_rows: int
    held_out_rows: int
    features: int


def pooled_model(directory: Path) -> Pooled:
    """Join ``bank.csv`` and ``bureau.csv`` in clear, train, and evaluate on the held-out customers."""
    bank, bureau = (
        read_csv(directory / name / f"{name}.csv", key=job.KEY, columns=(job.KEY, *types), dtypes=types)
        for name, types in (("bank", job.BANK), ("bureau", job.BUREAU))
    )
    _, at_bank, at_bureau = np.intersect1d(bank[job.KEY], bureau[job.KEY], return_indices=True)
    x_bank, x_bank_test, y, y_test = job.prepare_bank(bank.take(at_bank))
    x_bureau, x_bureau_test = job.prepare_bureau(bureau.take(at_bureau))
    weights = in_float64(job.MODEL.fit)((x_bank, x_bureau), y)
    scores = in_float64(job.MODEL.predict)(weights, (x_bank_test, x_bureau_test))
    counts = in_float64(roc_counts)(scores, y_test, job.THRESHOLDS)
    return Pooled(
        curve=curve(counts, job.THRESHOLDS, rows=len(y_test)),
        exact_auc=exact_auc(scores, y_test),
        training_rows=len(y),
        held_out_rows=len(y_test),
        features=x_bank.shape[1] + x_bureau.shape[1],
    )
