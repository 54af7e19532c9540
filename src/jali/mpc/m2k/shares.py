# SPDX-License-Identifier: Apache-2.0
"""The two states of an m2k share, over Z_2^64 or over packed bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali.crypto.secret import Secret
from jali.mpc.words import minus

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Additive", "Masked", "part_of"]


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


def part_of(x: Additive | Masked, role: int) -> NDArray[np.uint64]:
    """Evaluator `role`'s part of the additive form: s_0 = D - lam_0, s_1 = -lam_1 (bits: without the minus)."""
    if isinstance(x, Additive):
        return x.part
    if role == 0:
        return np.asarray(minus(np.asarray(x.masked), x.mask, bits=x.bits))
    return x.mask if x.bits else np.asarray(np.negative(x.mask))
