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

from jali.mpc.rep3.wires import Halves
from jali.mpc.rings import Ring, add, from_lanes, to_lanes, words_of
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, gathered, taken_off

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires

__all__ = ["Dealing"]


class Dealing:
    """One mask r, and what is dealt with it: role 0 draws its shares, role 1 is sent its own."""

    def __init__(self, wires: Wires, shape: tuple[int, ...], *, ring: Ring = Ring.WORDS) -> None:
        """Draw r at role 2; the value is opened in `ring`."""
        self._wires = wires
        self._ring = ring
        self._shape = words_of(shape, ring)
        self._items: list[tuple[tuple[int, ...], int]] = []
        self._corrections: list[NDArray[np.uint64]] = []
        self.r = wires.mask_of_2(self._shape, ring=ring)

    def deal(self, words: tuple[int, ...], value: Callable[[], NDArray[np.uint64]], *, ring: Ring = Ring.WORDS) -> None:
        """Share what role 2 computes."""
        wires, nonce = self._wires, self._wires.nonce()
        self._items.append((words, nonce))
        if wires.role == 2:
            self._corrections.append(wires.compute(words, lambda: taken_off(value(), wires.prgs[0], nonce, ring=ring)))

    def open(self, x: Share, *, offset: int = 0) -> Generator[Round, Any, tuple[NDArray[np.uint64], ...]]:
        """c = x + r + offset, and the shares of what was dealt: role 2 sends the part that each of the others lacks.

        Shapes: c has that of x, whatever the ring.
        Of halves, roles 0 and 1 swap their own, each masked by what it drew of r.
        Cost: 1 round; beside what is dealt twice the words of x in the ring, from role 2, or from roles 0 and 1.
        """
        wires, shape, ring = self._wires, self._shape, self._ring
        if isinstance(x, Halves):
            return (yield from self._open_halves(x, offset=offset))
        if wires.role == 2:
            masks = self._offset(offset)
            for_0 = wires.compute(shape, lambda: add(self._narrow(x.first), masks, ring))
            for_1 = wires.compute(shape, lambda: add(self._narrow(x.second), masks, ring))
            return (yield from self._tell(for_0, for_1))
        size = math.prod(shape)
        message = (yield Round({}, {2: self._expected(size)}))[2]
        lacking, shares = message[:size].reshape(shape), self._dealt(message, size)
        if ring is Ring.WORDS:
            return wires.compute(shape, lambda: gathered(lacking, x.first, x.second)), *shares

        def sum_of_parts() -> NDArray[np.uint64]:
            return from_lanes(add(lacking, self._narrow(x.first + x.second), ring), x.shape, ring)

        return wires.compute(x.shape, sum_of_parts), *shares

    def _open_halves(self, x: Halves, *, offset: int) -> Generator[Round, Any, tuple[NDArray[np.uint64], ...]]:
        wires, shape, ring = self._wires, self._shape, self._ring
        if wires.role == 2:
            return (yield from self._tell())
        raised = np.uint64(offset if wires.role == 0 else 0)
        own = wires.compute(shape, lambda: add(self._narrow(x.part + raised), self.r, ring))
        peer, dealt = 1 - wires.role, self._expected(0)
        replies = yield Round({peer: [own]}, {peer: math.prod(shape)} | ({2: dealt} if dealt else {}))
        c = wires.compute(shape, lambda: add(replies[peer].reshape(shape), own, ring))
        if ring is not Ring.WORDS:
            c = wires.compute(x.shape, lambda: from_lanes(c, x.shape, ring))
        return c, *self._dealt(replies.get(2, NOTHING), 0)

    def _narrow(self, part: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return part if self._ring is Ring.WORDS else to_lanes(part, self._ring)

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
        peer, size = 1 - wires.role, math.prod(shape)
        replies = yield Round({peer: [z]}, {peer: size, 2: self._expected(size)})
        masked = replies[2][:size].reshape(shape)
        c = wires.compute(shape, lambda: gathered(masked, z, replies[peer].reshape(shape)))
        return c, *self._dealt(replies[2], size)

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        """r, a word an element, of which the low bits count."""
        return self.r if self._ring is Ring.WORDS else from_lanes(self.r, shape, self._ring)

    def _offset(self, offset: int) -> NDArray[np.uint64]:
        return self._wires.compute(self._shape, lambda: self.r + np.uint64(offset)) if offset else self.r

    def _tell(self, *masked: NDArray[np.uint64]) -> Generator[Round, Any, tuple[NDArray[np.uint64], ...]]:
        """What roles 0 and 1 are to see, if anything, and what is dealt."""
        send = {1: [*masked[1:], *self._corrections]}
        if masked:
            send[0] = [masked[0]]
        yield Round(send, {})
        return NOTHING, *(NOTHING for _ in self._items)

    def _expected(self, masked: int) -> int:
        """Words from role 2, of which so many are masked."""
        return masked + (sum(math.prod(words) for words, _ in self._items) if self._wires.role == 1 else 0)

    def _dealt(self, message: NDArray[np.uint64], start: int) -> list[NDArray[np.uint64]]:
        """This role's shares of what is dealt: drawn by role 0, in the message from `start` on for role 1."""
        if self._wires.role == 0:
            return [self._wires.drawn(words, 2, name) for words, name in self._items]
        parts = []
        for words, _ in self._items:
            parts.append(message[start : start + math.prod(words)].reshape(words))
            start += math.prod(words)
        return parts
