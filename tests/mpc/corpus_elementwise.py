# SPDX-License-Identifier: Apache-2.0
"""Corpus: elementwise mathematics, whole numbers and their bits, complex numbers inside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(11)
X = _random.normal(size=12) * 2
Y = np.roll(X, 5)
UNIT = np.round(np.tanh(X) * 0.97, 3)
POSITIVE = np.abs(X) + 0.25
HALVES = np.arange(-7, 8) / 2
I = _random.integers(-5000, 5000, 12)  # noqa: E741 - whole numbers
J = _random.integers(1, 90, 12) * _random.choice([-1, 1], 12)
WIDE = _random.integers(-(2**60), 2**60, 6)
SMALL = np.array([1e-4, -3e-4, 2.5e-3, 0.2, -0.2])


barrier: Any = lax.optimization_barrier


def parts(z: Any) -> Any:
    return z.real, z.imag


def mandelbrot(x: Any, y: Any) -> Any:
    z = c = x + 1j * y
    for _ in range(3):
        z = z * z + c
    return jnp.abs(z)


CASES: dict[str, Case] = {
    "circle": Case(lambda x: (jnp.sin(x), jnp.cos(x), jnp.tan(x / 4)), (X,), 4e-5),
    "many turns": Case(lambda x: (jnp.sin(x * 400), jnp.cos(x * -400)), (X,), 2e-3),
    "identity of the circle": Case(lambda x: jnp.sin(x) ** 2 + jnp.cos(x) ** 2, (X,), 3e-5),
    "arcs": Case(lambda x: (jnp.arcsin(x), jnp.arccos(x), jnp.arctan(x)), (UNIT,), 1e-4),
    "angle of a point": Case(jnp.arctan2, (X, Y), 5e-5),
    "hyperbolic": Case(lambda x: (jnp.sinh(x), jnp.cosh(x), jnp.tanh(x)), (X,), 6e-4),
    "hyperbolic arcs": Case(lambda x, p: (jnp.arcsinh(x), jnp.arccosh(1 + p)), (X, POSITIVE), 5e-5),
    "hyperbolic arc tangent": Case(jnp.arctanh, (UNIT,), 2e-4),
    "roots": Case(lambda p: (jnp.sqrt(p), jnp.cbrt(p), jnp.cbrt(-p), p**0.25, 1 / jnp.sqrt(p)), (POSITIVE,), 5e-5),
    "cube root of nothing": Case(jnp.cbrt, (np.array([0.0, -8.0, 0.001]),), 5e-5),
    "logarithms": Case(lambda p: (jnp.log(p), jnp.log2(p), jnp.log10(p), jnp.log1p(p)), (POSITIVE,), 5e-5),
    "near zero": Case(lambda x: (jnp.log1p(x), jnp.expm1(x), x - jnp.sin(x)), (SMALL,), 1.5e-5),
    "exponentials": Case(lambda x: (jnp.exp(x), jnp.exp2(x), jnp.expm1(x), 10.0**x), (X,), 4e-3),
    "powers": Case(lambda p, y: (p**y, p**2.5, p**-1.5, 0.5**y), (POSITIVE, UNIT), 6e-4),
    "powers of whole exponents": Case(lambda x: (x**4, x**-2, x**7, jnp.power(x, 3)), (UNIT + np.sign(UNIT),), 2e-3),
    "a distance on the sphere": Case(
        lambda a, b: 2 * jnp.arcsin(jnp.sqrt(jnp.sin((a - b) / 2) ** 2 + jnp.cos(a) * jnp.cos(b) * 0.1)),
        (UNIT, UNIT[::-1].copy()),
    ),
    "rounding to even": Case(lambda x: (jnp.round(x), jnp.rint(x), jnp.around(x * 0.36, 1)), (HALVES,), 5e-6),
    "rounding away": Case(lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), (HALVES,)),
    "whole and rest": Case(lambda x: (*jnp.modf(x), jnp.trunc(x), x % 1.0), (X,), 1e-5),
    "remainders": Case(
        lambda x: (x % 0.75, jnp.fmod(x, 0.75), jnp.remainder(x, -0.75), jnp.mod(3.0, jnp.abs(x) + 0.5)),
        (np.array([0.3, 1.1, -0.2, 2.6, -1.4]),),
        5e-5,
    ),
    "sign and size": Case(lambda x, y: (jnp.abs(x), jnp.fabs(y), jnp.heaviside(x, 0.5), jnp.sign(y)), (X, Y)),
    "clip and between": Case(lambda x: (jnp.clip(x, -1, 1), lax.clamp(-0.5, x, 0.5), (x > -1) & (x < 1)), (X,)),
    "polynomials": Case(
        lambda x: (jnp.polyval(jnp.array([1.0, -2.0, 0.5]), x), jnp.polyval(x[:3], 0.5), x * (1 + x * (0.5 + x))), (X,)
    ),
    "interpolated steps": Case(lambda x: jnp.sum(jnp.maximum(0.0, x[:, None] - jnp.arange(-2.0, 3.0)), axis=1), (X,)),
    "sinc and gaussian": Case(lambda x: (jnp.sinc(x), jnp.exp(-x * x / 2)), (X,), 5e-5),
    "division of whole numbers": Case(
        lambda i: (i // 7, i % 7, i // -13, i % -13, *jnp.divmod(i, 64), lax.div(i, jnp.int64(9))), (I,)
    ),
    "division by an array": Case(lambda i: (i // J, i % J), (I,)),
    "division of large numbers": Case(lambda i: (i // 1000003, i % 65536, i // 3), (WIDE,)),
    "division by a secret": Case(lambda i, j: (i // j, i % j, lax.rem(i, j)), (I, J)),
    "greatest common divisor": Case(lambda i, j: (i * j) % 11 + (i + j) // 2, (I, J)),
    "logic of whole numbers": Case(lambda i, j: (i & j, i | j, i ^ j, ~i, i & 0xFF, i | 3, i ^ -1), (I, J)),
    "logic of bits": Case(lambda i: ((i > 0) & (i < 9) | (i == 3), (i > 5) ^ (i < 0), ~(i > 0)), (I,)),
    "shifts": Case(
        lambda i, j: (i << 3, i >> 2, lax.shift_right_logical(i, jnp.int64(5)), i >> jnp.abs(j) % 60, i << (j % 7)),
        (I, J),
    ),
    "counts of bits": Case(
        lambda i: (lax.population_count(i), lax.clz(i), jnp.bitwise_xor.reduce(i), i.max(), jnp.bitwise_count(i)), (I,)
    ),
    "parity": Case(lambda i: (i % 2, (i & 1) == 1, lax.reduce_xor(i > 0, axes=(0,))), (I,)),
    "a hash": Case(lambda i: ((i * 31 + 17) ^ (i >> 4)) & 0xFFF, (I,)),
    "gray code": Case(lambda i: jnp.abs(i) ^ (jnp.abs(i) >> 1), (I,)),
    "complex arithmetic": Case(
        lambda x, y: (*parts((x + 1j * y) * (2 - 1j) / (1 + 2j)), *parts(jnp.conj(x + 1j * y) - 3)), (X, Y)
    ),
    "complex division": Case(lambda x, y: parts((1 + 1j * x) / (2 + jnp.abs(y) + 1j * x)), (X, Y)),
    "euler": Case(lambda x: (*parts(jnp.exp(1j * x)), jnp.angle(1 + 1j * x)), (X,), 1e-4),
    "mandelbrot": Case(mandelbrot, (UNIT * 0.5, UNIT[::-1] * 0.5), 1e-4),
    "quadratic formula": Case(
        lambda b: (-b + jnp.sqrt(b * b + 4)) / 2 * jnp.where(b > 0, 1.0, -1.0),
        (X,),
    ),
    "conversions": Case(
        lambda x, i: (x.astype(int), i.astype(float) / 3, (i > 0).astype(int) * 2, x.astype(bool)), (X, I)
    ),
    "nothing happens": Case(
        lambda x: (lax.stop_gradient(x), jnp.copy(x), barrier(x), jax.named_call(lambda a: a)(x)), (X,)
    ),
    "finite": Case(lambda x: (jnp.isfinite(x), jnp.isnan(x), jnp.isinf(x), jnp.nan_to_num(x)), (X,)),
    "nan in a choice": Case(lambda x: jnp.where(x > -100, x, jnp.nan), (X,)),
    "a choice of four": Case(
        lambda x: (
            jnp.select([x > 1, x > 0, x > -1], [x * 2, x, -x], 7.0),
            lax.select_n(jnp.clip(x, 0, 2).astype(int), x, x + 1, x + 2),
            jnp.piecewise(x, [x < -1, x > 1], [-1.0, 1.0, lambda v: v]),
        ),
        (X,),
    ),
    "places of truth": Case(lambda x: (jnp.argmax(x > 0), jnp.argmin(x < 0), jnp.argmax(-jnp.abs(x))), (X,)),
    "masked minimum": Case(lambda x: jnp.min(jnp.where(x > 0, x, jnp.inf)), (X,)),
    "next number": Case(lambda x: jnp.nextafter(x, jnp.inf), (X,)),
}
