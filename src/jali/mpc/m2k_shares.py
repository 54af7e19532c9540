# SPDX-License-Identifier: Apache-2.0
"""The two states of an m2k share, over Z_2^64 or over packed bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jali.crypto.secret import Secret

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NOTHING", "Additive", "Masked", "Words", "layout", "minus", "plus"]

Words = "NDArray[np.uint64]"

NOTHING = np.empty(0, np.uint64)
"""What a role holds of an array that it has no part of."""


class Additive(Secret):
    """x = s_0 + s_1 (xor for bits): evaluator i holds `part` s_i, the dealer nothing.

    Shapes: `part` has `shape`, or for bits one word for 64 of them.
    """

    __slots__ = ("__weakref__", "bits", "part", "shape")

    def __init__(self, shape: tuple[int, ...], part: NDArray[np.uint64], *, bits: bool = False) -> None:
        """Hold one role's part."""
        self.shape = shape
        self.part = part
        self.bits = bits


class Masked(Secret):
    """masked = x + mask (xor for bits): both evaluators hold `masked`, and the mask is shared.

    `mask` is lam_i at evaluator i and lam = lam_0 + lam_1 at the dealer, who has no `masked`.
    Shapes: as for `Additive`.
    """

    __slots__ = ("__weakref__", "bits", "mask", "masked", "shape")

    def __init__(
        self, shape: tuple[int, ...], masked: NDArray[np.uint64], mask: NDArray[np.uint64], *, bits: bool = False
    ) -> None:
        """Hold one role's part."""
        self.shape = shape
        self.masked = masked
        self.mask = mask
        self.bits = bits


def layout(shape: tuple[int, ...], *, bits: bool) -> tuple[int, ...]:
    """The shape of the words that hold an array: its own, or (ceil(n / 64),) for n bits."""
    return (-(-math.prod(shape) // 64),) if bits else shape


def plus(x: NDArray[np.uint64], y: NDArray[np.uint64], *, bits: bool) -> NDArray[np.uint64]:
    """x + y, or the exclusive or of bits."""
    return x ^ y if bits else x + y


def minus(x: NDArray[np.uint64], y: NDArray[np.uint64], *, bits: bool) -> NDArray[np.uint64]:
    """x - y, or the exclusive or of bits."""
    return x ^ y if bits else x - y
