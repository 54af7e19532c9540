# SPDX-License-Identifier: Apache-2.0
"""Logistic regression in double precision: against scipy's optimum, in any batch size, and its checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from jali.core.errors import ModelParameterError
from jali.ml import LogisticRegression, Weights, in_float64

SEED = 20261121


def rows(count: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(SEED)
    left, right = generator.normal(size=(count, 3)), generator.normal(size=(count, 2))
    chance = 1 / (1 + np.exp(-(left @ [1.0, -2.0, 0.5] + right @ [0.3, 0.0] - 0.4)))
    return left, right, (generator.random(count) < chance).astype(np.int64)


def optimum(x: np.ndarray, y: np.ndarray, l2: float) -> np.ndarray:
    def loss(theta: np.ndarray) -> float:
        z = x @ theta[:-1] + theta[-1]
        return float(np.mean(np.logaddexp(0, z) - y * z) + l2 / 2 * (theta[:-1] ** 2).sum())

    result: np.ndarray = minimize(loss, np.zeros(x.shape[1] + 1), tol=1e-10).x
    return result


def test_full_batches_reach_the_optimum() -> None:
    left, right, y = rows()
    model = LogisticRegression(epochs=400, batch_size=300, learning_rate=0.5, l2=0.05)
    weights = in_float64(model.fit)((left, right), y)
    best = optimum(np.hstack([left, right]), y, 0.05)
    assert weights.coefficients == pytest.approx(best[:-1], abs=1e-5)
    assert weights.intercept == pytest.approx(best[-1], abs=1e-5)


def test_mini_batches_come_close_to_the_optimum() -> None:
    left, right, y = rows()
    weights = in_float64(LogisticRegression(epochs=30, batch_size=64).fit)((left, right), y)
    best = optimum(np.hstack([left, right]), y, 0.01)
    assert np.abs(np.append(weights.coefficients, weights.intercept) - best).max() < 0.15


def test_it_is_plain_descent_with_momentum() -> None:
    left, right, y = rows(10)
    model = LogisticRegression(epochs=2, batch_size=4, learning_rate=0.3, l2=0.2, momentum=0.5, seed=3)
    x = np.hstack([left, right])
    w, b, dw, db = np.zeros(5), 0.0, np.zeros(5), 0.0
    for _ in range(2):
        for batch in model.batches(10):
            error = 1 / (1 + np.exp(-(x[batch] @ w + b))) - y[batch]
            dw = 0.5 * dw - 0.3 * (x[batch].T @ error / 4 + 0.2 * w)
            db = 0.5 * db - 0.3 * error.mean()
            w, b = w + dw, b + db
    fitted = in_float64(model.fit)((left, right), y)
    assert fitted.coefficients == pytest.approx(w, rel=1e-12)
    assert fitted.intercept == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize(
    ("count", "size", "shape"), [(10, 4, (3, 4)), (10, 64, (1, 10)), (8, 4, (2, 4)), (1, 1, (1, 1))]
)
def test_batches_cover_every_row(count: int, size: int, shape: tuple[int, int]) -> None:
    order = LogisticRegression(batch_size=size, seed=1).batches(count)
    assert order.shape == shape
    assert set(order.ravel().tolist()) == set(range(count))


def test_predict_is_the_sigmoid() -> None:
    weights = Weights(np.array([1.0, -1.0]), np.array(0.5))
    chance = in_float64(LogisticRegression().predict)(weights, (np.array([[1.0], [0.0]]), np.array([[2.0], [0.0]])))
    assert chance == pytest.approx([1 / (1 + np.exp(0.5)), 1 / (1 + np.exp(-0.5))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"l2": -1.0},
        {"momentum": 1.0},
        {"seed": -1},
    ],
)
def test_parameters_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelParameterError, match=f"J1505 {next(iter(wrong))} should be between"):
        LogisticRegression(**wrong)


def test_one_matrix_is_as_good_as_a_list() -> None:
    left, right, y = rows(20)
    whole = in_float64(LogisticRegression(epochs=1).fit)(np.hstack([left, right]), y)
    assert np.array_equal(
        whole.coefficients, in_float64(LogisticRegression(epochs=1).fit)([left, right], y).coefficients
    )


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        ((np.ones((3, 2)),), np.ones(4), r"labels should be \(3,\).*found \(4,\)"),
        ((np.ones((0, 2)),), np.ones(0), "at least 1 row"),
        ((np.ones((3, 2)), np.ones((4, 2))), np.ones(3), r"found shapes \(3, 2\), \(4, 2\)"),
        (np.ones(3), np.ones(3), r"found shapes \(3,\)"),
        ((), np.ones(3), "found shapes of nothing"),
    ],
)
def test_shapes_that_do_not_fit_are_named(features: Any, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ModelParameterError, match=f"J1505 .*{message}"):
        in_float64(LogisticRegression().fit)(features, labels)
