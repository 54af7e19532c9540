# SPDX-License-Identifier: Apache-2.0
"""Rules: matrix factorisations and triangular systems, as programs of jax.numpy.

Nobody may see where a pivot is, so LU has none: it is for matrices that need none (positive definite or diagonally
dominant ones). `jnp.linalg.solve`, `inv`, `det` and `slogdet` of one matrix go through QR instead, which is for all.
Each program handles one matrix; batches run side by side.

Numbers of 18 fraction bits want matrices whose entries are about 1: divide by a common scale first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.errors import UnsupportedOperation
from jali.core.extras import need
from jali.mpc.lower.builder import Builder, Operand, rule
from jali.mpc.lower.functions import HOOKS
from jali.mpc.lower.hooks import Hook
from jali.mpc.lower.traced import named, program, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["batched", "orthogonal"]


def batched(jax: Any, body: Callable[..., Any], *arrays: Any) -> Any:
    """A function of matrices over all leading axes."""
    lead = arrays[0].ndim - 2
    for _ in range(lead):
        body = jax.vmap(body)
    return body(*arrays)


@program("cholesky")
def _cholesky(jax: Any, params: Any, a: Any) -> Any:
    """The lower factor, column by column: each entry is one inner product, truncated once.

    Cost: for each column a dot product, one `rsqrt` and a product.
    """
    jnp = jax.numpy

    def factor(matrix: Any) -> Any:
        n = matrix.shape[0]
        done = jnp.zeros((n, 0))
        for k in range(n):
            column = matrix[k:, k] - done[k:] @ done[k]
            scaled = column * jax.lax.rsqrt(column[0])
            done = jnp.concatenate([done, jnp.pad(scaled, (k, 0))[:, None]], axis=1)
        return done

    return batched(jax, factor, a)


@program("lu")
def _lu(jax: Any, params: Any, a: Any) -> Any:
    """L and U in one matrix, without pivots: the permutation is the identity.

    Cost: for each column a dot product, one `reciprocal` and a product.
    """
    jnp = jax.numpy
    m, n = a.shape[-2:]
    order = jnp.broadcast_to(jnp.arange(m, dtype=jnp.int32), (*a.shape[:-2], m))
    return batched(jax, lambda matrix: _without_pivots(jnp, matrix), a), order[..., : min(m, n)], order


def _without_pivots(jnp: Any, matrix: Any) -> Any:
    """Row k of U, then column k of L, from the rows and columns before."""
    m, n = matrix.shape
    lower, upper = jnp.zeros((m, 0)), jnp.zeros((0, n))
    for k in range(min(m, n)):
        row = matrix[k, k:] - lower[k] @ upper[:, k:]
        column = matrix[k + 1 :, k] - lower[k + 1 :] @ upper[:, k]
        if k + 1 < m:
            column = column * (1 / row[0])
        upper = jnp.concatenate([upper, jnp.pad(row, (k, 0))[None]], axis=0)
        lower = jnp.concatenate([lower, jnp.pad(column, (k + 1, 0))[:, None]], axis=1)
    return jnp.pad(lower, ((0, 0), (0, n - lower.shape[1]))) + jnp.pad(upper, ((0, m - upper.shape[0]), (0, 0)))


@program("triangular_solve")
def _triangular_solve(jax: Any, params: Any, a: Any, b: Any) -> Any:
    """X with op(A) X = B or X op(A) = B, by the inverse of the triangle.

    Cost: one `reciprocal` of the diagonal, and about 2 log2(n) rounds of products.
    """
    transposed, lower, left = params["transpose_a"], params["lower"], params["left_side"]
    unit = params["unit_diagonal"]

    def solve(triangle: Any, right: Any) -> Any:
        matrix = triangle.T if transposed == left else triangle
        # from here on the system is matrix @ x = right
        upper = lower == (transposed == left)
        target = right if left else right.T
        flip = slice(None, None, -1) if upper else slice(None)
        solved = _forward(jax, matrix[flip, flip], target[flip], unit=unit)[flip]
        return solved if left else solved.T

    return batched(jax, solve, a, b)


def _forward(jax: Any, lower: Any, b: Any, *, unit: bool) -> Any:
    """Solve a lower triangular system; what stands above the diagonal is not looked at."""
    jnp = jax.numpy
    n = lower.shape[0]
    strict = jnp.tril(lower, -1)
    if not unit:
        inverse = 1 / jnp.diagonal(lower)
        strict, b = strict * inverse[:, None], b * inverse[:, None]
    if n == 1:
        return b
    return _unit_inverse(jnp, strict) @ b


def _unit_inverse(jnp: Any, strict: Any) -> Any:
    """The inverse of I + strict, in blocks of doubled size: [[A, 0], [C, B]] has [[A', 0], [-B' C A', B']]."""
    n = strict.shape[0]
    whole = 1 << (n - 1).bit_length()
    matrix = jnp.pad(strict, (0, whole - n))
    blocks = jnp.ones((whole, 1, 1))
    size = 1
    while size < whole:
        pairs = whole // (2 * size)
        grid = matrix.reshape(pairs, 2 * size, pairs, 2 * size)
        corners = jnp.stack([grid[i, size:, i, :size] for i in range(pairs)])
        first, second = blocks[0::2], blocks[1::2]
        below = -(corners if size == 1 else second @ (corners @ first))
        top = jnp.concatenate([first, jnp.zeros_like(first)], axis=2)
        blocks = jnp.concatenate([top, jnp.concatenate([below, second], axis=2)], axis=1)
        size *= 2
    return blocks[0][:n, :n]


@rule("custom_linear_solve")
def _custom_linear_solve(build: Builder, params: Any, *operands: Operand) -> Sequence[Operand]:
    """The way to solve that the caller gave; the one for derivatives is not needed any more."""
    from jali.mpc.lower.control import walk

    lengths, programs = params["const_lengths"], params["jaxprs"]
    start = lengths.matvec + lengths.vecmat
    constants = operands[start : start + lengths.solve]
    right = operands[start + lengths.solve + lengths.transpose_solve :]
    return walk(build, programs.solve, [*constants, *right])


@program("qr")
def _qr(jax: Any, params: Any, a: Any) -> Any:
    """Q and R by Householder's reflections, with LAPACK's signs; the columns must be independent.

    Cost: for each column `rsqrt`, `reciprocal_unit`, a sign and six products.
    """
    if params.get("pivoting"):
        raise UnsupportedOperation("qr with pivoting shows in the permutation which columns are large: pivoting=False")
    full = params["full_matrices"]

    def factor(matrix: Any) -> Any:
        size = matrix.shape[0] if full else min(matrix.shape)
        q, r = orthogonal(jax, matrix)
        return q[:, :size], jax.numpy.triu(r[:size])

    return batched(jax, factor, a)


def orthogonal(jax: Any, matrix: Any) -> Any:
    """Q (m, m) and R (m, n) with Q R = matrix."""
    jnp = jax.numpy
    m, n = matrix.shape
    q, r = jnp.eye(m), matrix
    for k in range(min(m - 1, n)):
        v, beta = _reflector(jax, r[k:, k])
        r = r - jnp.pad(jnp.outer(v, beta * (v @ r[k:, k:])), ((k, 0), (k, 0)))
        q = q - jnp.pad(jnp.outer(q[:, k:] @ v, beta * v), ((0, 0), (k, 0)))
    return q, r


def _reflector(jax: Any, x: Any) -> Any:
    """v and beta = 2 / |v|^2 such that (I - beta v v^T) x is a multiple of the first axis.

    x is made a unit vector u first, with one step of Newton's method for the digits that a large norm costs; then
    v = u + sign(u_0) e_0, and |v|^2 = 2 (1 + |u_0|).
    """
    jnp = jax.numpy
    unit = x * jax.lax.rsqrt(x @ x)
    unit = unit * (1.5 - 0.5 * (unit @ unit))
    sign = jnp.where(unit[0] < 0, -1.0, 1.0)
    reciprocal_unit = named(jax, "reciprocal_unit", lambda c: 1 / c)
    return jnp.concatenate([unit[:1] + sign, unit[1:]]), reciprocal_unit(1 + sign * unit[0])


# -- jnp.linalg on any matrix ---------------------------------------------------------------------------------------


def _of_one_matrix(body: Callable[..., Any]) -> Callable[..., Sequence[Operand] | None]:
    """A function of jnp.linalg in another form, which needs no pivots and no branches; batches are left to jax."""

    def lowered(build: Builder, *operands: Operand) -> Sequence[Operand] | None:
        if len(operands[0].shape) != 2:
            return None
        jax = need("jax", extra="jax")
        described = [jax.ShapeDtypeStruct(x.shape, "float64") for x in operands]
        return traced(build, lambda *arrays: body(jax, *arrays), operands, described=described)

    return lowered


def _solved(jax: Any, a: Any, b: Any) -> Any:
    q, r = orthogonal(jax, a)
    right = q.T @ (b if b.ndim == 2 else b[:, None])
    x = _forward(jax, r[::-1, ::-1], right[::-1], unit=False)[::-1]
    return x if b.ndim == 2 else x[:, 0]


def _inverted(jax: Any, a: Any) -> Any:
    return _solved(jax, a, jax.numpy.eye(a.shape[0]))


def _determinant(jax: Any, a: Any) -> Any:
    """The product of R's diagonal; each of the n - 1 reflections turned the sign."""
    return (-1.0) ** (a.shape[0] - 1) * jax.numpy.prod(jax.numpy.diagonal(orthogonal(jax, a)[1]))


def _log_determinant(jax: Any, a: Any) -> Any:
    diagonal = jax.numpy.diagonal(orthogonal(jax, a)[1])
    sign = (-1.0) ** (a.shape[0] - 1) * jax.numpy.prod(jax.numpy.sign(diagonal))
    return sign, jax.numpy.sum(jax.numpy.log(jax.numpy.abs(diagonal)))


def _exponential(jax: Any, a: Any) -> Any:
    """e^A for |A| <= 4: a polynomial of degree 6 in A / 16, squared four times. Cost: 7 products of matrices."""
    unit = jax.numpy.eye(a.shape[0])
    x = a / 16
    square = x @ x
    cube = square @ x
    power = unit + x + square / 2 + cube @ (unit / 6 + x / 24 + square / 120 + cube / 720)
    for _ in range(4):
        power = power @ power
    return power


HOOKS["expm"] = Hook(_of_one_matrix(_exponential), operands=1)
HOOKS["solve"] = Hook(_of_one_matrix(_solved), operands=2, contains="lu")
HOOKS["inv"] = Hook(_of_one_matrix(_inverted), operands=1, contains="lu")
HOOKS["det"] = Hook(_of_one_matrix(_determinant), operands=1, contains="lu")
HOOKS["slogdet"] = Hook(_of_one_matrix(_log_determinant), operands=1, results=2, contains="lu")


@program("householder_product")
def _householder_product(jax: Any, params: Any, a: Any, taus: Any) -> Any:
    """The first columns of the product of the reflections I - tau v v^T."""
    jnp = jax.numpy

    def product(matrix: Any, factors: Any) -> Any:
        m, n = matrix.shape
        q = jnp.eye(m, n)
        for k in reversed(range(factors.shape[0])):
            v = jnp.concatenate([jnp.zeros(k), jnp.ones(1), matrix[k + 1 :, k]])
            q = q - jnp.outer(v, factors[k] * (v @ q))
        return q

    return batched(jax, product, a, taus)
