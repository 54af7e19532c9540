# SPDX-License-Identifier: Apache-2.0
"""Rules: secret whole numbers divided by public ones, rounded down, and what remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali.mpc.ir import ValueType
from jali.mpc.lower import Builder, Operand, Public, Secret
from jali.mpc.lower_arithmetic import add, mul, sub
from jali.mpc.lower_bits import less

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HOOKS"]

_BITS = 30


def _floor_divide(build: Builder, x: Operand, y: Operand) -> Operand | None:
    """x // m for |x| < 2^30 and a public m > 0: x times 2^k / m, truncated, and put right by three comparisons."""
    divisor = _divisor(x, y)
    if divisor is None or not isinstance(x, Secret):
        return None
    if divisor == 1:
        return x
    bits = _BITS + 1 + divisor.bit_length()
    factor = (1 << bits) // divisor
    kind = ValueType(shape=x.shape, kind="int")
    product = build.shared(mul(build, x, build.public(np.int64(factor))), kind)
    near = build.emit("truncate", [product], kind, bits=bits)
    rest = sub(build, x, mul(build, near, build.public(np.int64(divisor))))
    whole: Operand = near
    for bound in (divisor, 0, -divisor):  # it is wrong by -1 to 2
        below = build.shared(less(build, rest, build.public(np.int64(bound))), ValueType(shape=x.shape, kind="bool"))
        whole = sub(build, whole, build.emit("convert", [below], kind))
    return add(build, whole, build.public(np.int64(1)))


def _remainder(build: Builder, x: Operand, y: Operand) -> Operand | None:
    """x - m (x // m), which is not negative."""
    quotient = _floor_divide(build, x, y)
    return None if quotient is None else sub(build, x, mul(build, quotient, y))


def _divisor(x: Operand, y: Operand) -> int | None:
    whole = isinstance(x, Secret) and x.type.kind == "int" and isinstance(y, Public) and y.array.dtype.kind in "iu"
    return int(y.only) if whole and isinstance(y, Public) and y.only is not None and 0 < y.only < 1 << _BITS else None


# By the name of a jitted function of jax, as in `jali.mpc.lower_functions`.
HOOKS: dict[str, Callable[..., Operand | None]] = {"floor_divide": _floor_divide, "remainder": _remainder}
