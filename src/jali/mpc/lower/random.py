# SPDX-License-Identifier: Apache-2.0
"""Random numbers that nobody knows (`jali.mpc.random`), as an operation of the program."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from jali.mpc.ir import Op, ValueType
from jali.mpc.lower.arithmetic import mul, sum_over
from jali.mpc.lower.builder import Builder, Secret, as_secret
from jali.mpc.lower.views import reshape
from jali.mpc.random import BITS, UNIFORM

__all__ = ["drawn", "draws"]


def draws(equation: Any) -> bool:
    """Whether an equation draws secret randomness: it has no operands and yet its result is not public."""
    return equation.params.get("name") in {BITS, UNIFORM}


def drawn(build: Builder, equation: Any) -> Secret:
    """The secret that an equation draws: bits, or numbers in [0, 1) with the program's fraction bits."""
    shape = tuple(equation.outvars[0].aval.shape)
    if equation.params["name"] == BITS:
        return reshape(build, _bits(build, shape or (1,)), shape)
    bits = _bits(build, (build.fraction, *(shape or (1,))))
    numbers = build.emit("convert", [bits], msgspec.structs.replace(bits.type, kind="int"))
    weights = (1 << np.arange(build.fraction)).reshape(-1, *(1,) * (len(bits.shape) - 1))
    total = sum_over(build, as_secret(mul(build, numbers, build.public(weights))), (0,))
    fixed = msgspec.structs.replace(total.type, kind="fixed", fraction=build.fraction)
    return reshape(build, build.emit("rescale", [total], fixed), shape)


def _bits(build: Builder, shape: tuple[int, ...]) -> Secret:
    """Fresh bits; every call is an operation of its own."""
    (result,) = build.emit_many(Op(kind="random"), [ValueType(shape=shape, kind="bool")])
    return result
