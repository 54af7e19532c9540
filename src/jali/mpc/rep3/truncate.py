# SPDX-License-Identifier: Apache-2.0
"""Truncation in rep3: role 2 deals a mask and its truncation to roles 0 and 1, who open and choose.

Roles 0 and 1 learn c = x + 2^62 + r. With A = (r >> f) - msb(r) 2^(64 - f) and B = r >> f, y = (c >> f) - 2^(62 - f) -
(A if c < 2^63 else B): they compute halves of y from shares of A and B.

References: Escudero, Ghosh, Keller, Rachuri, Scholl 2020 (ePrint 2020/338), on truncation with the top bit of the mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels
from jali.mpc.rep3.dealer import Dealing
from jali.mpc.rep3.wires import Halves
from jali.mpc.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["truncate", "truncate_product"]

_HEADROOM = 1 << 62
_TOP = np.uint64(63)


def truncate(wires: Wires, x: Share, bits: int) -> Generator[Round, Any, Halves]:
    """Truncate a share.

    Cost: 1 round, 32 B from role 2; of halves 8 B from roles 0 and 1, 16 B from role 2.
    """
    dealing = _dealing(wires, x.shape, bits)
    c, b, a = yield from dealing.open(wires.openings.find(x), offset=_HEADROOM)
    return _chosen(wires, c, b, a, shape=x.shape, bits=bits)


def truncate_product(
    wires: Wires, z: NDArray[np.uint64], shape: tuple[int, ...], bits: int
) -> Generator[Round, Any, Halves]:
    """Truncate z_0 + z_1 + z_2, masked for dealing.

    Cost: 1 round, 8 B from roles 0 and 1, 32 B from role 2.
    """
    dealing = _dealing(wires, shape, bits)
    c, b, a = yield from dealing.open_sum(z, offset=_HEADROOM)
    return _chosen(wires, c, b, a, shape=shape, bits=bits)


def _dealing(wires: Wires, shape: tuple[int, ...], bits: int) -> Dealing:
    dealing = Dealing(wires, shape)
    low = np.uint64(bits)
    dealing.deal(shape, lambda: dealing.r >> low)
    dealing.deal(shape, lambda: _without_top(dealing.r, low))
    return dealing


def _chosen(
    wires: Wires,
    c: NDArray[np.uint64],
    b: NDArray[np.uint64],
    a: NDArray[np.uint64],
    *,
    shape: tuple[int, ...],
    bits: int,
) -> Halves:
    if wires.role == 2:
        return Halves(shape, NOTHING)
    leader = wires.role == 0
    return Halves(shape, wires.compute(shape, lambda: kernels.masked_truncate(c, a, b, bits, leader=leader, out=a)))


def _without_top(r: NDArray[np.uint64], low: np.uint64) -> NDArray[np.uint64]:
    """A = (r >> f) - msb(r) 2^(64 - f)."""
    top = r >> _TOP
    np.left_shift(top, np.uint64(64) - low, out=top)
    np.subtract(r >> low, top, out=top)
    return top
