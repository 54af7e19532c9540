# SPDX-License-Identifier: Apache-2.0
"""Rules: primitives that are linear in one secret array (convolution with a public kernel, or of a public array).

The matrix of the map is found by applying it to unit vectors, in clear; the rest is a product with a public matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.lower import Builder, Operand, Public, Secret, rule
from jali.mpc.lower_arithmetic import matrix_product
from jali.mpc.lower_public import by_jax
from jali.mpc.lower_views import reshape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__: list[str] = []

_LARGEST_MATRIX = 1 << 22


@rule("conv_general_dilated")
def _linear(build: Builder, params: Any, *operands: Operand) -> Operand:
    """What is linear in its one secret operand, as a product with the public matrix of that map."""
    secrets = [k for k, x in enumerate(operands) if isinstance(x, Secret)]
    equation = params["__equation__"]
    name = equation.primitive.name
    if len(secrets) != 1:
        raise UnsupportedOperation(f"{name} of two secret arrays: write it as a matrix product")
    (place,) = secrets
    return _by_matrix(build, equation, operands, place=place)


def _by_matrix(build: Builder, equation: Any, operands: Sequence[Operand], *, place: int) -> Operand:
    secret = operands[place]
    if not isinstance(secret, Secret):
        raise UnsupportedOperation(f"{equation.primitive.name} of public arrays")
    size, shape = secret.type.size, tuple(equation.outvars[0].aval.shape)
    if size * int(np.prod(shape, dtype=np.int64)) > _LARGEST_MATRIX:
        raise UnsupportedOperation(f"{equation.primitive.name} of an array of {size} secret numbers: too many")
    rows = []
    for unit in np.eye(size):
        basis = build.public(unit.reshape(secret.shape))
        given = [basis if isinstance(o, Secret) else o for o in operands]
        rows.append(by_jax(build, equation.primitive, equation.params, operands=given)[0])
    depth = build.depth
    lead = np.broadcast_shapes(*(row.array.shape[:depth] for row in rows))
    flat = [np.broadcast_to(row.array, (*lead, *shape)).reshape((*lead, -1)) for row in rows]
    matrix = Public(np.stack(flat, axis=depth), depth)
    product = matrix_product(build, reshape(build, secret, (1, size)), matrix, shape=(1, matrix.shape[1]))
    return reshape(build, product, shape) if isinstance(product, Secret) else build.public(np.zeros(shape))
