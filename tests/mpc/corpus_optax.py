# SPDX-License-Identifier: Apache-2.0
"""Corpus: steps of optax's optimisers and its losses, on secret parameters and gradients."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(83)
WEIGHTS = {"a": _random.normal(size=(3, 2)), "b": _random.normal(size=2)}
ROWS = _random.normal(size=(8, 3))
TARGET = _random.normal(size=(8, 2))
LOGITS = _random.normal(size=(6, 3))
LABELS = np.array([0, 2, 1, 1, 0, 2])


def loss(p: Any, x: Any, y: Any) -> Any:
    return jnp.mean((x @ p["a"] + p["b"] - y) ** 2)


def trained(optimiser: Any, *, steps: int = 2) -> Any:
    def fit(p: Any, x: Any, y: Any) -> Any:
        state = optimiser.init(p)
        for _ in range(steps):
            updates, state = optimiser.update(jax.grad(loss)(p, x, y), state, p)
            p = optax.apply_updates(p, updates)
        return p

    return fit


def case(optimiser: Any, *, absolute: float = 1e-3) -> Case:
    return Case(trained(optimiser), (WEIGHTS, ROWS, TARGET), absolute)


CASES: dict[str, Case] = {
    "optax sgd": case(optax.sgd(0.1), absolute=1e-4),
    "optax momentum": case(optax.sgd(0.1, momentum=0.9, nesterov=True), absolute=1e-4),
    "optax adam": case(optax.adam(0.05, eps=1e-3), absolute=5e-3),
    "optax adamw": case(optax.adamw(0.05, eps=1e-3, weight_decay=0.01), absolute=5e-3),
    "optax rmsprop": case(optax.rmsprop(0.05, eps=1e-3), absolute=5e-3),
    "optax adagrad": case(optax.adagrad(0.1), absolute=5e-3),
    "optax clipped": case(optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1)), absolute=5e-4),
    "optax schedule": case(optax.sgd(optax.cosine_decay_schedule(0.2, 10)), absolute=2e-4),
    "optax losses": Case(
        lambda z, t: (
            optax.softmax_cross_entropy_with_integer_labels(z, jnp.asarray(LABELS)),
            optax.sigmoid_binary_cross_entropy(z, (t > 0).astype(float)),
            optax.huber_loss(z, t, delta=0.5),
            optax.cosine_similarity(z, t),
        ),
        (LOGITS, LOGITS[::-1].copy()),
        1e-3,
    ),
}
