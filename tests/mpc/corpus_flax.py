# SPDX-License-Identifier: Apache-2.0
"""Corpus: models written in flax (linen), with secret parameters and secret data."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(71)
ROWS = _random.normal(size=(5, 4))
IMAGES = _random.normal(size=(2, 6, 6, 1))
SEQUENCE = _random.normal(size=(2, 4, 4))


pool: Any = nn.avg_pool


class Perceptron(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(3)(nn.relu(nn.Dense(6)(x)))


class Convolutional(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = pool(nn.relu(nn.Conv(2, (3, 3))(x)), (2, 2), (2, 2))
        return nn.Dense(3)(x.reshape(x.shape[0], -1))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        y = nn.LayerNorm(epsilon=1e-3)(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(y, y)
        return x + nn.Dense(4)(nn.gelu(nn.Dense(8)(nn.LayerNorm(epsilon=1e-3)(x))))


class Gates(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.RNN(nn.LSTMCell(3, param_dtype=np.float64))(x)


class Norms(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.GroupNorm(num_groups=2, epsilon=1e-3)(x)
        return nn.RMSNorm(epsilon=1e-3)(nn.BatchNorm(use_running_average=True)(x))


def parameters_of(model: nn.Module, x: Any) -> Any:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, dict(model.init(jax.random.key(0), jnp.asarray(x))))


def case(model: nn.Module, x: Any, *, absolute: float) -> Case:
    return Case(model.apply, (parameters_of(model, x), x), absolute)


def trained(model: nn.Module, x: Any, *, absolute: float) -> Case:
    apply: Any = model.apply
    loss = jax.value_and_grad(lambda p, rows: jnp.mean(apply(p, rows) ** 2))
    return Case(loss, (parameters_of(model, x), x), absolute)


CASES: dict[str, Case] = {
    "flax perceptron": case(Perceptron(), ROWS, absolute=3e-4),
    "flax perceptron, trained": trained(Perceptron(), ROWS, absolute=5e-4),
    "flax convolutional": case(Convolutional(), IMAGES, absolute=3e-4),
    "flax convolutional, trained": trained(Convolutional(), IMAGES, absolute=5e-4),
    "flax transformer block": case(Block(), SEQUENCE, absolute=5e-3),
    "flax lstm": case(Gates(), SEQUENCE, absolute=3e-3),
    "flax norms": case(Norms(), ROWS, absolute=2e-3),
}
