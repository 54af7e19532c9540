# SPDX-License-Identifier: Apache-2.0
"""Corpus: models that are fitted, as scikit-learn would: closed forms, descent, clusters, components."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(41)
X = _random.normal(size=(40, 3))
WEIGHTS = np.array([1.0, -0.5, 0.25])
TARGET = X @ WEIGHTS + 0.1 * _random.normal(size=40)
LABELS = (X @ WEIGHTS + 0.3 * _random.normal(size=40) > 0).astype(float)
COUNTS = _random.poisson(np.exp(X @ WEIGHTS / 2)).astype(float)
AMOUNTS = np.exp(X @ WEIGHTS / 2) * (0.5 + _random.random(40))
CLASSES = _random.integers(0, 3, 40)
GROUPS = _random.integers(0, 4, 40)
CENTRES = X[:3].copy()
SEQUENCE = np.cumsum(_random.normal(size=20)) / 4


def with_constant(x: Any) -> Any:
    return jnp.concatenate([x, jnp.ones((x.shape[0], 1))], axis=1)


def linear_regression(x: Any, y: Any) -> Any:
    a = with_constant(x)
    return jnp.linalg.solve(a.T @ a / 40, a.T @ y / 40)


def ridge(x: Any, y: Any) -> Any:
    gram = x.T @ x / 40 + 0.1 * jnp.eye(3)
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(gram), x.T @ y / 40)


def through_qr(x: Any, y: Any) -> Any:
    q, r = jnp.linalg.qr(x)
    return jax.scipy.linalg.solve_triangular(r, q.T @ y, lower=False)


def lasso(x: Any, y: Any) -> Any:
    def step(w: Any, _: Any) -> Any:
        moved = w - 0.3 * x.T @ (x @ w - y) / 40
        return jnp.sign(moved) * jnp.maximum(jnp.abs(moved) - 0.02, 0.0), None

    return lax.scan(step, jnp.zeros(3), None, length=8)[0]


def coordinate_descent(x: Any, y: Any) -> Any:
    norms = jnp.sum(x * x, axis=0)
    w = jnp.zeros(3)
    for _ in range(2):
        for k in range(3):
            rest = y - x @ w + x[:, k] * w[k]
            w = w.at[k].set(x[:, k] @ rest / norms[k])
    return w


def logistic_newton(x: Any, y: Any) -> Any:
    def step(w: Any, _: Any) -> Any:
        p = jax.nn.sigmoid(x @ w)
        hessian = (x * (p * (1 - p))[:, None]).T @ x / 40 + 0.05 * jnp.eye(3)
        gradient = x.T @ (p - y) / 40 + 0.05 * w
        return w - jnp.linalg.solve(hessian, gradient), None

    return lax.scan(step, jnp.zeros(3), None, length=3)[0]


def descent(loss: Any, rate: float, steps: int) -> Any:
    def fit(x: Any, y: Any) -> Any:
        def step(w: Any, _: Any) -> Any:
            return w - rate * jax.grad(loss)(w, x, y), None

        return lax.scan(step, jnp.zeros(3), None, length=steps)[0]

    return fit


def log_loss(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return jnp.mean(jnp.logaddexp(0.0, z) - y * z)


def poisson_loss(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return jnp.mean(jnp.exp(z) - y * z)


def gamma_loss(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return jnp.mean(y * jnp.exp(-z) + z)


def huber_loss(w: Any, x: Any, y: Any) -> Any:
    gap = jnp.abs(x @ w - y)
    return jnp.mean(jnp.where(gap < 0.5, gap**2 / 2, 0.5 * gap - 0.125))


def hinge_loss(w: Any, x: Any, y: Any) -> Any:
    return jnp.mean(jnp.maximum(0.0, 1 - (2 * y - 1) * (x @ w))) + 0.01 * w @ w


def quantile_loss(w: Any, x: Any, y: Any) -> Any:
    gap = y - x @ w
    return jnp.mean(jnp.maximum(0.7 * gap, -0.3 * gap))


def multinomial(x: Any) -> Any:
    targets = jax.nn.one_hot(jnp.asarray(CLASSES), 3)

    def loss(w: Any) -> Any:
        return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(x @ w, axis=1), axis=1))

    w = jnp.zeros((3, 3))
    for _ in range(2):
        w = w - 0.5 * jax.grad(loss)(w)
    return w


def k_means(x: Any, centres: Any) -> Any:
    def step(c: Any, _: Any) -> Any:
        distance = jnp.sum(x * x, axis=1)[:, None] - 2 * x @ c.T + jnp.sum(c * c, axis=1)
        near = jnp.argmin(distance, axis=1)
        member = (near[:, None] == jnp.arange(3)).astype(float)
        return member.T @ x / jnp.maximum(member.sum(0), 1.0)[:, None], None

    return lax.scan(step, centres, None, length=2)[0]


def mixture(x: Any, centres: Any) -> Any:
    """Two steps of expectation and maximisation, with unit variances."""
    for _ in range(2):
        share = jax.nn.softmax(x @ centres.T - jnp.sum(centres**2, axis=1) / 2, axis=1)
        centres = share.T @ x / jnp.sum(share, axis=0)[:, None]
    return centres


def components(x: Any) -> Any:
    centred = x - x.mean(0)
    values, vectors = jnp.linalg.eigh(centred.T @ centred / 40)
    return values[::-1], jnp.abs(vectors[:, -1]), (centred @ vectors[:, -1]) ** 2


def whitening(x: Any) -> Any:
    centred = x - x.mean(0)
    factor = jnp.linalg.cholesky(centred.T @ centred / 40)
    return jax.scipy.linalg.solve_triangular(factor, centred.T, lower=True).T


def bayes(x: Any, y: Any) -> Any:
    """Gaussian naive Bayes: means, variances and log-odds of the rows."""
    n = jnp.stack([jnp.sum(1 - y), jnp.sum(y)])
    member = jnp.stack([1 - y, y])
    means = member @ x / n[:, None]
    variances = member @ (x * x) / n[:, None] - means**2
    odds = -((x[:, None] - means) ** 2) / (2 * variances) - jnp.log(variances) / 2
    total = odds.sum(2) + jnp.log(n / 40)
    return total[:, 1] - total[:, 0]


def discriminant(x: Any, y: Any) -> Any:
    first, second = (1 - y) @ x / jnp.sum(1 - y), y @ x / jnp.sum(y)
    centred = x - first - y[:, None] * (second - first)
    return jnp.linalg.solve(centred.T @ centred / 40, second - first)


def gaussian_process(x: Any, y: Any) -> Any:
    points = x[:8]
    gap = jnp.sum((points[:, None] - points) ** 2, axis=2)
    kernel = jnp.exp(-gap / 2) + 0.2 * jnp.eye(8)
    factor = jax.scipy.linalg.cho_factor(kernel, lower=True)
    return jax.scipy.linalg.cho_solve(factor, y[:8])


def kalman(z: Any) -> Any:
    def step(state: Any, seen: Any) -> Any:
        mean, variance = state
        variance = variance + 0.05
        gain = variance / (variance + 0.2)
        mean = mean + gain * (seen - mean)
        return (mean, (1 - gain) * variance), mean

    return lax.scan(step, (jnp.zeros(()), jnp.ones(())), z)[1]


def autoregression(z: Any) -> Any:
    lags = jnp.stack([z[k : 17 + k] for k in range(3)], axis=1)
    return jnp.linalg.solve(lags.T @ lags / 17 + 0.01 * jnp.eye(3), lags.T @ z[3:] / 17)


def smoothing(z: Any) -> Any:
    return lax.scan(lambda level, seen: (0.7 * level + 0.3 * seen, level), z[0], z)[1]


def hidden_markov(z: Any) -> Any:
    """The forward pass of two states with Gaussian outputs, normalised in each step."""
    moves = jnp.array([[0.9, 0.1], [0.2, 0.8]])

    def step(belief: Any, seen: Any) -> Any:
        weight = jnp.exp(-((seen - jnp.array([-0.5, 0.5])) ** 2))
        after = (belief @ moves) * weight
        return after / jnp.sum(after), after

    return lax.scan(step, jnp.array([0.5, 0.5]), z)[0]


def stump(x: Any, y: Any) -> Any:
    """Gains of public thresholds for one split, from sums of gradients: the histogram of gradient boosting."""
    gradient, hessian = y - 0.5, jnp.full(40, 0.25)
    right = (x[:, :, None] > jnp.array([-1.0, -0.5, 0.0, 0.5, 1.0])).astype(float)
    sums = jnp.einsum("n,nfk->fk", gradient, right), jnp.einsum("n,nfk->fk", hessian, right)
    rest = gradient.sum() - sums[0], hessian.sum() - sums[1]
    gain = sums[0] ** 2 / (sums[1] + 1) + rest[0] ** 2 / (rest[1] + 1)
    return gain, jnp.argmax(gain.ravel())


def factorisation(x: Any) -> Any:
    """Alternating least squares of rank 1."""
    v = jnp.ones(3)
    for _ in range(3):
        u = x @ v / (v @ v)
        v = x.T @ u / (u @ u)
    return jnp.outer(u, v)


CASES: dict[str, Case] = {
    "linear regression": Case(linear_regression, (X, TARGET), 2e-4),
    "ridge regression": Case(ridge, (X, TARGET), 2e-4),
    "regression through qr": Case(through_qr, (X, TARGET), 5e-4),
    "lasso": Case(lasso, (X, TARGET), 3e-4),
    "coordinate descent": Case(coordinate_descent, (X, TARGET), 1e-3),
    "logistic newton": Case(logistic_newton, (X, LABELS), 5e-3),
    "logistic descent": Case(descent(log_loss, 0.5, 4), (X, LABELS), 1e-3),
    "poisson regression": Case(descent(poisson_loss, 0.3, 4), (X, COUNTS), 5e-4),
    "gamma regression": Case(descent(gamma_loss, 0.3, 4), (X, AMOUNTS), 5e-4),
    "huber regression": Case(descent(huber_loss, 0.5, 4), (X, TARGET), 3e-4),
    "support vectors": Case(descent(hinge_loss, 0.3, 4), (X, LABELS), 3e-4),
    "quantile regression": Case(descent(quantile_loss, 0.3, 4), (X, TARGET), 3e-4),
    "multinomial regression": Case(multinomial, (X,), 5e-4),
    "k-means": Case(k_means, (X, CENTRES), 3e-4),
    "mixture of gaussians": Case(mixture, (X, CENTRES), 1e-3),
    "principal components": Case(components, (X,), 1e-2),
    "whitening": Case(whitening, (X,), 1e-3),
    "naive bayes": Case(bayes, (X, LABELS), 5e-3),
    "discriminant": Case(discriminant, (X, LABELS), 1e-3),
    "gaussian process": Case(gaussian_process, (X, TARGET), 2e-3),
    "kalman filter": Case(kalman, (SEQUENCE,), 5e-4),
    "autoregression": Case(autoregression, (SEQUENCE,), 2e-3),
    "exponential smoothing": Case(smoothing, (SEQUENCE,), 1e-4),
    "hidden markov": Case(hidden_markov, (SEQUENCE[:6].copy(),), 5e-4),
    "boosting stump": Case(stump, (X, LABELS), 1e-3),
    "factorisation": Case(factorisation, (X,), 3e-3),
}
