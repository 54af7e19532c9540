# SPDX-License-Identifier: Apache-2.0
"""Bits as numbers, and choices, in m2k: from an opened bit and what the dealer deals of its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.m2k.shares import Additive
from jali.mpc.words import as_numbers, unmasked

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.m2k.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["select", "to_arithmetic"]


def to_arithmetic(wires: Wires, b: Share) -> Generator[Round, Any, Additive]:
    """b = D + lam - 2 D lam, with shares of the bit lam over Z_2^64. Cost: no round, 8 offline B."""
    (mb,) = yield from wires.open(b)
    m = wires.deal(b.shape, lambda: as_numbers(mb.mask, b.shape))
    part = wires.side.evaluate(b.shape, lambda: unmasked(mb.masked, m, leader=wires.leader))
    return Additive(b.shape, part)


def select(wires: Wires, b: Share, x: Share) -> Generator[Round, Any, Additive]:
    """b x = D_b x + (1 - 2 D_b) (lam_b D_x - lam_b lam_x). Cost: no round, 16 offline B."""
    mb, mx = yield from wires.open(b, x)
    m = wires.deal(b.shape, lambda: as_numbers(mb.mask, b.shape))
    q = wires.deal(b.shape, lambda: as_numbers(mb.mask, b.shape) * mx.mask)

    def value() -> NDArray[np.uint64]:
        d = as_numbers(mb.masked, b.shape)
        own = mx.masked - mx.mask if wires.leader else np.negative(mx.mask)
        return d * own + (np.uint64(1) - d - d) * (m * mx.masked - q)

    return Additive(b.shape, wires.side.evaluate(b.shape, value))
