# SPDX-License-Identifier: Apache-2.0
"""Corpus: the everyday part of jax.numpy and lax; these run under every protocol."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(7)
A = _random.normal(size=(6, 4))
B = _random.normal(size=(4, 3))
C = _random.normal(size=(2, 6, 4))
V = _random.normal(size=4)
POSITIVE = np.abs(A) + 0.3
NUMBERS = np.array([-50, -3, 0, 2, 7, 49])
BITS = np.array([True, False, True, True, False])
LABELS = (_random.random(32) < 0.5).astype(np.float64)
ROWS = _random.normal(size=(32, 3))
ORDER = np.array([3, 1, 0, 5, 2, 4])


def loss(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return jnp.mean(jnp.logaddexp(0.0, z) - y * z)


def logistic_regression(x: Any, y: Any) -> Any:
    def step(w: Any, i: Any) -> Any:
        rows = lax.dynamic_slice_in_dim(x, i * 8, 8)
        labels = lax.dynamic_slice_in_dim(y, i * 8, 8)
        return w - 0.1 * jax.grad(loss)(w, rows, labels), None

    return lax.scan(step, jnp.zeros(3), jnp.arange(4))[0]


def cross_entropy_gradient(w: Any, x: Any) -> Any:
    return jax.grad(lambda v: -jnp.mean(jnp.log(jax.nn.sigmoid(x @ v))))(w)


def counted_loop(x: Any) -> Any:
    return lax.fori_loop(0, 6, lambda i, a: a * 0.5 + x[i] * i, jnp.zeros(4))


def while_loop(x: Any) -> Any:
    return lax.fori_loop(0, jnp.asarray(4), lambda i, a: a + x[i] * jnp.sin(i), jnp.zeros(4))


def nested_loops(x: Any) -> Any:
    def outer(carry: Any, i: Any) -> Any:
        def inner(row: Any, j: Any) -> Any:
            return row + x[(i + j) % 6] * (i - j), row.sum()

        carry, sums = lax.scan(inner, carry, jnp.arange(3))
        return carry, sums * i

    return lax.scan(outer, jnp.zeros(4), jnp.arange(4))


def shuffled_batches(x: Any) -> Any:
    def step(carry: Any, i: Any) -> Any:
        index = lax.dynamic_slice(jnp.asarray(ORDER), (i * 2,), (2,))
        rate = lax.cond(i % 2 == 0, lambda: 1.0, lambda: 2.0)
        return carry + x[index].sum(0) * rate, None

    return lax.scan(step, jnp.zeros(4), jnp.arange(3))[0]


def network_gradient(x: Any, w: Any) -> Any:
    return jax.grad(lambda v: jnp.mean(jnp.tanh(x @ v) ** 2))(w)


CASES: dict[str, Case] = {
    "millionaires": Case(lambda x, y: x < y, (np.float64(3.5), np.float64(3.75))),
    "arithmetic": Case(lambda x, y: (x * y + 2 * x - y / 3 - 1.5, -x, x / 1024, x * 3), (A, POSITIVE)),
    "division": Case(lambda x, y: (x / y, 2 / y), (A, POSITIVE)),
    "products": Case(lambda x, y, v: (x @ y, x @ v, B.T @ x.T, x @ B / 1024), (A, B, V)),
    "batched products": Case(
        lambda x, y: (jnp.einsum("bij,ij->bi", x, y), jnp.einsum("bij,bkj->bik", x, x)),
        (C, A),
    ),
    "sums": Case(lambda x: (x.sum(), x.mean(0), x.sum(1), jnp.cumsum(x, 0), (x * x).sum(0), x.prod(0)), (A,)),
    "statistics": Case(lambda x: (jnp.var(x), jnp.std(x, axis=0), jnp.linalg.norm(x)), (A,)),
    "softmax": Case(lambda x: (jax.nn.softmax(x, axis=1), jax.scipy.special.logsumexp(x, axis=1)), (A,)),
    "comparisons": Case(
        lambda x, y: (x < y, x >= y, x == y, x != y, (x < y) & (x > 0), (x < y) | (x > 1), x <= jnp.inf),
        (A, POSITIVE),
    ),
    "choices": Case(
        lambda x, y: (
            jnp.where(x < y, x, y),
            jnp.where(x > 0, 1.0, 0.0),
            jnp.where(x > 0, x, 0),
            jnp.where(A > 0, x, y),
            jnp.where(A > 0, x, 3.0),
            jnp.where(x > 0, x < y, y < 1),
        ),
        (A, POSITIVE),
    ),
    "extremes": Case(
        lambda x, y: (
            jnp.maximum(x, y),
            jnp.minimum(x, 0),
            x.max(),
            x.max(0),
            x.min(1),
            jnp.clip(x, -0.5, 0.5),
            jnp.abs(x),
            jnp.sign(x),
            jax.nn.relu(x),
        ),
        (A, POSITIVE),
    ),
    "functions": Case(
        lambda x, p: (jnp.exp(x), jnp.log(p), jnp.sqrt(p), jax.nn.sigmoid(x), jnp.tanh(x), x**3, p**-2, p**1.3),
        (A, POSITIVE),
        absolute=6e-4,
    ),
    "more functions": Case(
        lambda x, p: (jnp.log1p(p), lax.rsqrt(p), jax.nn.softplus(x), jax.nn.gelu(x), jnp.expm1(x), 2.0**x),
        (A, POSITIVE),
        absolute=6e-4,
    ),
    "rounding": Case(
        lambda x: (
            jnp.floor(x * 3),
            jnp.ceil(x * 3),
            jnp.round(x * 3),
            (x * 3).astype(int),
            jnp.floor(POSITIVE * 0 + 2 + 0 * x),
        ),
        (A,),
    ),
    "places": Case(
        lambda x: (
            jnp.argmax(x),
            jnp.argmax(x, axis=1),
            jnp.argmin(x, axis=0),
            jnp.argmax(jnp.stack([x[0], x[0], x[1]]), axis=0),
        ),
        (A,),
    ),
    "order": Case(
        lambda x: (jnp.sort(x, axis=0), jnp.sort(x, axis=1), jnp.median(x), jnp.quantile(x[:, 0], 0.3)), (A,)
    ),
    "linear maps": Case(
        lambda x: (
            x.at[np.array([0, 0, 1])].add(x[3:] * 2),
            jax.grad(lambda z: (z[np.array([0, 0, 2])] ** 2).sum())(x),
            jnp.convolve(x[:, 0], np.array([1.0, -0.5, 0.25])),
        ),
        (A,),
    ),
    "small factors": Case(lambda x: (x * 1e-9 * 1e9, (x * 3e7) * 1e-8, x * 1e4 * 1e-4, x * 1.0 * -1.0 * 0.5), (A,)),
    "views": Case(
        lambda x: (x.T, x[2], x[:, 1], x[::-1], x[1:4:2], x[np.array([4, 0, 0])], x[:, np.array([1, 3])], x[-1, -2]),
        (A,),
    ),
    "assemblies": Case(
        lambda x: (
            jnp.concatenate([x, x + 1]),
            jnp.stack([x, jnp.ones((6, 4))], axis=1),
            jnp.pad(x, 1, constant_values=2.0),
            jnp.roll(x, 1, 0),
            jnp.repeat(x, 2, axis=0),
            x.at[0].set(1.0),
            jnp.split(x, 2),
            jnp.eye(6) @ x,
        ),
        (A,),
    ),
    "whole numbers": Case(
        lambda i: (i + 1, i * i, -i, i.sum(), i < 3, i == 2, i.astype(float) / 4, i.max(), i * 3 - 2, i.mean()),
        (NUMBERS,),
    ),
    "bits": Case(
        lambda m: (
            ~m,
            m.sum(),
            m.mean(),
            m & BITS,
            m.any(),
            m.all(),
            m.astype(float) * 2,
            jnp.where(m, 1, 2),
            m ^ BITS,
        ),
        (BITS,),
    ),
    "counted loop": Case(counted_loop, (A,)),
    "while loop": Case(while_loop, (A,)),
    "nested loops": Case(nested_loops, (A,)),
    "shuffled batches": Case(shuffled_batches, (A,)),
    "stacked results": Case(
        lambda x: (
            lax.scan(lambda c, r: (c + r, c * r), jnp.zeros(4), x),
            lax.scan(lambda c, r: (c * 0.5 + r, c), jnp.zeros(4), x, reverse=True),
        ),
        (A,),
    ),
    "secret conditional": Case(lambda x: lax.cond(x.sum() > 0, lambda a: a + 1, lambda a: a * 2, x), (A,)),
    "constant": Case(lambda x: {"one": jnp.ones(3), "x": x}, (A,)),
    "mapped": Case(lambda x, w: jax.vmap(lambda row: row @ w)(x), (A, B)),
    "federated mean": Case(np.mean, ([ROWS, ROWS + 1, ROWS * 2],)),
    "logistic regression": Case(logistic_regression, (ROWS, LABELS)),
    "cross entropy": Case(cross_entropy_gradient, (V, A), absolute=2e-3),
    "network": Case(network_gradient, (A, B), absolute=2e-3),
}
