# SPDX-License-Identifier: Apache-2.0
"""Corpus: linear algebra, convolutions, sums at public places, Fourier transforms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(5)
_tall = _random.normal(size=(24, 5))
SPD = _tall.T @ _tall / 24 + 0.1 * np.eye(5)
_large = _random.normal(size=(64, 16))
SPD16 = _large.T @ _large / 64 + 0.2 * np.eye(16)
DOMINANT = np.eye(5) + 0.2 * _random.normal(size=(5, 5))
ROTATED = 1.5 * np.eye(5)[[1, 2, 3, 4, 0]] + 0.01 * np.eye(5)
GENERAL = _random.normal(size=(6, 4))
SQUARE = _random.normal(size=(4, 4))
B = _random.normal(size=5)
B2 = _random.normal(size=(5, 2))
IMAGES = _random.normal(size=(2, 2, 6, 5))
KERNEL = _random.normal(size=(4, 2, 3, 2)) / 3
ROWS = _random.normal(size=(8, 3))
PLACES = np.array([0, 2, 2, 5, 0, 0, 6, 1])
SIGNAL = _random.normal(size=(2, 8))
ODD = _random.normal(size=9)
CUBE = _random.normal(size=(2, 3, 4))

conv = lax.conv_general_dilated


def parts(z: Any) -> Any:
    return z.real, z.imag


def rebuilt(a: Any) -> Any:
    values, vectors = jnp.linalg.eigh(a)
    return values, vectors @ jnp.diag(values) @ vectors.T, vectors.T @ vectors


def put_together(a: Any) -> Any:
    left, values, right = jnp.linalg.svd(a, full_matrices=False)
    return values, left @ jnp.diag(values) @ right, left.T @ left


def triangles(a: Any, b: Any) -> Any:
    solve = jax.scipy.linalg.solve_triangular
    return (
        solve(a, b, lower=True),
        solve(a, b, lower=False),
        solve(a, b, lower=True, trans=1),
        solve(a, b, lower=True, unit_diagonal=True),
        lax.linalg.triangular_solve(a, b.T, left_side=False, lower=True),
        lax.linalg.triangular_solve(a, b.T, left_side=False, lower=False, transpose_a=True),
    )


def power_iteration(a: Any) -> Any:
    def step(v: Any, _: Any) -> Any:
        w = a @ v
        return w / jnp.linalg.norm(w), None

    return lax.scan(step, jnp.ones(5) / 5**0.5, None, length=8)[0]


def conjugate_gradient(a: Any, b: Any) -> Any:
    def step(state: Any, _: Any) -> Any:
        x, r, p = state
        size = r @ r
        alpha = size / (p @ a @ p)
        after = r - alpha * (a @ p)
        return (x + alpha * p, after, after + (after @ after) / size * p), None

    return lax.scan(step, (jnp.zeros(5), b, b), None, length=4)[0][0]


def newton_schulz(a: Any) -> Any:
    x = a.T / 4
    for _ in range(7):
        x = x @ (2 * jnp.eye(5) - a @ x)
    return x


def product_of_lu(a: Any) -> Any:
    factors, _, order = lax.linalg.lu(a)
    product = (jnp.tril(factors, -1) + jnp.eye(5)) @ jnp.triu(factors)
    return product[jnp.argsort(order)]


CASES: dict[str, Case] = {
    "cholesky": Case(jnp.linalg.cholesky, (SPD,), 5e-5),
    "cholesky of 16": Case(jnp.linalg.cholesky, (SPD16,), 5e-5),
    "solve": Case(jnp.linalg.solve, (SPD, B), 2e-3),
    "solve where pivots are zero": Case(jnp.linalg.solve, (ROTATED, B2), 1e-3),
    "determinant where pivots are zero": Case(
        lambda a: (jnp.linalg.det(a), *jnp.linalg.slogdet(a), jnp.linalg.inv(a)), (ROTATED,), 1e-3
    ),
    "solve many": Case(jnp.linalg.solve, (DOMINANT, B2), 1e-3),
    "solve 16": Case(jnp.linalg.solve, (SPD16, SPD16[:, :2].copy()), 1e-3),
    "solve positive": Case(lambda a, b: jax.scipy.linalg.solve(a, b, assume_a="pos"), (SPD, B), 1e-3),
    "factor once": Case(lambda a, b: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(a), b), (SPD, B2), 1e-3),
    "triangles": Case(triangles, (DOMINANT, B2), 6e-4),
    "inverse": Case(jnp.linalg.inv, (DOMINANT,), 1e-3),
    "inverses": Case(jnp.linalg.inv, (np.stack([SPD, DOMINANT]),), 3e-3),
    "determinant": Case(lambda a, b: (jnp.linalg.det(a), jnp.linalg.det(b[:2, :2])), (DOMINANT, SQUARE), 1e-4),
    "log determinant": Case(jnp.linalg.slogdet, (SPD,), 3e-4),
    "lu": Case(product_of_lu, (SPD,), 3e-5),
    "qr": Case(jnp.linalg.qr, (GENERAL,), 2e-4),
    "qr complete": Case(lambda a: jnp.linalg.qr(a, mode="complete"), (GENERAL,), 2e-4),
    "qr wide": Case(jnp.linalg.qr, (GENERAL.T.copy(),), 3e-4),
    "qr of 16": Case(lambda a: jnp.abs(jnp.diagonal(jnp.linalg.qr(a)[1])), (SPD16,), 1e-3),
    "eigenvalues": Case(rebuilt, (SPD,), 2e-3),
    "eigenvalues of 16": Case(jnp.linalg.eigvalsh, (SPD16,), 4e-3),
    "singular values": Case(put_together, (GENERAL,), 3e-3),
    "pseudo-inverse": Case(jnp.linalg.pinv, (GENERAL,), 1e-3),
    "least squares": Case(lambda a, b: jnp.linalg.lstsq(a, b)[0], (GENERAL, GENERAL[:, 0] + 1), 2e-3),
    "norms": Case(
        lambda a: (jnp.linalg.norm(a), jnp.linalg.norm(a, 1), jnp.linalg.norm(a, jnp.inf), jnp.linalg.norm(a, 2)),
        (SQUARE,),
        2e-3,
    ),
    "matrix power": Case(lambda a: (jnp.linalg.matrix_power(a, 3), jnp.linalg.matrix_power(a, -1)), (DOMINANT,), 1e-3),
    "matrix exponential": Case(lambda a: (jax.scipy.linalg.expm(a), jax.scipy.linalg.expm(a - a.T)), (DOMINANT,), 6e-4),
    "power iteration": Case(power_iteration, (SPD,), 5e-4),
    "conjugate gradient": Case(conjugate_gradient, (SPD + np.eye(5), B), 2e-3),
    "newton schulz": Case(newton_schulz, (DOMINANT,), 1e-3),
    "gradient of a solution": Case(
        jax.grad(lambda a, b: (jnp.linalg.solve(a, b) ** 2).sum()), (SPD + np.eye(5), B), 3e-3
    ),
    "gradient of a log determinant": Case(jax.grad(lambda a: jnp.linalg.slogdet(a)[1]), (SPD,), 5e-3),
    "gradient of cholesky": Case(jax.grad(lambda a: jnp.linalg.cholesky(a).sum()), (SPD + np.eye(5),), 1e-3),
    "products of all kinds": Case(
        lambda a, b: (
            jnp.kron(a[:2, :2], b[:2]),
            jnp.outer(b, b),
            jnp.vdot(b, b),
            jnp.tensordot(a, a),
            jnp.trace(a @ a),
        ),
        (SQUARE, B),
    ),
    "einsum": Case(
        lambda a: (jnp.einsum("ij,kj->ik", a, a), jnp.einsum("ij->j", a), jnp.einsum("ii", a @ a)), (SQUARE,)
    ),
    "cross and multi dot": Case(
        lambda a: (jnp.cross(a[:, :3], a[::-1, :3]), jnp.linalg.multi_dot([a, a.T, a])), (SQUARE,)
    ),
    "covariance": Case(lambda a: (jnp.cov(a.T), jnp.corrcoef(a.T)), (GENERAL,)),
    "convolution": Case(lambda x, k: (conv(x, k, (1, 1), "SAME"), conv(x, k, (2, 1), "VALID")), (IMAGES, KERNEL)),
    "dilated convolution": Case(lambda x, k: conv(x, k, (1, 2), [(2, 1), (-1, 3)], (2, 1), (1, 2)), (IMAGES, KERNEL)),
    "grouped convolution": Case(
        lambda x, k: (
            conv(x, k[:, :1], (1, 1), "SAME", feature_group_count=2),
            conv(x, k, (1, 1), "SAME", batch_group_count=2),
        ),
        (IMAGES, KERNEL),
    ),
    "public kernel": Case(
        lambda x: conv(
            x, jnp.asarray(KERNEL.transpose(2, 3, 1, 0)), (1, 1), "SAME", dimension_numbers=("NCHW", "HWIO", "NHWC")
        ),
        (IMAGES,),
    ),
    "gradient of a convolution": Case(
        jax.grad(lambda a, b: (conv(a, b, (2, 1), "SAME") ** 2).sum(), argnums=(0, 1)),
        (IMAGES, KERNEL),
        2e-3,
    ),
    "convolution of sequences": Case(lambda x, y: (jnp.convolve(x, y), jnp.correlate(x, y[:3])), (ODD, ODD[:4].copy())),
    "convolution in a loop": Case(
        lambda x: lax.fori_loop(0, 3, lambda i, a: a / 2 + jnp.convolve(x, jnp.arange(3.0) * (i + 1), mode="same"), x),
        (ODD,),
    ),
    "average pooling": Case(
        lambda x: (
            lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "SAME") / 4,
            jax.grad(lambda a: (lax.reduce_window(a, 0.0, lax.add, (1, 1, 3, 2), (1, 1, 2, 1), "VALID") ** 2).sum())(x),
        ),
        (IMAGES,),
    ),
    "moving average": Case(lambda x: lax.reduce_window(x, 0.0, lax.add, (3,), (1,), "VALID") / 3, (ODD,)),
    "sums of segments": Case(
        lambda v: (jax.ops.segment_sum(v, jnp.asarray(PLACES), 7), jnp.zeros(20).at[jnp.arange(8) * 2].add(v[:, 0])),
        (ROWS,),
    ),
    "scatter": Case(
        lambda v: (
            v.at[jnp.array([1, 1]), jnp.array([0, 2])].add(5.0),
            v.at[jnp.array([3, 0])].subtract(v[:2]),
            v.at[2:4].set(0.0),
            jnp.bincount(jnp.asarray(PLACES), weights=v[:, 0], length=10),
        ),
        (ROWS,),
    ),
    "scatter in a loop": Case(
        lambda v: lax.fori_loop(0, 4, lambda i, a: a.at[jnp.array([0, 2]) + i % 2].add(v[i, :2]), jnp.zeros(5)), (ROWS,)
    ),
    "gradient of a gather": Case(jax.grad(lambda v: (v[jnp.asarray(PLACES)] ** 2).sum()), (ROWS,)),
    "fourier": Case(
        lambda x: (*parts(jnp.fft.fft(x)), *parts(jnp.fft.rfft(x)), jnp.abs(jnp.fft.rfft(x))), (SIGNAL,), 2e-4
    ),
    "there and back": Case(
        lambda x, y: (
            jnp.fft.ifft(jnp.fft.fft(x)).real,
            jnp.fft.irfft(jnp.fft.rfft(y), n=9),
            jnp.fft.irfft(jnp.fft.rfft(x)),
        ),
        (SIGNAL, ODD),
        1e-4,
    ),
    "fourier in three dimensions": Case(
        lambda x: (*parts(jnp.fft.fftn(x)), jnp.fft.irfftn(jnp.fft.rfftn(x), s=(2, 3, 4)), *parts(jnp.fft.fft2(x))),
        (CUBE,),
        3e-4,
    ),
    "fast convolution": Case(
        lambda x, y: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(y), n=9), (ODD, ODD[::-1].copy()), 1e-4
    ),
    "spectrum": Case(lambda x: jnp.abs(jnp.fft.fftshift(jnp.fft.fft(x))) ** 2 / 9, (ODD,), 3e-4),
    "tiles": Case(
        lambda a: (jnp.tile(a, (2, 2)), jnp.block([[a, a], [a, a]]), jnp.tril(a), jnp.triu(a, 1), jnp.diag(a)),
        (SQUARE,),
    ),
    "meshes": Case(
        lambda b: (jnp.meshgrid(b, b), b[:, None] ** jnp.arange(3), jnp.stack([b**k for k in range(4)])), (B,)
    ),
    "shapes": Case(
        lambda a: (
            jnp.moveaxis(a[None], 0, -1),
            a.swapaxes(0, 1),
            a.ravel(),
            jnp.rot90(a),
            jnp.flip(a),
            jnp.roll(a, (1, 2), (0, 1)),
        ),
        (SQUARE,),
    ),
    "differences": Case(lambda a: (jnp.diff(a), jnp.gradient(a[0]), jnp.ediff1d(a[0]), jnp.trapezoid(a[0])), (SQUARE,)),
}
