# SPDX-License-Identifier: Apache-2.0
"""The greatest element along the first axis, written once over the contract.

Groups of five are decided at once: all ten pairs are compared side by side, the winner is the one that loses to
nobody (ties go to the first), and a choice picks it. A level takes the rounds of a comparison, a conjunction of four
and a choice, and leaves a fifth of the elements; two elements are decided by a comparison and a choice.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.basis import settled

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["greatest"]

_GROUP = 5


def greatest(protocol: MpcProtocol, x: Arithmetic, *, width: int = 64) -> Generator[Round, Any, Arithmetic]:
    """max over the first axis. Differences of elements must be smaller than 2^(width - 1).

    Shapes: (n, *shape) -> shape.
    Cost: log5(n) times a comparison, a conjunction of four bits and a choice; two comparisons an element in all.
    """
    shape = x.shape[1:]
    while (count := x.shape[0]) > 1:
        size = min(_GROUP, count)
        groups = count // size
        (x,) = yield from settled(protocol, x)
        block = protocol.linear(
            lambda a, g=groups, s=size: a[: g * s].reshape(g, s, *shape), x, shape=(groups, size, *shape)
        )
        winners = yield from (_of_two if size == 2 else _of_group)(protocol, block, width=width)
        left = count - groups * size
        x = protocol.linear(
            lambda w, a, n=left: np.concatenate([w, a[a.shape[0] - n :]]), winners, x, shape=(groups + left, *shape)
        )
    return protocol.linear(lambda a: a[0], x, shape=shape)


def _of_two(protocol: MpcProtocol, block: Arithmetic, *, width: int) -> Generator[Round, Any, Arithmetic]:
    """y + [y < x] (x - y)."""
    shape = (block.shape[0], *block.shape[2:])
    gap = protocol.linear(lambda a: a[:, 1] - a[:, 0], block, shape=shape)
    less = yield from protocol.sign(protocol.linear(np.negative, gap, shape=shape), bits=width)
    rise = yield from protocol.select(less, gap)
    return protocol.linear(lambda a, r: a[:, 0] + r, block, rise, shape=shape)


def _of_group(protocol: MpcProtocol, block: Arithmetic, *, width: int) -> Generator[Round, Any, Arithmetic]:
    groups, size, *rest = block.shape
    pairs = list(combinations(range(size), 2))
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    gaps = protocol.linear(
        lambda a: np.moveaxis(a[:, first] - a[:, second], 1, 0), block, shape=(len(pairs), groups, *rest)
    )
    (gaps,) = yield from settled(protocol, gaps)
    lost = yield from protocol.sign(gaps, bits=width)  # by the first of a pair
    wins = _wins(protocol, lost, pairs, size)
    best = yield from protocol.all_of(wins)
    columns = protocol.linear(lambda a: np.moveaxis(a, 1, 0), block, shape=best.shape)
    chosen = yield from protocol.select(best, columns)
    return protocol.linear(lambda a: np.add.reduce(a, axis=0), chosen, shape=(groups, *rest))


def _wins(protocol: MpcProtocol, lost: Boolean, pairs: list[tuple[int, int]], size: int) -> Boolean:
    """Whether an element beats each of the others: (size - 1, size, groups, ...)."""
    won = protocol.invert(lost)
    place = {pair: index for index, pair in enumerate(pairs)}
    order = np.empty((size - 1, size), np.int64)
    for i in range(size):
        for k, j in enumerate(j for j in range(size) if j != i):
            order[k, i] = place[i, j] if i < j else len(pairs) + place[j, i]

    def arranged(w: NDArray[np.bool_], n: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(np.concatenate([w, n])[order])

    return protocol.permute_bits(arranged, won, lost, shape=(size - 1, size, *lost.shape[1:]))
