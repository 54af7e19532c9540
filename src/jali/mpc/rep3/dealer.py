# SPDX-License-Identifier: Apache-2.0
"""Role 2 as the dealer of roles 0 and 1, within one operation of rep3.

Role 2 masks a value with r = r_0 + r_1, where role i < 2 knows r_i only, and deals shares of what it computes from r.
Roles 0 and 1 learn the masked value c = x + r, uniform to each. All that role 2 has to say goes into one message to
each of them, and it must learn nothing of c (with r, even its top bit would bound x): it receives nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, gathered

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Replicated, Wires

__all__ = ["Dealing"]


class Dealing:
    """One mask r, and what is dealt with it: role 0 draws its shares, role 1 is sent its own."""

    def __init__(self, wires: Wires, shape: tuple[int, ...]) -> None:
        """Draw r at role 2."""
        self._wires = wires
        self._shape = shape
        self._items: list[tuple[tuple[int, ...], int]] = []
        self._corrections: list[NDArray[np.uint64]] = []
        self.r = wires.mask_of_2(shape)

    def deal(self, words: tuple[int, ...], value: Callable[[], NDArray[np.uint64]], *, bits: bool = False) -> None:
        """Share what role 2 computes."""
        wires, nonce = self._wires, self._wires.nonce()
        self._items.append((words, nonce))
        if wires.role == 2:
            self._corrections.append(wires.compute(words, lambda: self._correction(value(), nonce, bits=bits)))

    def _correction(self, value: NDArray[np.uint64], nonce: int, *, bits: bool) -> NDArray[np.uint64]:
        drawn_by_0 = self._wires.prgs[0]
        return drawn_by_0.xor(value, nonce) if bits else drawn_by_0.sub(value, nonce)

    def open(self, x: Replicated, *, offset: int = 0) -> Generator[Round, Any, tuple[NDArray[np.uint64], ...]]:
        """c = x + r + offset, and the shares of what was dealt: role 2 sends the part that each of the others lacks.

        Cost: 1 round, 16 B from role 2 beside what is dealt.
        """
        wires, shape = self._wires, self._shape
        if wires.role == 2:
            masks = self._offset(offset)
            for_0 = wires.compute(shape, lambda: x.first + masks)
            for_1 = wires.compute(shape, lambda: x.second + masks)
            return (yield from self._tell(for_0, for_1))
        replies = yield Round({}, {2: self._expected()})
        lacking, *shares = self._received(replies[2])
        return wires.compute(shape, lambda: gathered(lacking, x.first, x.second)), *shares

    def open_sum(
        self, z: NDArray[np.uint64], *, offset: int = 0
    ) -> Generator[Round, Any, tuple[NDArray[np.uint64], ...]]:
        """The same for z_0 + z_1 + z_2, masked for dealing: roles 0 and 1 swap theirs, role 2 sends z_2 + r to both.

        Cost: 1 round, 8 B from roles 0 and 1, 16 B from role 2 beside what is dealt.
        """
        wires, shape = self._wires, self._shape
        if wires.role == 2:
            masks = self._offset(offset)
            masked = wires.compute(shape, lambda: z + masks)
            return (yield from self._tell(masked, masked))
        peer = 1 - wires.role
        replies = yield Round({peer: [z]}, {peer: math.prod(shape), 2: self._expected()})
        masked, *shares = self._received(replies[2])
        return wires.compute(shape, lambda: gathered(masked, z, replies[peer].reshape(shape))), *shares

    def swap(self, part: NDArray[np.uint64], words: tuple[int, ...]) -> Generator[Round, Any, NDArray[np.uint64]]:
        """The xor of both roles' parts, at both; role 2 says and hears nothing. Cost: 1 round."""
        wires = self._wires
        if wires.role == 2:
            yield Round({}, {})
            return NOTHING
        peer = 1 - wires.role
        replies = yield Round({peer: [part]}, {peer: math.prod(words)})
        return wires.compute(words, lambda: gathered(replies[peer].reshape(words), part, bits=True))

    def _offset(self, offset: int) -> NDArray[np.uint64]:
        return self._wires.compute(self._shape, lambda: self.r + np.uint64(offset)) if offset else self.r

    def _tell(
        self, for_0: NDArray[np.uint64], for_1: NDArray[np.uint64]
    ) -> Generator[Round, Any, tuple[NDArray[np.uint64], ...]]:
        yield Round({0: [for_0], 1: [for_1, *self._corrections]}, {})
        return NOTHING, *(NOTHING for _ in self._items)

    def _expected(self) -> int:
        dealt = sum(math.prod(words) for words, _ in self._items) if self._wires.role == 1 else 0
        return math.prod(self._shape) + dealt

    def _received(self, message: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
        if self._wires.role == 0:
            return [message.reshape(self._shape), *(self._wires.drawn(words, 2, name) for words, name in self._items)]
        parts, start = [], 0
        for words in (self._shape, *(words for words, _ in self._items)):
            end = start + math.prod(words)
            parts.append(message[start:end].reshape(words))
            start = end
        return parts
