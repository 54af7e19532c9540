# SPDX-License-Identifier: Apache-2.0
"""Rules: eigenvalues of symmetric matrices and singular values, by Jacobi's rotations.

Every step rotates all n / 2 pairs of a round of a tournament at once; n - 1 steps are a sweep, in which each pair meets
once. The number of sweeps is public: six make matrices of up to about 16 rows diagonal as far as 18 bits go.

References: Brent and Luk 1985, The solution of singular-value and symmetric eigenvalue problems on multiprocessor
arrays; Hestenes 1958 (rotations of columns, for singular values).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.lower.linalg import batched
from jali.mpc.lower.traced import named, program

__all__: list[str] = []

_SWEEPS = 6
_GAIN = 8.0  # squares of what is smaller than 1 / 1000 would vanish in 18 bits
_COLUMN_GAIN = 4.0


@program("eigh")
def _eigh(jax: Any, params: Any, a: Any) -> Any:
    """Orthonormal vectors and ascending values. Cost: 6 (n - 1) steps, each about the rounds of `rsqrt` and twenty."""
    if params.get("subset_by_index") not in (None, (0, a.shape[-1])):
        raise UnsupportedOperation("eigh of a part of the values: take all, and then the part")

    def decompose(matrix: Any) -> Any:
        jnp = jax.numpy
        n = matrix.shape[0]
        lower = jnp.tril(matrix) if params["lower"] else jnp.triu(matrix).T
        symmetric = lower + jnp.tril(lower, -1).T
        even = n + n % 2
        start = jnp.pad(symmetric, (0, even - n)), jnp.eye(even)
        diagonal, rows = _swept(jax, _rotated_both, start)
        values, vectors = jnp.diagonal(diagonal)[:n], rows[:n, :n]
        if params.get("sort_eigenvalues", True):
            values, vectors = _sorted(jnp, values, [vectors])
            (vectors,) = vectors
        return vectors.T, values

    return batched(jax, decompose, a)


@program("svd")
def _svd(jax: Any, params: Any, a: Any) -> Any:
    """Descending singular values, and U and V^T of their number of columns and rows. Cost: as `eigh`."""
    m, n = a.shape[-2:]
    if params.get("subset_by_index") not in (None, (0, min(m, n))):
        raise UnsupportedOperation("svd of a part of the values: take all, and then the part")
    if params["compute_uv"] and params["full_matrices"] and m != n:
        raise UnsupportedOperation("svd with full_matrices of a matrix that is not square: full_matrices=False")

    def decompose(matrix: Any) -> Any:
        if m < n:
            values, left, right = _tall_svd(jax, matrix.T)
            return values, right.T, left.T
        values, left, right = _tall_svd(jax, matrix)
        return values, left, right

    values, left, right = batched(jax, decompose, a)
    return (values, left, right) if params["compute_uv"] else values


def _tall_svd(jax: Any, matrix: Any) -> Any:
    """For m >= n: values (n,), U (m, n) and V^T (n, n)."""
    jnp = jax.numpy
    n = matrix.shape[1]
    even = n + n % 2
    start = jnp.pad(matrix.T, ((0, even - n), (0, 0))), jnp.eye(even)
    columns, rows = _swept(jax, _rotated_columns, start)
    columns, rows = columns[:n], rows[:n, :n]
    columns = columns * _GAIN
    squares = jnp.sum(columns * columns, axis=1)
    inverse = jax.lax.rsqrt(squares)
    negated, (units, rows) = _sorted(jnp, -squares * inverse / _GAIN, [columns * inverse[:, None], rows])
    return -negated, units.T, rows


def _swept(jax: Any, step: Any, start: Any) -> Any:
    """All sweeps; after each the rows are in their first order again."""
    n = start[0].shape[0]
    order = _next_round(n)

    def body(state: Any, _: Any) -> Any:
        return step(jax, *state, order), None

    state, _ = jax.lax.scan(body, start, None, length=_SWEEPS * (n - 1))
    return state


def _next_round(n: int) -> Any:
    """Which row comes to each place for the next round of the tournament: the first stays, the others move around."""
    top, bottom = list(range(0, n, 2)), list(range(1, n, 2))
    if n > 2:
        top, bottom = [top[0], bottom[0], *top[1:-1]], [*bottom[1:], top[-1]]
    return np.array([(top, bottom)[k % 2][k // 2] for k in range(n)])


def _rotation(jax: Any, gap: Any, product: Any, *, gain: float = 1.0) -> Any:
    """The rotations (c, -s; s, c) that make each 2 by 2 matrix (p, product; product, p + gap) diagonal.

    With h^2 = gap^2 + 4 product^2: tan(angle) = (2 product / h) / (1 + |gap| / h), with the sign of the gap.
    """
    jnp = jax.numpy
    gap, product = gap * gain, product * (2 * gain)
    inverse = jax.lax.rsqrt(gap * gap + product * product)
    sign = jnp.where(gap < 0, -1.0, 1.0)
    share = named(jax, "reciprocal_unit", lambda c: 1 / c)(1 + sign * gap * inverse)
    tangent = sign * product * inverse * share
    c = named(jax, "rsqrt_unit", lambda v: v**-0.5)(1 + tangent * tangent)
    s = tangent * c
    return jnp.stack([jnp.stack([c, -s], axis=1), jnp.stack([s, c], axis=1)], axis=1)


def _turned(jnp: Any, rotations: Any, rows: Any) -> Any:
    """Pairs of neighbouring rows, rotated."""
    pairs = rows.reshape(rotations.shape[0], 2, rows.shape[1])
    return jnp.einsum("iab,ibn->ian", rotations, pairs).reshape(rows.shape)


def _rotated_both(jax: Any, matrix: Any, rows: Any, order: Any) -> Any:
    """One step for a symmetric matrix: its rows and columns, and the vectors' rows."""
    jnp = jax.numpy
    diagonal = jnp.diagonal(matrix)
    beside = jnp.diagonal(matrix, 1)[::2]
    rotations = _rotation(jax, diagonal[1::2] - diagonal[::2], beside, gain=_GAIN)
    half = _turned(jnp, rotations, matrix)
    turned = _turned(jnp, rotations, half.T).T
    return turned[order][:, order], _turned(jnp, rotations, rows)[order]


def _rotated_columns(jax: Any, columns: Any, rows: Any, order: Any) -> Any:
    """One step for the columns of a matrix, which stand here as rows."""
    jnp = jax.numpy
    first, second = columns[::2] * _COLUMN_GAIN, columns[1::2] * _COLUMN_GAIN
    gap = jnp.sum((second - first) * (second + first), axis=1)
    rotations = _rotation(jax, gap, jnp.sum(first * second, axis=1))
    return _turned(jnp, rotations, columns)[order], _turned(jnp, rotations, rows)[order]


def _sorted(jnp: Any, values: Any, others: list[Any]) -> Any:
    """Ascending values, and rows of other arrays in the same order: each value's rank says where it goes."""
    n = values.shape[0]
    if n == 1:
        return values, others
    first, second = np.triu_indices(n, 1)
    wins = (values[second] < values[first]).astype(int)
    count = np.arange(n)
    ahead, behind = (first == count[:, None]).astype(int), (second == count[:, None]).astype(int)
    rank = (ahead - behind) @ wins + np.sum(behind, axis=1)
    places = (rank[None, :] == count[:, None]).astype(float)
    return places @ values, [places @ other for other in others]
