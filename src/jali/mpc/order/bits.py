# SPDX-License-Identifier: Apache-2.0
"""Sorting by keys of one bit, written once over the contract: each row's place is computed, shuffled, and then opened.

Where a row belongs is a sum: rows with a 0 keep their order at the front, rows with a 1 behind them. The places are a
permutation, so after a shuffle that no role knows they are a uniformly random one, and may be opened. Several keys
take one pass each, the last key first (a radix sort).

References: Hamada, Ikarashi, Chida, Takahashi 2014, Oblivious radix sort (ePrint 2014/121).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.basis import settled
from jali.mpc.order.sorting import known

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, MpcProtocol
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]

__all__ = ["sort_by_bits"]


def sort_by_bits(
    protocol: MpcProtocol, columns: Sequence[Arithmetic], *, keys: int
) -> Generator[Round, Any, list[Arithmetic]]:
    """Columns of one shape (b, n), each row sorted upwards in all of them alike by `keys` columns of 0 and 1; stable.

    Security: roles see the places of shuffled rows, a uniformly random permutation of each row.
    Cost: for each key a product, a shuffle of all columns and of the places, and an opening.
    """
    shape = columns[0].shape
    if shape[-1] < 2 or not shape[0]:
        return list(columns)
    current = list(columns)
    for key in range(keys - 1, -1, -1):
        place = yield from _places(protocol, current[key])
        *shuffled, shuffled_place = yield from protocol.shuffle(*current, place)
        order = yield from protocol.disclose(shuffled_place)

        def placed(a: Words, order: Any = order) -> Words:
            result = np.empty_like(a)
            np.put_along_axis(result, known(order).view(np.int64), a, axis=1)
            return result

        current = [protocol.linear(placed, x, shape=shape) for x in shuffled]
    return current


def _places(protocol: MpcProtocol, bit: Arithmetic) -> Generator[Round, Any, Arithmetic]:
    """(zeros so far) - 1, where the bit is 0; (all zeros) + (ones so far) - 1, where it is 1.

    With k rows so far, c of them ones, and z zeros in all: k - c - 1 + bit (z + 2 c - k).
    """
    shape = bit.shape
    (bit,) = yield from settled(protocol, bit)
    so_far = np.ascontiguousarray(np.broadcast_to(np.arange(1, shape[-1] + 1, dtype=np.uint64), shape))
    # z + 2 c - k, of which n - k is public
    change = protocol.linear(lambda b: 2 * np.cumsum(b, axis=1) - b.sum(axis=1, keepdims=True), bit, shape=shape)
    moved = yield from protocol.mul(bit, protocol.add_public(change, np.uint64(shape[-1]) - so_far))
    kept = protocol.linear(lambda b, m: m - np.cumsum(b, axis=1), bit, moved, shape=shape)
    return protocol.add_public(kept, so_far - np.uint64(1))
