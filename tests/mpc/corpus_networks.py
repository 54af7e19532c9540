# SPDX-License-Identifier: Apache-2.0
"""Corpus: neural networks in plain jax: layers, their gradients, training steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(61)
X = _random.normal(size=(6, 4))
SEQUENCE = _random.normal(size=(5, 4))
IMAGES = _random.normal(size=(2, 6, 6, 1))
GRAPH = (_random.random((6, 6)) < 0.4).astype(float)
TOKENS = _random.integers(0, 7, 5)
LABELS = _random.integers(0, 3, 6)


def weights(*shape: int) -> Any:
    return _random.normal(size=shape) / np.sqrt(shape[0])


MLP = {"a": weights(4, 5), "b": np.zeros(5), "c": weights(5, 3), "d": np.zeros(3)}
BLOCK = {name: weights(4, 4) for name in ("q", "k", "v", "o")} | {"up": weights(4, 8), "down": weights(8, 4)}
LSTM = {"w": weights(4, 12), "u": weights(3, 12), "b": np.zeros(12)}
GRU = {"w": weights(4, 9), "u": weights(3, 9)}
CNN = {"k": weights(3, 3, 1, 2), "w": weights(18, 3)}
TABLE = weights(7, 4)


def mlp(p: Any, x: Any) -> Any:
    return jnp.tanh(x @ p["a"] + p["b"]) @ p["c"] + p["d"]


def cross_entropy(p: Any, x: Any) -> Any:
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(mlp(p, x)) * jax.nn.one_hot(jnp.asarray(LABELS), 3), axis=1))


def momentum(p: Any, x: Any) -> Any:
    velocity = jax.tree.map(jnp.zeros_like, p)
    for _ in range(2):
        g = jax.grad(cross_entropy)(p, x)
        velocity = jax.tree.map(lambda v, d: 0.9 * v + d, velocity, g)
        p = jax.tree.map(lambda w, v: w - 0.1 * v, p, velocity)
    return p


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-3)


def attention(p: Any, x: Any, *, causal: bool = False) -> Any:
    q, k, v = (x @ p[name] for name in "qkv")
    scores = q @ k.T / 2.0
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape, bool)), scores, -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ v @ p["o"]


def block(p: Any, x: Any) -> Any:
    x = x + attention(p, layer_norm(x))
    return x + jax.nn.gelu(layer_norm(x) @ p["up"]) @ p["down"]


def heads(p: Any, x: Any) -> Any:
    q, k, v = ((x @ p[name]).reshape(5, 2, 2) for name in "qkv")
    share = jax.nn.softmax(jnp.einsum("ihd,jhd->hij", q, k) / 2**0.5, axis=-1)
    return jnp.einsum("hij,jhd->ihd", share, v).reshape(5, 4) @ p["o"]


def rotary(x: Any) -> Any:
    angle = jnp.arange(5.0)[:, None] * jnp.array([1.0, 0.01])
    even, odd = x[:, ::2], x[:, 1::2]
    turned = jnp.stack([even * jnp.cos(angle) - odd * jnp.sin(angle), even * jnp.sin(angle) + odd * jnp.cos(angle)], -1)
    return turned.reshape(5, 4)


def long_short(p: Any, x: Any) -> Any:
    def step(state: Any, row: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(row @ p["w"] + h @ p["u"] + p["b"], 4)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (jnp.zeros(3), jnp.zeros(3)), x)[1]


def gated(p: Any, x: Any) -> Any:
    def step(h: Any, row: Any) -> Any:
        a, b = row @ p["w"], h @ p["u"]
        r, z = (jax.nn.sigmoid(a[k : k + 3] + b[k : k + 3]) for k in (0, 3))
        return (1 - z) * jnp.tanh(a[6:] + r * b[6:]) + z * h, None

    return lax.scan(step, jnp.zeros(3), x)[0]


def convolutional(p: Any, x: Any) -> Any:
    maps = lax.conv_general_dilated(x, p["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    pooled = lax.reduce_window(jax.nn.relu(maps), 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return pooled.reshape(2, -1) @ p["w"]


def upsampled(x: Any) -> Any:
    kernel = jnp.asarray(CNN["k"][:2, :2])
    return lax.conv_transpose(x, kernel, (2, 2), "VALID"), jax.image.resize(x, (2, 3, 3, 1), "linear")


def batch_norm(x: Any) -> Any:
    mean, variance = x.mean(0), x.var(0)
    return (x - mean) / jnp.sqrt(variance + 1e-3) * 1.5 + 0.1


def graph_layer(x: Any) -> Any:
    adjacency = jnp.asarray(GRAPH) + jnp.eye(6)
    return jax.nn.relu(adjacency / adjacency.sum(1, keepdims=True) @ x @ jnp.asarray(MLP["a"]))


def autoencoder(p: Any, x: Any) -> Any:
    return jax.value_and_grad(lambda q: jnp.mean((jnp.tanh(x @ q["a"]) @ q["a"].T - x) ** 2))(p)


def contrastive(x: Any) -> Any:
    unit = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(unit @ unit[::-1].T / 0.5)))


def embedded(table: Any) -> Any:
    rows = table[jnp.asarray(TOKENS)]
    return rows.mean(0), jax.grad(lambda t: (t[jnp.asarray(TOKENS)] ** 2).sum())(table)


def dropped(x: Any) -> Any:
    kept = jax.random.bernoulli(jax.random.key(0), 0.8, x.shape)
    return jnp.where(kept, x / 0.8, 0.0)


def adversarial(p: Any, x: Any) -> Any:
    return x + 0.1 * jnp.sign(jax.grad(cross_entropy, argnums=1)(p, x))


CASES: dict[str, Case] = {
    "perceptron": Case(mlp, (MLP, X), 2e-3),
    "gradient of a perceptron": Case(jax.value_and_grad(cross_entropy), (MLP, X), 2e-3),
    "momentum": Case(momentum, (MLP, X), 2e-3),
    "layer norm": Case(layer_norm, (X,), 5e-4),
    "gradient of layer norm": Case(jax.grad(lambda x: (layer_norm(x) ** 3).sum()), (X,), 2e-2),
    "root mean square norm": Case(lambda x: x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True)), (X,), 5e-4),
    "attention": Case(attention, (BLOCK, SEQUENCE), 5e-4),
    "causal attention": Case(lambda p, x: attention(p, x, causal=True), (BLOCK, SEQUENCE), 5e-4),
    "attention with heads": Case(heads, (BLOCK, SEQUENCE), 5e-4),
    "transformer block": Case(block, (BLOCK, SEQUENCE), 5e-3),
    "gradient of a transformer block": Case(jax.grad(lambda p, x: jnp.mean(block(p, x) ** 2)), (BLOCK, SEQUENCE), 1e-2),
    "rotary embedding": Case(rotary, (SEQUENCE,), 1e-4),
    "lstm": Case(long_short, (LSTM, SEQUENCE), 2e-3),
    "gradient of an lstm": Case(jax.grad(lambda p, x: long_short(p, x).sum()), (LSTM, SEQUENCE), 1e-2),
    "gru": Case(gated, (GRU, SEQUENCE), 2e-3),
    "convolutional network": Case(convolutional, (CNN, IMAGES), 5e-4),
    "gradient of a convolutional network": Case(
        jax.grad(lambda p, x: jnp.mean(convolutional(p, x) ** 2)), (CNN, IMAGES), 5e-4
    ),
    "upsampling": Case(upsampled, (IMAGES[:, :3, :3].copy(),), 5e-4),
    "batch norm": Case(batch_norm, (X,), 1e-3),
    "graph layer": Case(graph_layer, (X,), 3e-4),
    "autoencoder": Case(autoencoder, ({"a": MLP["a"]}, X), 2e-3),
    "contrastive loss": Case(contrastive, (X,), 1e-3),
    "embedding": Case(embedded, (TABLE,), 3e-4),
    "dropout": Case(dropped, (X,), 1e-4),
    "adversarial example": Case(adversarial, (MLP, X), 1e-4),
    "weight decay": Case(lambda p: sum(jnp.sum(w**2) for w in jax.tree.leaves(p)), (MLP,), 3e-4),
    "distillation": Case(
        lambda a, b: jnp.mean(jnp.sum(jax.nn.softmax(a) * (jax.nn.log_softmax(a) - jax.nn.log_softmax(b)), axis=1)),
        (X, X[::-1].copy()),
        5e-4,
    ),
    "focal loss": Case(lambda z: jnp.mean((1 - jax.nn.sigmoid(z)) ** 2 * jax.nn.softplus(-z)), (X,), 1e-3),
    "gumbel softmax": Case(
        lambda z: jax.nn.softmax(z + jax.random.gumbel(jax.random.key(1), z.shape), axis=-1), (X,), 5e-4
    ),
    "kl of gaussians": Case(lambda m, s: -0.5 * jnp.sum(1 + s - m**2 - jnp.exp(s)), (X, X * 0.3), 1e-3),
}
