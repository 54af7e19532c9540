# SPDX-License-Identifier: Apache-2.0
"""Truncation in rep3: role 2 deals a mask and its truncation to roles 0 and 1, who open and choose.

Roles 0 and 1 learn c = x + 2^62 + r with r = r_0 + r_1, of which each knows one summand. With A = (r >> f) -
msb(r) 2^(64 - f) and B = r >> f, y = (c >> f) - 2^(62 - f) - (A if c < 2^63 else B): they compute halves of y from
shares of A and B. Role 2, who knows r, must learn nothing of c, not even its top bit (with r it would bound x): it
receives nothing.

References: Escudero, Ghosh, Keller, Rachuri, Scholl 2020 (ePrint 2020/338), on truncation with the top bit of the mask.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels
from jali.core.errors import ProtocolUseError
from jali.mpc.rep3_wires import Halves
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, gathered

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.rep3_wires import Replicated, Wires

__all__ = ["truncate", "truncate_product"]

_HEADROOM = np.uint64(1 << 62)
_TOP = np.uint64(63)


def truncate(wires: Wires, x: Replicated, bits: int) -> Generator[Round, Any, Halves]:
    """Truncate a share: role 2 sends role 0 and role 1 the part that each lacks, plus r.

    Cost: 1 round, 32 B from role 2.
    """
    material = _Material(wires, x.shape, bits)
    if wires.role == 2:
        for_0 = wires.compute(x.shape, lambda: x.first + material.mask)
        for_1 = wires.compute(x.shape, lambda: x.second + material.mask)
        yield Round({0: [for_0], 1: [for_1, *material.corrections]}, {})
        return Halves(x.shape, NOTHING)
    replies = yield Round({}, {2: material.words_from_dealer})
    lacking, b, a = material.received(replies[2])
    c = wires.compute(x.shape, lambda: gathered(lacking, x.first, x.second))
    return _choose(wires, c, b, a, bits)


def truncate_product(
    wires: Wires, z: NDArray[np.uint64], shape: tuple[int, ...], *, bits: int
) -> Generator[Round, Any, Halves]:
    """Truncate z_0 + z_1 + z_2, masked for dealing: roles 0 and 1 swap theirs, role 2 sends both z_2 + r.

    Cost: 1 round, 8 B from roles 0 and 1, 32 B from role 2.
    """
    material = _Material(wires, shape, bits)
    if wires.role == 2:
        masked = wires.compute(shape, lambda: z + material.mask)
        yield Round({0: [masked], 1: [masked, *material.corrections]}, {})
        return Halves(shape, NOTHING)
    peer = 1 - wires.role
    replies = yield Round({peer: [z]}, {peer: math.prod(shape), 2: material.words_from_dealer})
    masked, b, a = material.received(replies[2])
    c = wires.compute(shape, lambda: gathered(masked, z, replies[peer].reshape(shape)))
    return _choose(wires, c, b, a, bits)


class _Material:
    """r + 2^62 at role 2, and shares of B and A at roles 0 and 1: role 0 draws its own, role 1 is sent its own."""

    def __init__(self, wires: Wires, shape: tuple[int, ...], bits: int) -> None:
        if not 0 < bits < 62:
            raise ProtocolUseError(f"truncate: expected 1 to 61 bits, found {bits}")
        self._wires = wires
        self._shape = shape
        self._names = [wires.nonce() for _ in range(3)]
        self.words_from_dealer = math.prod(shape) * (1 if wires.role == 0 else 3)
        self.mask = NOTHING
        self.corrections: list[NDArray[np.uint64]] = []
        if wires.role == 2:
            self._deal(np.uint64(bits))

    def _deal(self, low: np.uint64) -> None:
        wires, shape, names = self._wires, self._shape, self._names
        r0 = wires.drawn(shape, 0, names[0])
        r = wires.compute(shape, lambda: wires.prgs[1].add(r0, names[0]))
        b = wires.compute(shape, lambda: r >> low)
        a = wires.compute(shape, lambda: _without_top(b, r, low))
        self.corrections = [
            wires.compute(shape, lambda: wires.prgs[0].sub(b, names[1])),
            wires.compute(shape, lambda: wires.prgs[0].sub(a, names[2])),
        ]
        self.mask = wires.compute(shape, lambda: np.add(r, _HEADROOM, out=r))

    def received(self, message: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
        """What role 2 masked, and this role's shares of B and A."""
        if self._wires.role == 1:
            return [part.reshape(self._shape) for part in np.split(message, 3)]
        return [message.reshape(self._shape), *(self._wires.drawn(self._shape, 2, name) for name in self._names[1:])]


def _choose(wires: Wires, c: NDArray[np.uint64], b: NDArray[np.uint64], a: NDArray[np.uint64], bits: int) -> Halves:
    part = wires.compute(c.shape, lambda: kernels.masked_truncate(c, a, b, bits, leader=wires.role == 0, out=a))
    return Halves(c.shape, part)


def _without_top(b: NDArray[np.uint64], r: NDArray[np.uint64], low: np.uint64) -> NDArray[np.uint64]:
    """A = B - msb(r) 2^(64 - f), with one new array."""
    top = r >> _TOP
    np.left_shift(top, np.uint64(64) - low, out=top)
    np.subtract(b, top, out=top)
    return top
