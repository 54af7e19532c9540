# SPDX-License-Identifier: Apache-2.0
"""Rule: convolution, as a product of matrices: the windows of the one array are a matrix, the kernel is the other.

Either may be secret, or both. Windows are gathered from the shares at public places, so nothing but the product talks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jali.mpc.lower import Builder, Operand, rule
from jali.mpc.lower_arithmetic import matrix_product
from jali.mpc.lower_patches import moved_axes, patches, shaped

__all__: list[str] = []


@rule("conv_general_dilated")
def _convolution(build: Builder, params: Any, x: Operand, kernel: Operand) -> Operand:
    """Any strides, padding and dilation, groups of features or of batches.

    Shapes: as `dimension_numbers` says; inside, images (batch, feature, *spatial) and kernels (out, in, *spatial).
    Cost: one matrix product with batch * positions rows for each group.
    """
    spec = params["dimension_numbers"]
    features, batches = int(params["feature_group_count"]), int(params["batch_group_count"])
    groups = features * batches
    order = (*spec.rhs_spec[2:], spec.rhs_spec[1], spec.rhs_spec[0])  # spatial, in, out
    weights = moved_axes(build, kernel, order)
    window = weights.shape[:-2]
    rank = len(window)
    spatial = (*spec.lhs_spec[2:], spec.lhs_spec[0], spec.lhs_spec[1])  # spatial, batch, feature
    cut = patches(
        build,
        moved_axes(build, x, spatial),
        window,
        strides=tuple(params["window_strides"]),
        padding=tuple(tuple(pair) for pair in params["padding"]),
        base_dilation=tuple(params["lhs_dilation"]),
        window_dilation=tuple(params["rhs_dilation"]),
    )
    positions, (batch, channels) = cut.shape[:rank], cut.shape[-2:]
    wide, deep = int(np.prod(positions, dtype=int)), int(np.prod(window, dtype=int))
    rows = shaped(build, cut, (wide, deep, batches, batch // batches, features, channels // features))
    left = moved_axes(build, rows, (2, 4, 3, 0, 1, 5))  # batch group, feature group, batch, position, window, channel
    out = weights.shape[-1] // groups
    columns = shaped(build, weights, (deep, channels // features, groups, out))
    right = moved_axes(build, columns, (2, 0, 1, 3))
    inner = deep * channels // features
    count = batch // batches * wide
    sides = (shaped(build, left, (groups, count, inner)), shaped(build, right, (groups, inner, out)))
    if groups == 1:
        sides = (shaped(build, sides[0], (count, inner)), shaped(build, sides[1], (inner, out)))
    product = matrix_product(build, *sides, shape=(*sides[0].shape[:-1], out))
    # (group, batch, *positions, feature) to where jax wants them
    spread = shaped(build, product, (groups, batch // batches, *positions, out))
    joined = moved_axes(build, spread, (1, 0, 2 + rank, *range(2, 2 + rank)))
    images = shaped(build, joined, (batch // batches, groups * out, *positions))
    return moved_axes(build, images, [int(axis) for axis in np.argsort(spec.out_spec)])
