# SPDX-License-Identifier: Apache-2.0
"""Programs that sort, run along axes, pool, read and write at secret places, and loop until secrets say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jali.mpc import bounded_while
from tests.mpc.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CASES"]

_random = np.random.default_rng(3)
A = _random.normal(size=(6, 4))
WHOLE = _random.integers(-3, 3, size=7)
BITS = _random.random(9) < 0.5
TIES = np.round(_random.normal(size=200) * 4) / 4
IMAGE = _random.normal(size=(1, 5, 6, 2))
FLAT = np.maximum(np.round(_random.normal(size=(1, 6, 6, 1)) * 2), 0)  # many equal elements
FACTORS = _random.random((4, 5)) + 0.5
LONG = _random.normal(size=200) * 3
X, U = _random.normal(size=(2, 4, 3))
NUMBERS = np.arange(12).reshape(4, 3) - 5
INDEX, NEGATIVE, OUTSIDE = np.array(2), np.array(-1), np.array(7)
INDICES = np.array([3, 0, 3, 1])
ALONG = np.array([[0, 3, 1]])
LEDGER = _random.normal(size=3000)


def pool(x: Any, padding: str = "SAME", *, size: int = 2, stride: int = 2, least: bool = False) -> Any:
    first, function = (jnp.inf, lax.min) if least else (-jnp.inf, lax.max)
    return lax.reduce_window(x, first, function, (1, size, size, 1), (1, stride, stride, 1), padding)


def total(x: Any, first: float = 0.0, *, stride: int = 2, padding: str = "SAME") -> Any:
    return lax.reduce_window(x, first, lax.add, (1, 2, 2, 1), (1, stride, stride, 1), padding)


def sorted_in_a_loop(x: Any) -> Any:
    def step(carry: Any, i: Any) -> Any:
        return carry + jnp.sort(x[i]), jnp.argsort(x[:, 0] + carry[0])

    return lax.scan(step, jnp.zeros(4), jnp.arange(3))


def places_in_loops(x: Any, v: Any) -> Any:
    written = lax.fori_loop(0, 3, lambda k, c: lax.dynamic_update_slice(c, x[:1], (v[k], 0)), x)
    return lax.scan(lambda c, i: (c.at[v[i]].add(x[i]), c[v[i]]), x, jnp.arange(4)), written


def chosen_branches(x: Any, *indices: Any) -> Any:
    branches = [lambda a: a + 1, lambda a: a * 2, lambda a: -a, lambda a: a * 0 + 7, jnp.zeros_like]
    varying = lax.scan(
        lambda c, k: (c + lax.switch(k, [lambda: 1.0, lambda: 2.0, lambda: x[0, 0]]), None), 0.0, jnp.arange(3)
    )
    known = lax.switch(indices[0], [lambda: 1, lambda: 2, lambda: 3])
    return [lax.switch(k, branches, x) for k in indices], varying[0], known


_PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "sorts": (
        lambda x, t: (
            jnp.sort(x, axis=0),
            jnp.sort(x, axis=1),
            jnp.sort(x, axis=None),
            jnp.sort(t, descending=True),
            jnp.sort(x[:2, 0]),
            jnp.sort(x[:3], axis=0),
            jnp.sort(x[:1], axis=0),
        ),
        (A, TIES),
    ),
    "orders": (
        lambda x, t: (jnp.argsort(x, axis=0), jnp.argsort(t), jnp.argsort(t, descending=True)),
        (A, TIES),
    ),
    "several keys": (
        lambda t, i: (
            jnp.lexsort((t, jnp.round(t))),
            lax.sort((i, i * 2, i > 0, jnp.arange(7)), num_keys=2),
        ),
        (TIES[:50], WHOLE),
    ),
    "what sorting is for": (
        lambda t, v, x, m, y: (
            jnp.histogram(t, bins=jnp.array([-2.0, -1.0, 0.0, 1.0, 2.0]))[0],
            jnp.bincount(v, length=5),
            jnp.isin(v, jnp.array([0, 2])),
            jnp.sort(x, axis=0)[1:-1].mean(0),
            jnp.argmax(m),
            jnp.argmin(m),
            (jnp.cumsum(1 - y[jnp.argsort(t)]) * y[jnp.argsort(t)]).sum(),
            jax.grad(lambda z: (jnp.sort(z, axis=0) * jnp.arange(24.0).reshape(6, 4)).sum())(x),
        ),
        (TIES[:40], INDICES, A, BITS, (np.arange(40) % 3 == 0).astype(float)),
    ),
    "greatest few": (lambda x, t: (lax.top_k(x, 2), lax.top_k(t, 5)), (A, TIES)),
    "sorted bits and whole numbers": (
        lambda m, i: (jnp.sort(m), jnp.argsort(m), jnp.sort(i), jnp.argsort(i)),
        (BITS, WHOLE),
    ),
    "sorted rows": (jax.vmap(lambda a: (jnp.sort(a), jnp.argsort(a))), (A,)),
    "quantiles of columns": (
        lambda x: (
            jnp.median(x),
            jnp.median(x, axis=1),
            jnp.quantile(x, jnp.array([0.25, 0.5]), axis=0),
            jnp.percentile(x, 30),
        ),
        (A,),
    ),
    "sorted by public keys": (
        lambda x: (
            lax.sort((jnp.array([3, 1, 2, 0, 5, 4]), x[:, 0]), num_keys=1),
            lax.sort((jnp.array([3, 1, 1, 0, 3, 0]), x[:, 0]), num_keys=2),
        ),
        (A,),
    ),
    "sorted in a loop": (sorted_in_a_loop, (A,)),
    "running results": (
        lambda x, f, long: (
            lax.cummax(x, axis=0),
            lax.cummax(x, axis=1, reverse=True),
            lax.cummin(x, axis=0),
            lax.cummax(long),
            jnp.cumprod(f, axis=1),
            lax.cumlogsumexp(x, axis=0),
        ),
        (A, FACTORS, LONG),
    ),
    "pooling": (
        lambda p: (pool(p), pool(p, "VALID"), pool(p, size=3, stride=1), pool(p, "VALID", least=True)),
        (IMAGE,),
    ),
    "sums of windows": (
        lambda p: (
            total(p),
            total(p, 1.0, stride=1, padding="VALID"),
            lax.reduce_window(p, 0.5, lax.max, (1, 2, 2, 1), (1, 1, 1, 1), "SAME"),
            lax.reduce_window(p, 0.5, lax.min, (1, 2, 2, 1), (1, 1, 1, 1), "SAME"),
        ),
        (IMAGE,),
    ),
    "gradients of pooling": (
        lambda p, q: (
            jax.grad(lambda z: (pool(z) * z[:, :3, :3, :]).sum())(p),
            jax.grad(lambda z: pool(z).sum())(q),
            jax.grad(lambda z: pool(z, size=3, stride=1).sum())(q),
            jax.grad(lambda z: pool(z, "VALID", least=True).sum())(p),
            jax.grad(lambda z: (total(z) ** 2).sum())(p),
        ),
        (IMAGE, FLAT),
    ),
    "tangents of pooling": (lambda p, t: jax.jvp(pool, (p,), (t,)), (IMAGE, IMAGE * 2)),
    "secret places read": (
        lambda x, i, m, v, b, n: (
            x[i],
            x[m],
            x[i, 1:],
            x[:, m],
            x[v],
            x[i, i],
            b[i],
            n[v],
            x[v, v[::-1] * 0 + 1],
            jnp.asarray(U)[v],
            jax.nn.one_hot(v, 4),
        ),
        (X, INDEX, NEGATIVE, INDICES, BITS[:5], NUMBERS),
    ),
    "secret places outside": (
        lambda x, o, n: (
            x[o],
            jnp.take(x, o, axis=0, mode="clip"),
            jnp.take(n, o, axis=0),
            jnp.take(x, o, axis=0, mode="fill", fill_value=2.5),
            jnp.take(x, jnp.stack([o, o - 6]), axis=0, mode="fill", fill_value=0),
            x.at[o].set(1.0),
            x.at[o].add(1.0),
            x.at[o].set(1.0, mode="clip"),
        ),
        (X, OUTSIDE, NUMBERS),
    ),
    "secret places along an axis": (
        lambda x, j: (
            jnp.take_along_axis(x, j, axis=0),
            jnp.take_along_axis(x, jnp.argmax(x, axis=1, keepdims=True), axis=1),
        ),
        (X, ALONG),
    ),
    "secret places written": (
        lambda x, i, v, u, m, b: (
            x.at[i].set(1.5),
            x.at[i].set(u[0]),
            x.at[i, 0].set(2.0),
            x.at[m].add(1.0),
            x.at[v].add(u),
            x.at[i].max(0.0),
            x.at[i].min(u[1]),
            x.at[v].max(u),
            x.at[v].min(u),
            x.at[i].multiply(3.0),
            b.at[i].set(True),
            x.at[:, i].set(0.0),
            jax.ops.segment_min(u[:, 0], v, num_segments=4)[jnp.array([0, 1, 3])],
            x.at[jnp.stack([i, i])].set(jnp.asarray(U[:2])),
            x.at[jnp.stack([i, i + 5])].mul(jnp.asarray(U[:2])),
        ),
        (X, INDEX, INDICES, U, NEGATIVE, BITS[:5]),
    ),
    "secret windows": (
        lambda x, i, m: (
            lax.dynamic_slice(x, (i, 0), (2, 3)),
            lax.dynamic_slice(x, (i, m), (2, 2)),
            lax.dynamic_update_slice(x, jnp.ones((2, 2)), (i, 1)),
            lax.dynamic_update_slice(x, x[:2, :2], (i, m)),
            lax.dynamic_index_in_dim(x, i, 1),
        ),
        (X, INDEX, NEGATIVE),
    ),
    "secret places of rows": (
        lambda x, i, v: (
            jax.vmap(lambda r: r[i])(x),
            jax.vmap(lambda r, k: r[k])(x, v),
            jax.vmap(lambda r, k: r.at[k].set(9.0))(x, v),
            jax.vmap(lambda r, k: r.at[k].add(r[0]))(x, v),
            jax.vmap(lambda c: c[v])(jnp.stack([x, x * 2])),
        ),
        (X, INDEX, INDICES),
    ),
    "secret places in loops": (places_in_loops, (X, INDICES)),
    "public places written": (
        lambda x, u, long: (
            x.at[np.array([0, 0, 2])].add(u[:3]),
            x.at[np.array([0, 0, 2, 0])].max(u),
            x.at[np.array([0, 1, 1, 1])].min(u),
            x.at[np.array([1, 1, 3, 9])].multiply(u),
            x.at[np.array([8, 9])].max(1.0),
            jax.ops.segment_sum(u[:, 0], np.array([0, 1, 0, 2]), 3),
            jax.ops.segment_max(u[:, 0], np.array([0, 1, 0, 2]), 3),
            jnp.zeros(50).at[np.arange(3000) % 50].add(long),
        ),
        (X, U, LEDGER),
    ),
    "searches": (
        lambda x, q, many: (
            jnp.searchsorted(jnp.array([-1.0, 0.0, 0.5, 1.0]), x),
            jnp.searchsorted(jnp.sort(jnp.round(x)), jnp.round(q), side="right"),
            jnp.searchsorted(jnp.sort(jnp.round(x)), jnp.round(q)),
            jnp.searchsorted(jnp.sort(jnp.round(many)), jnp.round(many[:90]), side="right"),
            jnp.searchsorted(jnp.sort(jnp.round(many)), jnp.round(many[:90])),
            jnp.digitize(x, jnp.array([1.0, 0.0, -1.0]), right=True),
        ),
        (X[:, 0], U[:, 0], LONG),
    ),
    "different elements": (
        lambda i, x: (
            jnp.unique(i, size=9, return_counts=True, return_inverse=True, return_index=True, fill_value=0),
            jnp.unique(jnp.round(x), size=8),
            jnp.nonzero(i > 0, size=4, fill_value=0),
        ),
        (WHOLE, A),
    ),
    "whole numbers divided": (
        lambda i: (i // 7, i % 7, i // 2, i % 2, i // 1000003, i // 1),
        (np.array([0, 1, -1, 6, 7, -7, -8, 2**29, -(2**29), 123456789, 1000003, -1000004]),),
    ),
    "loops until secrets say so": (
        lambda x, n: (
            bounded_while(lambda c: c[0].sum() < 9, lambda c: (c[0] * 1.5 + 0.1, c[1] + 1), (jnp.abs(x), 0), most=12),
            bounded_while(lambda k: k * k < n, lambda k: k + 1, 0, most=8),
        ),
        (A, np.array(30)),
    ),
    "switches": (chosen_branches, (A, INDEX, NEGATIVE, OUTSIDE)),
    "choices between several": (lambda x, i: lax.select_n(jnp.broadcast_to(i, (6, 4)), x, x + 1, x + 2), (A, INDEX)),
}

CASES = {name: Case(function, inputs) for name, (function, inputs) in _PROGRAMS.items()}
