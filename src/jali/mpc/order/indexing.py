# SPDX-License-Identifier: Apache-2.0
"""Secret indices, written once over the contract: an index becomes a bit for each place it could point at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.basis import settled

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["one_hot"]

_MOST_AT_ONCE = 1 << 21


def one_hot(protocol: MpcProtocol, index: Arithmetic, count: int, *, width: int = 64) -> Generator[Round, Any, Boolean]:
    """A bit for each of `count` places, set where the index points; none is set if it points outside.

    `width` is in how many bits an index and its distance from all places fit.
    Shapes: (*index.shape, count).
    Cost: an equality for each index and place, all side by side; an index is opened once.
    """
    (index,) = yield from settled(protocol, index)
    size, shape = math.prod(index.shape), (*index.shape, count)
    rows = max(1, _MOST_AT_ONCE // max(1, count))
    parts = []
    for start in range(0, size, rows):
        stop = min(size, start + rows)

        def repeated(a: NDArray[np.uint64], start: int = start, stop: int = stop) -> NDArray[np.uint64]:
            return np.repeat(a.reshape(-1, 1)[start:stop], count, axis=1)

        wide = protocol.linear(repeated, index, shape=(stop - start, count))
        gap = protocol.add_public(wide, np.negative(np.arange(count, dtype=np.uint64)))
        parts.append((yield from protocol.is_zero(gap, bits=width)))
    if not parts:
        return protocol.public_bits(np.zeros(shape, np.bool_))
    return protocol.permute_bits(lambda *bits: np.concatenate(bits).reshape(shape), *parts, shape=shape)
