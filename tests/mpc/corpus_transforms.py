# SPDX-License-Identifier: Apache-2.0
"""Corpus: jax's transformations: derivatives of all kinds, vmap, loops, checkpoints, custom rules."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(23)
X = _random.normal(size=5)
W = _random.normal(size=(5, 3)) / 2
ROWS = _random.normal(size=(6, 5))
Y = _random.normal(size=6)
PEAKS = np.arange(5) % 3


def bowl(x: Any) -> Any:
    return jnp.sum(x**2 * jnp.array([1.0, 2.0, 0.5, 1.0, 3.0])) + jnp.sin(x[0] * x[1])


@jax.custom_vjp
def clipped(x: Any) -> Any:
    return x * 2.0


clipped.defvjp(lambda x: (clipped(x), x), lambda x, g: (jnp.clip(g * x, -0.5, 0.5),))


@jax.custom_jvp
def smooth(x: Any) -> Any:
    return jnp.tanh(x)


@smooth.defjvp
def _smooth_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    y = smooth(x)
    return y, t * (1 - y * y)


def newton(x: Any) -> Any:
    def step(a: Any, _: Any) -> Any:
        return a - (a * a - x) / (2 * a), None

    return lax.scan(step, jnp.ones(5), None, length=5)[0]


def runge_kutta(x: Any) -> Any:
    def field(state: Any) -> Any:
        return jnp.stack([state[1], -state[0]])

    def step(state: Any, _: Any) -> Any:
        a = field(state)
        b = field(state + 0.05 * a)
        c = field(state + 0.05 * b)
        d = field(state + 0.1 * c)
        return state + 0.1 / 6 * (a + 2 * b + 2 * c + d), state

    return lax.scan(step, x[:2], None, length=5)


def associative(x: Any) -> Any:
    return lax.associative_scan(lambda a, b: a * 0.5 + b, x), lax.associative_scan(jnp.add, x, reverse=True)


def newton_root(f: Any, a: Any) -> Any:
    def step(x: Any, _: Any) -> Any:
        return x - f(x) / (3 * x * x), None

    return lax.scan(step, a, None, length=6)[0]


CASES: dict[str, Case] = {
    "gradient": Case(jax.grad(bowl), (X,)),
    "value and gradient": Case(jax.value_and_grad(lambda w, x: jnp.mean(jax.nn.softplus(x @ w))), (W, ROWS)),
    "jacobian forwards": Case(jax.jacfwd(lambda x: jnp.tanh(x @ W)), (X,), 2e-3),
    "jacobian backwards": Case(jax.jacrev(lambda x: jnp.sin(x @ W)), (X,)),
    "hessian": Case(jax.hessian(bowl), (X,), 1e-3),
    "jvp": Case(lambda x, t: jax.jvp(bowl, (x,), (t,)), (X, X[::-1].copy()), 1e-3),
    "vjp": Case(lambda x: jax.vjp(lambda a: jnp.cos(a @ W), x)[1](jnp.ones(3)), (X,)),
    "linearize": Case(lambda x: jax.linearize(bowl, x)[1](jnp.ones(5)), (X,), 1e-3),
    "hessian vector product": Case(lambda x, v: jax.jvp(jax.grad(bowl), (x,), (v,))[1], (X, X[::-1].copy()), 1e-3),
    "gradient of a gradient": Case(jax.grad(lambda x: jnp.sum(jax.grad(bowl)(x) ** 2)), (X,), 3e-3),
    "gradients per example": Case(
        jax.vmap(jax.grad(lambda w, x, y: (x @ w - y) ** 2), in_axes=(None, 0, 0)), (W[:, 0].copy(), ROWS, Y), 1e-3
    ),
    "clipped gradients": Case(lambda g: g / jnp.maximum(1.0, jnp.linalg.norm(g, axis=1, keepdims=True)), (ROWS,), 1e-3),
    "vmap of two axes": Case(
        jax.vmap(jax.vmap(lambda a, b: a * b + jnp.exp(a), (0, None)), (None, 0)), (X, X[:3].copy())
    ),
    "vmap over pairs": Case(
        jax.vmap(lambda a: jax.vmap(lambda b: jnp.sum((a - b) ** 2))(jnp.asarray(ROWS[:3]))), (ROWS,), 1e-3
    ),
    "vmap over a dictionary": Case(jax.vmap(lambda d: d["a"] * d["b"].sum()), ({"a": Y, "b": ROWS},)),
    "custom vjp": Case(jax.grad(lambda x: clipped(x).sum()), (X,)),
    "custom jvp": Case(lambda x: (smooth(x), jax.grad(lambda a: smooth(a).sum())(x)), (X,), 2e-3),
    "checkpoint": Case(jax.grad(lambda x: jax.checkpoint(lambda a: jnp.sin(a @ W))(x).sum()), (X,)),
    "jit within": Case(jax.jit(lambda a: jax.jit(jnp.exp)(a) + 1), (X,)),
    "newton in a scan": Case(newton, (np.abs(X) + 0.5,), 1e-3),
    "runge kutta": Case(runge_kutta, (X,), 1e-4),
    "associative scan": Case(associative, (X,), 1e-4),
    "map": Case(partial(lax.map, lambda row: row.sum() * 2), (ROWS,)),
    "gradient through a loop": Case(
        jax.grad(lambda x: lax.scan(lambda c, r: (c * 0.9 + jnp.sin(r), c), jnp.zeros(()), x)[0]), (X,)
    ),
    "loop with a public schedule": Case(
        lambda x: lax.fori_loop(0, 5, lambda i, a: a - jnp.cos(0.1 * i) * 0.1 * jax.grad(bowl)(a), x), (X,), 2e-3
    ),
    "loop with a choice": Case(
        lambda x: lax.fori_loop(0, 4, lambda i, a: jnp.where(a > i, a - 1, a + 0.5), x * 3), (X,)
    ),
    "public switch": Case(
        lambda x: lax.switch(jnp.asarray(1), [lambda a: a + 1, lambda a: a * 2, lambda a: a - 1], x), (X,)
    ),
    "secret branch": Case(lambda x: lax.cond(x[0] > x[1], jnp.sin, lambda a: a * 2, x), (X,)),
    "stopped gradient": Case(jax.grad(lambda x: jnp.sum(x * lax.stop_gradient(jnp.cos(x)))), (X,)),
    "implicit differentiation": Case(
        jax.grad(lambda x: lax.custom_root(lambda a: a**3 - x, 1.0, newton_root, lambda g, y: y / g(1.0))),
        (np.float64(2.0),),
        2e-3,
    ),
    "trees": Case(lambda t: jax.tree.map(lambda a: a * 2, t), ({"w": W, "b": [X, Y]},)),
    "one hot": Case(lambda x: x[:, None] * jax.nn.one_hot(jnp.asarray(PEAKS), 3), (X,)),
    "cumulative": Case(
        lambda x: (jnp.cumsum(x), jnp.cumsum(x[::-1])[::-1], lax.cumlogsumexp(x)),
        (X,),
    ),
}
