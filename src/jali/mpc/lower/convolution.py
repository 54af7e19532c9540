# SPDX-License-Identifier: Apache-2.0
"""Rule: convolution, as a product of matrices: the windows of the one array are a matrix, the kernel is the other.

Either may be secret, or both. Windows are gathered from the shares at public places, so nothing but the product talks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jali.mpc.lower.arithmetic import matrix_product
from jali.mpc.lower.builder import Builder, Operand, rule
from jali.mpc.lower.patches import moved_axes, patches, shaped

__all__: list[str] = []


@rule("conv_general_dilated")
def _convolution(build: Builder, params: Any, x: Operand, kernel: Operand) -> Operand:
    """Any strides, padding and dilation, groups of features or of batches.

    Shapes: as `dimension_numbers` says; inside, windows (groups, batch * positions, window * channels) and weights
    (groups, window * channels, features).
    Cost: one matrix product with batch * positions rows for each group.
    """
    spec = params["dimension_numbers"]
    groups = int(params["feature_group_count"]) * int(params["batch_group_count"])
    weights = moved_axes(build, kernel, (*spec.rhs_spec[2:], spec.rhs_spec[1], spec.rhs_spec[0]))
    cut = _windows(build, params, x, weights.shape[:-2])
    rank = len(weights.shape) - 2
    positions, batch = cut.shape[:rank], cut.shape[-2] // int(params["batch_group_count"])
    left = _rows(build, params, cut, rank)
    inner, out = left.shape[-1], weights.shape[-1] // groups
    columns = shaped(build, weights, (inner, groups, out))
    right = moved_axes(build, columns, (1, 0, 2))
    if groups == 1:
        left, right = shaped(build, left, left.shape[1:]), shaped(build, right, (inner, out))
    product = matrix_product(build, left, right, shape=(*left.shape[:-1], out))
    spread = shaped(build, product, (groups, batch, *positions, out))
    joined = moved_axes(build, spread, (1, 0, 2 + rank, *range(2, 2 + rank)))  # batch, group, feature, positions
    images = shaped(build, joined, (batch, groups * out, *positions))
    return moved_axes(build, images, [int(axis) for axis in np.argsort(spec.out_spec)])


def _windows(build: Builder, params: Any, x: Operand, window: tuple[int, ...]) -> Operand:
    """Shapes: (*positions, *window, batch, channel)."""
    spec = params["dimension_numbers"]
    return patches(
        build,
        moved_axes(build, x, (*spec.lhs_spec[2:], spec.lhs_spec[0], spec.lhs_spec[1])),
        window,
        strides=tuple(params["window_strides"]),
        padding=tuple(tuple(pair) for pair in params["padding"]),
        base_dilation=tuple(params["lhs_dilation"]),
        window_dilation=tuple(params["rhs_dilation"]),
    )


def _rows(build: Builder, params: Any, cut: Operand, rank: int) -> Operand:
    """Windows as the rows of one matrix for each group, of batches or of channels."""
    features, batches = int(params["feature_group_count"]), int(params["batch_group_count"])
    wide, deep = (int(np.prod(part, dtype=int)) for part in (cut.shape[:rank], cut.shape[rank:-2]))
    batch, channels = cut.shape[-2] // batches, cut.shape[-1] // features
    grouped = shaped(build, cut, (wide, deep, batches, batch, features, channels))
    ordered = moved_axes(build, grouped, (2, 4, 3, 0, 1, 5))  # both groups, batch, position, window, channel
    return shaped(build, ordered, (batches * features, batch * wide, deep * channels))
