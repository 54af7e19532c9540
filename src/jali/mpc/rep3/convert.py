# SPDX-License-Identifier: Apache-2.0
"""From bits to numbers in rep3: b = u ^ v, where role 0 knows u = b_0 ^ b_1 and roles 1 and 2 know v = b_2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.rounds import parallel
from jali.mpc.words import as_numbers

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.rep3.wires import Replicated, Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["select", "to_arithmetic"]


def to_arithmetic(wires: Wires, b: Replicated) -> Generator[Round, Any, Replicated]:
    """b = u + v - 2 u v.

    Cost: 2 rounds, 8 B from each role and 8 B more from role 0.
    """
    u = yield from _sharing_of_u(wires, b)
    v = _sharing_of_v(wires, b)
    both = yield from wires.reshared(wires.product(u, v), b.shape)
    return wires.mapped(lambda p, q, pq: p + q - pq - pq, (u, v, both), b.shape, bits=False)


def select(wires: Wires, b: Replicated, x: Share) -> Generator[Round, Any, Replicated]:
    """b x = u (x - 2 v x) + v x.

    Cost: 2 rounds, 16 B from each role and 8 B more from role 0.
    """
    shape = b.shape
    v = _sharing_of_v(wires, b)

    def by_v() -> Generator[Round, Any, tuple[Replicated, Replicated]]:
        (whole_x,) = yield from wires.openings.open(x)
        chosen = yield from wires.reshared(wires.product(v, whole_x), shape)
        return chosen, wires.mapped(lambda p, q: p - q - q, (whole_x, chosen), shape, bits=False)

    u, (chosen, rest) = yield from parallel(_sharing_of_u(wires, b), by_v())
    both = yield from wires.reshared(wires.product(u, rest), shape)
    return wires.mapped(np.add, (both, chosen), shape, bits=False)


def _sharing_of_u(wires: Wires, b: Replicated) -> Generator[Round, Any, Replicated]:
    return wires.sum_01(b, lambda words: as_numbers(words, b.shape), b.shape, bits=False)


def _sharing_of_v(wires: Wires, b: Replicated) -> Replicated:
    return wires.part_2(b, lambda words: as_numbers(words, b.shape), b.shape, bits=False)
