# SPDX-License-Identifier: Apache-2.0
"""Training, prediction and counting in fixed point (the `plain` protocol) against double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jali.ml import LogisticRegression, curve, exact_auc, in_float64, roc_counts, threshold_grid
from jali.mpc.engine import compile_function, execute, reveal_outputs, share_inputs, type_of
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive
from jali.mpc.trial import dry_run

SEED = 11
MODEL = LogisticRegression(epochs=6, batch_size=32)
THRESHOLDS = threshold_grid(49)


def rows(count: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(SEED)
    left, right = generator.normal(size=(count, 6)), generator.integers(0, 2, size=(count, 5)).astype(np.float64)
    chance = 1 / (1 + np.exp(-(left[:, 0] * 1.5 - left[:, 1] + right[:, 0] * 1.2 - 0.5)))
    return left, right, (generator.random(count) < chance).astype(np.int64)


def fixed_point(function: Any, *arguments: Any) -> list[np.ndarray]:
    protocol = PROTOCOLS.get("plain")(0, prgs={}, streams={})
    flat = [np.asarray(a) for argument in arguments for a in (argument if isinstance(argument, tuple) else (argument,))]
    types = [type_of(array) for array in flat]
    nested = [tuple(map(type_of, a)) if isinstance(a, tuple) else type_of(a) for a in arguments]
    shares = drive(share_inputs(protocol, flat, owner=0, types=types), {})
    results = execute(compile_function(function, nested), protocol, shares, streams={})
    return [np.asarray(value) for value in drive(reveal_outputs(protocol, results, to=[0]), {})]


def test_weights_are_those_of_double_precision() -> None:
    left, right, y = rows()
    for deviation in dry_run(MODEL.fit, (left, right), y):
        assert deviation.absolute < 0.005


def test_weights_with_large_batches_and_small_rates() -> None:
    left, right, y = rows(1500)
    model = LogisticRegression(epochs=4, batch_size=1024, learning_rate=0.01, l2=0.001)
    for deviation in dry_run(model.fit, (left, right), y):
        assert deviation.absolute < 0.002


def test_counts_are_exact() -> None:
    scores = np.random.default_rng(SEED).integers(0, 2**18, 300) / 2**18  # numbers that fixed point holds exactly
    scores[:49] = np.round(THRESHOLDS * 2**18) / 2**18
    labels = np.arange(300) % 3 == 0
    for deviation in dry_run(
        lambda s, y: roc_counts(s, y, np.round(THRESHOLDS * 2**18) / 2**18), scores, labels.astype(int)
    ):
        assert deviation.absolute == 0


def test_auc_is_that_of_double_precision() -> None:
    left, right, y = rows()
    weights = in_float64(MODEL.fit)((left, right), y)
    exact = in_float64(MODEL.predict)(weights, (left, right))
    coefficients, intercept = fixed_point(MODEL.fit, (left, right), y)

    def evaluate(w: Any, b: Any, features: Any, labels: Any) -> Any:
        return roc_counts(MODEL.predict(type(weights)(w, b), features), labels, THRESHOLDS)

    counts = fixed_point(evaluate, coefficients, intercept, (left, right), y)
    found = curve(type(in_float64(roc_counts)(exact, y, THRESHOLDS))(*counts), THRESHOLDS, rows=len(y))
    pooled = curve(in_float64(roc_counts)(exact, y, THRESHOLDS), THRESHOLDS, rows=len(y))
    assert found.auc == pytest.approx(pooled.auc, abs=0.002)
    assert abs(found.auc - exact_auc(exact, y)) <= found.auc_error_bound + 0.002
