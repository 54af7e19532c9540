# SPDX-License-Identifier: Apache-2.0
"""Rules: trigonometric, hyperbolic and special functions, by name or from those that have one."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from jali.core.errors import UnsupportedOperation
from jali.mpc.lower.arithmetic import function, mul, neg, sub
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, as_secret, rule
from jali.mpc.lower.functions import HOOKS
from jali.mpc.lower.hooks import Hook
from jali.mpc.lower.traced import named, program

__all__: list[str] = []

_BY_NAME = ("atan", "acos", "bessel_i0e", "bessel_i1e", "cos", "digamma", "erf", "erf_inv", "lgamma", "sin")


@rule(*_BY_NAME)
def _by_name(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, params["__equation__"].primitive.name, x)


@rule("log1p", "expm1")
def _near_zero(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, params["__equation__"].primitive.name, x)


@rule("erfc")
def _erfc(build: Builder, params: Any, x: Secret) -> Operand:
    return sub(build, build.public(1.0), function(build, "erf", x))


@rule("asin")
def _asin(build: Builder, params: Any, x: Secret) -> Operand:
    return sub(build, build.public(pi / 2), function(build, "acos", x))


def _ndtri(build: Builder, p: Operand) -> Operand | None:
    """The quantile of the normal distribution: sqrt(2) erf_inv(2 p - 1)."""
    if not isinstance(p, Secret):
        return None
    centred = as_secret(sub(build, mul(build, p, build.public(2.0)), build.public(1.0)))
    return mul(build, function(build, "erf_inv", centred), build.public(sqrt(2.0)))


def _exp_of_minus_square(build: Builder, x: Operand) -> Operand | None:
    """e^(-x^2), which jax 0.12 computes from the bit patterns of x."""
    if not isinstance(x, Secret):
        return None
    return function(build, "exp", neg(build, as_secret(mul(build, x, x))))


HOOKS["_ndtri"] = Hook(_ndtri, operands=1)
HOOKS["exp_neg_sq"] = Hook(_exp_of_minus_square, operands=1)


@rule("nextafter")
def _nextafter(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    """The neighbour in floating point is much nearer than the next fixed-point number."""
    if isinstance(x, Public):
        raise UnsupportedOperation("nextafter towards a secret: secret numbers have no neighbours in floating point")
    return x


@program("call_hi_primitive")
def _high_level(jax: Any, params: Any, *operands: Any) -> Any:
    """A primitive of jax 0.12 that says itself what it is made of."""
    primitive = params["_prim"]
    return jax.tree.leaves(primitive.expand(*jax.tree.unflatten(primitive.in_tree, operands)))


@program("tan")
def _tan(jax: Any, params: Any, x: Any) -> Any:
    return jax.numpy.sin(x) / jax.numpy.cos(x)


@program("sinh")
def _sinh(jax: Any, params: Any, x: Any) -> Any:
    return (jax.numpy.exp(x) - jax.numpy.exp(-x)) / 2


@program("cosh")
def _cosh(jax: Any, params: Any, x: Any) -> Any:
    return (jax.numpy.exp(x) + jax.numpy.exp(-x)) / 2


@program("asinh")
def _asinh(jax: Any, params: Any, x: Any) -> Any:
    size = jax.numpy.abs(x)
    return jax.numpy.sign(x) * jax.numpy.log(size + jax.numpy.sqrt(size * size + 1))


@program("acosh")
def _acosh(jax: Any, params: Any, x: Any) -> Any:
    """Two roots instead of one of x^2 - 1, which would lose the digits near 1."""
    return jax.numpy.log(x + jax.numpy.sqrt(x - 1) * jax.numpy.sqrt(x + 1))


@program("atanh")
def _atanh(jax: Any, params: Any, x: Any) -> Any:
    return (jax.numpy.log1p(x) - jax.numpy.log1p(-x)) / 2


@program("cbrt")
def _cbrt(jax: Any, params: Any, x: Any) -> Any:
    """By a logarithm of what is not 0; the sign is 0 there."""
    size = jax.numpy.maximum(jax.numpy.abs(x), 2.0**-18)
    return jax.numpy.sign(x) * jax.numpy.exp(jax.numpy.log(size) / 3)


@program("atan2")
def _atan2(jax: Any, params: Any, y: Any, x: Any) -> Any:
    jnp = jax.numpy
    across, up = jnp.abs(x), jnp.abs(y)
    steep = up > across
    larger = jnp.where(steep, up, across)
    ratio = (across + up - larger) / larger
    angle = named(jax, "atan_unit", jnp.arctan)(ratio)
    angle = jnp.where(steep, pi / 2 - angle, angle)
    angle = jnp.where(x < 0, pi - angle, angle)
    return jnp.where(y < 0, -angle, angle)


@program("polynomial")
def _polynomial(jax: Any, params: Any, x: Any, *coefficients: Any) -> Any:
    """By Estrin's scheme: neighbours are joined, log2(degree) times."""
    terms, power = list(coefficients), x
    while len(terms) > 1:
        terms = [a + b * power for a, b in zip(terms[::2], terms[1::2], strict=False)] + terms[len(terms) & ~1 :]
        power = power * power
    return terms[0]
