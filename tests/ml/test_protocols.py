# SPDX-License-Identifier: Apache-2.0
"""The learner and the metrics on real shares, under every protocol: the same result, and nothing else revealed."""

from __future__ import annotations

import numpy as np
import pytest

import jali
from jali.core.errors import ModelParameterError
from jali.ml import LogisticRegression, RocCounts, curve, in_float64, roc_counts, threshold_grid

MODEL = LogisticRegression(epochs=2, batch_size=32, learning_rate=0.2)
THRESHOLDS = threshold_grid(19)
PARTIES = {"m2k": ("a", "b"), "m3k": ("a", "b", "c"), "rep3": ("a", "b", "c")}


def left(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 3))


def right(count: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(count, 2))


def labels(count: int) -> np.ndarray:
    return np.asarray(left(count)[:, 0] + right(count)[:, 1] > 0.2, np.int64)


@pytest.mark.parametrize("protocol", PARTIES)
def test_joint_training_and_evaluation(protocol: str) -> None:
    with jali.simulate(*PARTIES[protocol]) as fed:
        a, b, mpc = fed.plain("a"), fed.plain("b"), fed.mpc(*PARTIES[protocol], protocol=protocol)
        x = (a(left)(100), b(right)(100))
        y = a(labels)(100)
        weights = mpc(MODEL.fit)(x, y)
        scores = mpc(MODEL.predict)(weights, x)
        counts = RocCounts(*jali.reveal(mpc(roc_counts)(scores, y, THRESHOLDS), to=a))
        opened = jali.reveal(weights, to=a)
        report = fed.report()
    x_clear, y_clear = (left(100), right(100)), labels(100)
    expected = in_float64(MODEL.fit)(x_clear, y_clear)
    assert opened[0] == pytest.approx(expected.coefficients, abs=0.003)
    assert opened[1] == pytest.approx(expected.intercept, abs=0.003)
    clear = in_float64(roc_counts)(in_float64(MODEL.predict)(expected, x_clear), y_clear, THRESHOLDS)
    found, pooled = (curve(c, THRESHOLDS, rows=100) for c in (counts, clear))
    assert found.positives == y_clear.sum()
    assert found.auc == pytest.approx(pooled.auc, abs=0.003)
    learned = {leak.what for leak in report.disclosures if leak.why != "announced by the owner"}
    assert learned == {"the value of roc_counts", "the value of fit"}


def test_rounds_of_a_step_do_not_depend_on_the_data() -> None:
    with jali.simulate("a", "b") as fed:
        a, mpc = fed.plain("a"), fed.mpc("a", "b")
        for count in (64, 128):
            mpc(MODEL.fit)((a(left)(count),), a(labels)(count))
        rows = [row for row in fed.report().rows if row.text == "fit"]
    steps = [2 * 2, 2 * 4]
    first, second = (row.rounds for row in rows)
    assert first is not None
    assert second is not None
    assert (second - first) % (steps[1] - steps[0]) == 0
    assert (second - first) // (steps[1] - steps[0]) <= 12
    assert [row.predicted.rounds for row in rows if row.predicted] == [first, second]


def test_wrong_shapes_are_named_at_every_party() -> None:
    fed = jali.simulate("a", "b")
    a, b, mpc = fed.plain("a"), fed.plain("b"), fed.mpc("a", "b")
    with pytest.raises(ModelParameterError, match=r"J1505 features should be .*found shapes \(64, 3\), \(32, 2\)"):
        jali.reveal(mpc(MODEL.fit)((a(left)(64), b(right)(32)), a(labels)(64)), to=a)
    fed.abandon(ModelParameterError("the test has ended"))
