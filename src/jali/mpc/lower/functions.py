# SPDX-License-Identifier: Apache-2.0
"""Rules: functions that are approximated, and the named jax functions that have a better form than their parts."""

from __future__ import annotations

from math import log
from typing import Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.lower.arithmetic import add, function, mul, power, sub
from jali.mpc.lower.bits import choose
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, rule
from jali.mpc.lower.hooks import Hook

__all__ = ["HOOKS"]


@rule("exp")
def _exp(build: Builder, params: Any, x: Secret) -> Operand:
    # jax differentiates softplus as exp(z - softplus(z)), which is sigmoid(z): one function instead of two
    difference = build.made_by(x, "sub")
    if difference is not None:
        z, y = difference.inputs
        plus = build.defining.get(y)
        if plus is not None and plus.attributes.get("name") == "softplus" and plus.inputs == (z,):
            return function(build, "sigmoid", build.operand(z))
    return function(build, "exp", x)


@rule("log")
def _log(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, "log", x)


@rule("sqrt")
def _sqrt(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, "sqrt", x)


@rule("rsqrt")
def _rsqrt(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, "rsqrt", x)


@rule("logistic")
def _logistic(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, "sigmoid", x)


@rule("tanh")
def _tanh(build: Builder, params: Any, x: Secret) -> Operand:
    return function(build, "tanh", x)


@rule("exp2")
def _exp2(build: Builder, params: Any, x: Secret) -> Operand:
    return _of(build, "exp", mul(build, x, build.public(log(2))))


@rule("log2")
def _log2(build: Builder, params: Any, x: Secret) -> Operand:
    return mul(build, function(build, "log", x), build.public(1 / log(2)))


@rule("pow")
def _pow(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    if isinstance(y, Public) and isinstance(x, Secret) and y.only is not None:
        if float(y.only).is_integer() and abs(y.only) <= 64:
            return power(build, x, int(y.only))
        if y.only == 0.5:
            return function(build, "sqrt", x)
        if y.only == -0.5:
            return function(build, "rsqrt", x)
    if isinstance(y, Public) and isinstance(x, Secret) and _whole_exponents(y):
        return _powers(build, x, Public(y.array.astype(np.int64), y.depth))
    if isinstance(y, Secret) and y.type.kind == "int":
        y = build.emit("convert", [y], msgspec.structs.replace(y.type, kind="fixed", fraction=build.fraction))
    if isinstance(x, Public):
        if not np.all(x.array > 0):
            raise UnsupportedOperation("a public base of a secret power must be positive")
        return _of(build, "exp", mul(build, y, Public(np.log(x.array), x.depth)))
    return _of(build, "exp", mul(build, y, function(build, "log", x)))


def _whole_exponents(y: Public) -> bool:
    """Whether all exponents are whole numbers from 0 to 64."""
    return bool(np.all((y.array == np.rint(y.array)) & (y.array >= 0) & (y.array <= 64)))


def _powers(build: Builder, x: Secret, y: Public) -> Operand:
    """x to different public whole powers: the product of x^1, x^2, x^4, ... where the exponent has that bit."""
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    result: Operand = build.public(np.ones(shape))
    square: Operand = x
    for k in range(int(np.max(y.array, initial=0)).bit_length()):
        bit = Public((y.array >> k) & 1 != 0, y.depth)
        factor = choose(build, bit, square, build.public(np.ones(shape)))
        result = mul(build, result, factor)
        square = mul(build, square, square)
    return result


@rule("stop_gradient", "name", "copy", "copy_p", "optimization_barrier", "reduce_precision", "device_put")
def _itself(build: Builder, params: Any, *x: Operand) -> Operand | list[Operand]:
    return list(x) if len(x) > 1 else x[0]


def _of(build: Builder, name: str, x: Operand) -> Operand:
    if isinstance(x, Public):
        raise UnsupportedOperation(f"{name} of a secret that turned out to be public")
    return function(build, name, x)


def _logaddexp(build: Builder, x: Operand, y: Operand) -> Operand | None:
    """log(e^x + e^y) = x + softplus(y - x)."""
    first, second = (y, x) if isinstance(y, Public) else (x, y)
    difference = sub(build, second, first)
    if not isinstance(difference, Secret):
        return None
    return add(build, first, _softplus(build, difference))


def _softplus(build: Builder, x: Operand) -> Secret:
    if not isinstance(x, Secret):
        raise UnsupportedOperation("softplus of a secret that turned out to be public")
    return function(build, "softplus", x)


HOOKS: dict[str, Hook] = {"logaddexp": Hook(_logaddexp, operands=2)}
"""By the name of the function."""
