# SPDX-License-Identifier: Apache-2.0
"""Corpus: models written in equinox; their arrays are the secret, their structure is public."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(97)
ROWS = _random.normal(size=(5, 4))
SEQUENCE = _random.normal(size=(4, 6))


def case(model: Any, x: Any, *, absolute: float = 2e-3, mapped: bool = True) -> Case:
    arrays, rest = eqx.partition(model, eqx.is_array)
    leaves, structure = jax.tree.flatten(arrays)

    def apply(values: Any, rows: Any) -> Any:
        whole = eqx.combine(jax.tree.unflatten(structure, values), rest)
        return jax.vmap(whole)(rows) if mapped else whole(rows)

    return Case(apply, ([np.asarray(leaf, np.float64) for leaf in leaves], x), absolute)


def attention(width: int) -> Any:
    model = eqx.nn.MultiheadAttention(2, width, key=jax.random.key(1))
    return eqx.nn.Lambda(lambda x: model(x, x, x))


def gradient() -> Case:
    model = eqx.nn.MLP(4, 2, 5, 1, activation=jnp.tanh, key=jax.random.key(0))
    arrays, rest = eqx.partition(model, eqx.is_array)
    leaves, structure = jax.tree.flatten(arrays)

    def loss(values: Any, rows: Any) -> Any:
        whole = eqx.combine(jax.tree.unflatten(structure, values), rest)
        return jnp.mean(jax.vmap(whole)(rows) ** 2)

    return Case(jax.grad(loss), ([np.asarray(leaf, np.float64) for leaf in leaves], ROWS), 2e-3)


CASES: dict[str, Case] = {
    "equinox perceptron": case(eqx.nn.MLP(4, 2, 5, 2, key=jax.random.key(0)), ROWS, absolute=3e-4),
    "equinox gradient": gradient(),
    "equinox norm": case(eqx.nn.LayerNorm(4, eps=1e-3), ROWS, absolute=1e-3),
    "equinox convolution": case(eqx.nn.Conv1d(4, 3, 3, key=jax.random.key(2)), SEQUENCE, absolute=3e-4, mapped=False),
    "equinox attention": case(attention(6), SEQUENCE, absolute=1e-3, mapped=False),
}
