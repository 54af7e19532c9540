# SPDX-License-Identifier: Apache-2.0
"""Corpus: descriptive statistics, metrics, and the preparation of columns."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(53)
SCORES = np.round(_random.random(30), 4)
LABELS = (SCORES + 0.4 * _random.normal(size=30) > 0.5).astype(float)
OTHER = np.round(np.clip(SCORES + 0.1 * _random.normal(size=30), 0.01, 0.99), 4)
CLASSES = _random.integers(0, 3, 30)
GUESSES = np.where(_random.random(30) < 0.7, CLASSES, _random.integers(0, 3, 30))
GROUPS = _random.integers(0, 4, 30)
AMOUNTS = np.round(np.abs(_random.normal(size=30)) * 3, 3)
TABLE = _random.normal(size=(30, 3)) * np.array([1.0, 3.0, 0.5])
MISSING = _random.random(30) < 0.2
SALES, COSTS = _random.random((2, 12)) * 10


def area_under_curve(s: Any, y: Any) -> Any:
    above = (s[:, None] > s).astype(float) + 0.5 * (s[:, None] == s)
    return y @ above @ (1 - y) / (jnp.sum(y) * jnp.sum(1 - y))


def kolmogorov_smirnov(s: Any, y: Any) -> Any:
    below = (s[:, None] <= s).astype(float)
    return jnp.max(jnp.abs(y @ below / jnp.sum(y) - (1 - y) @ below / jnp.sum(1 - y)))


def confusion(a: Any, b: Any) -> Any:
    first, second = (x[:, None] == jnp.arange(3) for x in (a, b))
    table = first.astype(int).T @ second.astype(int)
    right = jnp.diagonal(table)
    precision = right / jnp.maximum(table.sum(0), 1)
    recall = right / jnp.maximum(table.sum(1), 1)
    return table, right.sum() / 30, 2 * precision * recall / (precision + recall)


def losses(p: Any, y: Any) -> Any:
    cross = -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))
    return cross, jnp.mean((p - y) ** 2), jnp.mean(jnp.abs(p - y))


def regression_scores(y: Any, p: Any) -> Any:
    rest, total = jnp.sum((y - p) ** 2), jnp.sum((y - y.mean()) ** 2)
    return 1 - rest / total, jnp.sqrt(rest / 30), jnp.max(jnp.abs(y - p)), jnp.mean(jnp.abs(y - p) / y)


def weight_of_evidence(x: Any, y: Any) -> Any:
    edges = jnp.array([0.25, 0.5, 0.75])
    bins = (x[:, None] > edges).astype(int).sum(1)
    member = (bins[:, None] == jnp.arange(4)).astype(float)
    bad, all_ = y @ member + 0.5, member.sum(0) + 1.0
    good = all_ - bad
    woe = jnp.log(bad / bad.sum()) - jnp.log(good / good.sum())
    return woe, jnp.sum((bad / bad.sum() - good / good.sum()) * woe), member @ woe


def stability_index(a: Any, b: Any) -> Any:
    edges = jnp.linspace(0, 1, 5)[1:-1]
    shares = [jnp.mean((x[:, None] > edges).astype(float), axis=0) for x in (a, b)]
    first, second = (jnp.abs(jnp.diff(jnp.concatenate([jnp.ones(1), s, jnp.zeros(1)]))) + 0.01 for s in shares)
    return jnp.sum((first - second) * jnp.log(first / second))


def group_by(g: Any, v: Any) -> Any:
    member = (g[:, None] == jnp.arange(4)).astype(float)
    count = member.sum(0)
    mean = v @ member / jnp.maximum(count, 1.0)
    spread = (v * v) @ member / jnp.maximum(count, 1.0) - mean**2
    largest = jnp.max(jnp.where(member > 0, v[:, None], -100.0), axis=0)
    return count, v @ member, mean, spread, largest


def standardised(t: Any) -> Any:
    return (t - t.mean(0)) / t.std(0)


def scaled(t: Any) -> Any:
    low, high = t.min(0), t.max(0)
    return (t - low) / (high - low)


def imputed(v: Any, m: Any) -> Any:
    mean = jnp.sum(jnp.where(m, 0.0, v)) / jnp.sum(1.0 - m)
    return jnp.where(m, mean, v)


def moments(v: Any) -> Any:
    centred = v - v.mean()
    variance = jnp.mean(centred**2)
    return variance, jnp.mean(centred**3) / variance**1.5, jnp.mean(centred**4) / variance**2


def correlation(a: Any, b: Any) -> Any:
    a, b = a - a.mean(), b - b.mean()
    return a @ b / jnp.sqrt((a @ a) * (b @ b))


def chi_square(a: Any, b: Any) -> Any:
    table = ((a[:, None] == jnp.arange(3)).astype(float)).T @ (b[:, None] == jnp.arange(3)).astype(float)
    expected = jnp.outer(table.sum(1), table.sum(0)) / 30
    return jnp.sum((table - expected) ** 2 / expected)


def welch(a: Any, b: Any) -> Any:
    return (a.mean() - b.mean()) / jnp.sqrt(a.var(ddof=1) / 30 + b.var(ddof=1) / 30)


def concordance(s: Any, t: Any) -> Any:
    return jnp.sum(jnp.sign(s[:, None] - s) * jnp.sign(t[:, None] - t)) / (30 * 29)


def gini(v: Any) -> Any:
    return jnp.mean(jnp.abs(v[:, None] - v)) / (2 * jnp.mean(v))


def outliers(v: Any) -> Any:
    z = (v - v.mean()) / v.std()
    return jnp.abs(z) > 1.5, jnp.where(jnp.abs(z) > 1.5, v.mean(), v)


CASES: dict[str, Case] = {
    "area under the curve": Case(area_under_curve, (SCORES, LABELS), 1e-3),
    "kolmogorov-smirnov": Case(kolmogorov_smirnov, (SCORES, LABELS), 1e-4),
    "confusion matrix": Case(confusion, (CLASSES, GUESSES), 2e-4),
    "losses": Case(losses, (OTHER, LABELS), 2e-4),
    "scores of a regression": Case(regression_scores, (AMOUNTS + 1, AMOUNTS + OTHER), 1e-3),
    "weight of evidence": Case(weight_of_evidence, (SCORES, LABELS), 5e-4),
    "stability index": Case(stability_index, (SCORES, OTHER), 5e-4),
    "group by": Case(group_by, (GROUPS, AMOUNTS), 1e-3),
    "group by a public column": Case(
        lambda v: jax.ops.segment_sum(v, jnp.asarray(GROUPS), 4) / jnp.bincount(jnp.asarray(GROUPS), length=4),
        (AMOUNTS,),
    ),
    "standardised columns": Case(standardised, (TABLE,), 5e-4),
    "columns in the unit interval": Case(scaled, (TABLE,), 3e-4),
    "imputed column": Case(imputed, (AMOUNTS, MISSING), 1e-4),
    "moments": Case(moments, (AMOUNTS,), 1e-3),
    "correlation": Case(correlation, (SCORES, OTHER), 1e-3),
    "chi-square": Case(chi_square, (CLASSES, GUESSES), 2e-3),
    "welch's t": Case(welch, (SCORES, OTHER), 1e-3),
    "kendall's tau": Case(concordance, (SCORES, OTHER), 1e-4),
    "gini": Case(gini, (AMOUNTS,), 3e-4),
    "outliers": Case(outliers, (AMOUNTS,), 1e-4),
    "histogram": Case(
        lambda v: jnp.sum((v[:, None] >= jnp.arange(6)) & (v[:, None] < jnp.arange(1, 7)), axis=0), (AMOUNTS,)
    ),
    "quantiles": Case(
        lambda v: (jnp.median(v), jnp.quantile(v, jnp.array([0.1, 0.5, 0.9])), jnp.ptp(v)), (AMOUNTS,), 1e-4
    ),
    "ranks": Case(lambda v: jnp.sum(v[:, None] > v, axis=1), (AMOUNTS,)),
    "intersection of keys": Case(
        lambda a, b: (jnp.isin(a, b), jnp.sum(a[:, None] == b)), (CLASSES[:10].copy(), GUESSES[:3].copy())
    ),
    "join by key": Case(
        lambda k, j, v: (k[:, None] == j).astype(float) @ v,
        (np.arange(8)[::-1].copy(), np.arange(0, 16, 2), SCORES[:8].copy()),
    ),
    "auction": Case(lambda v: (jnp.argmax(v), jnp.max(jnp.where(jnp.arange(30) == jnp.argmax(v), 0.0, v))), (AMOUNTS,)),
    "profit": Case(
        lambda s, c: (jnp.sum(s - c), jnp.cumsum(s - c), jnp.max(jnp.cumsum(s - c)), (s > c).mean()),
        (SALES, COSTS),
        1e-4,
    ),
    "net present value": Case(lambda c, r: jnp.sum(c / (1 + r) ** jnp.arange(12)), (COSTS, np.float64(0.05)), 1e-3),
    "option price": Case(
        lambda s, k: (
            s * jax.scipy.stats.norm.cdf((jnp.log(s / k) + 0.07) / 0.2)
            - k * jnp.exp(-0.05) * jax.scipy.stats.norm.cdf((jnp.log(s / k) + 0.03) / 0.2)
        ),
        (np.array([1.0, 1.1, 0.9]), np.array([1.0, 1.0, 1.05])),
        1e-3,
    ),
    "distances on earth": Case(
        lambda a, b: 2 * jnp.arcsin(jnp.sqrt(jnp.sin((a - b) / 2) ** 2)), (SCORES[:5].copy(), OTHER[5:10].copy()), 2e-3
    ),
}
