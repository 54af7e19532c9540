# SPDX-License-Identifier: Apache-2.0
"""Sharing without the dealer: additive parts, one of which is drawn by the owner and its holder alike."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from jali.mpc.m2k.shares import Additive
from jali.mpc.rings import of_bits
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, layout, taken_off

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from jali.crypto.prg import Prg
    from jali.mpc.m2k.sides import Side

__all__ = ["GUEST", "Scattering"]

GUEST = 3


class Scattering:
    """One role's part in it. An evaluator keeps the part that is not drawn; the guest sends it to evaluator 1."""

    def __init__(self, role: int, side: Side, prgs: Mapping[int, Prg]) -> None:
        """Nothing is drawn yet."""
        self._role = role
        self._side = side
        self._prgs = prgs
        self._nonces = itertools.count()
        self._guest_nonces = itertools.count()

    def nonce(self) -> int:
        """A new name for words that the evaluators draw together; the dealer and the guest need not keep up."""
        return next(self._nonces)

    def share(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Additive]:
        """Share numbers, or packed bits."""
        words = layout(shape, bits=bits)
        holder = 0 if owner == GUEST else 1 - owner
        nonce = next(self._guest_nonces) if owner == GUEST else self.nonce()
        part = NOTHING
        if self._role == holder:
            part = self._side.evaluate(words, lambda: self._prgs[owner].words(nonce, words))
        elif self._role == owner:
            given = NOTHING if value is None else value
            part = self._side.evaluate(words, lambda: taken_off(given, self._prgs[holder], nonce, ring=of_bits(bits)))
        if owner == GUEST:
            part = yield from self._handed_over(part, words)
        return Additive(shape, part, bits=bits)

    def _handed_over(
        self, part: NDArray[np.uint64], words: tuple[int, ...]
    ) -> Generator[Round, Any, NDArray[np.uint64]]:
        """From the guest to evaluator 1."""
        if self._role == GUEST:
            yield Round({1: [part]}, {})
            return NOTHING
        if self._role == 1:
            received: NDArray[np.uint64] = (yield Round({}, {GUEST: math.prod(words)}))[GUEST]
            return received.reshape(words)
        yield Round({}, {})
        return part
