# SPDX-License-Identifier: Apache-2.0
"""Shuffling in m2k: evaluator 0 permutes by pi_0, then evaluator 1 by pi_1; the dealer knows both and no data.

The evaluator whose turn it is learns x + a under a mask a of which it has no part, permutes that, and takes off its
share of pi(a), which the dealer deals. If x is masked already, x + a is what both evaluators have of it.

References: Chase, Ghosh, Poburinnaya 2020, Secret-shared shuffle (ePrint 2019/1340), where the two parties make by
themselves the correlations that are dealt here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.m2k.shares import Additive, Masked
from jali.mpc.order.permutations import KEY_WORDS, Permutation
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.m2k.sides import Side
    from jali.mpc.m2k.wires import Share, Wires

    Words = NDArray[np.uint64]

__all__ = ["shuffle"]


def shuffle(wires: Wires, side: Side, columns: Sequence[Share], *, role: int) -> Generator[Round, Any, list[Additive]]:
    """Columns of one shape (b, n), each row permuted by pi_1 after pi_0, in all columns alike.

    Security: an evaluator sees columns under masks that the other draws with the dealer, and draws one of the two
    permutations; the other one is uniform to it.
    Cost: 1 round and 8 B from evaluator 0; for columns that are not masked yet a round and 8 B from evaluator 1
    before; 16 offline B.
    """
    found: Sequence[Share] = [wires.find(x) for x in columns]
    for owner in (0, 1):
        found = yield from _permuted(wires, side, found, owner=owner, role=role)
    return [wires.additive(x) for x in found]


def _permuted(
    wires: Wires, side: Side, columns: Sequence[Share], *, owner: int, role: int
) -> Generator[Round, Any, list[Additive]]:
    """Columns under the owner's permutation pi: pi(x + a) - g_i at the owner, -g_i at the other, where g = pi(a)."""
    shape, other = columns[0].shape, 1 - owner
    words = side.mask((KEY_WORDS, *shape), wires.nonce(), owner=owner)
    pi = Permutation(lambda: words)
    masks = [x.mask if isinstance(x, Masked) else _mask_of(wires, side, shape, owner=other) for x in columns]
    masked = yield from _masked(side, columns, masks, owner=owner, role=role)
    result = []
    for x, a in zip(masked, masks, strict=True):
        g = wires.deal(shape, lambda a=a: pi(a))  # type: ignore[misc]
        part = side.evaluate(shape, lambda x=x, g=g: pi(x) - g if role == owner else np.negative(g))  # type: ignore[misc]
        result.append(Additive(shape, part))
    return result


def _mask_of(wires: Wires, side: Side, shape: tuple[int, ...], *, owner: int) -> Words:
    return side.mask(shape, wires.nonce(), owner=owner)


def _masked(
    side: Side, columns: Sequence[Share], masks: Sequence[Words], *, owner: int, role: int
) -> Generator[Round, Any, list[Words]]:
    """x + a at the owner, to whom the other evaluator sends its part of what is not masked yet."""
    shape, other = columns[0].shape, 1 - owner
    parts = {k: x.part for k, x in enumerate(columns) if isinstance(x, Additive)}
    received: dict[int, Words] = {}
    if role == other:
        yield Round({owner: [side.evaluate(shape, lambda k=k: parts[k] + masks[k]) for k in parts]}, {})  # type: ignore[misc]
    elif role == owner:
        size = sum(part.size for part in parts.values())
        reply = (yield Round({}, {other: size}))[other].reshape(len(parts), *shape)
        received = dict(zip(parts, reply, strict=True))
    else:
        yield Round({}, {})
    if role != owner:
        return [NOTHING] * len(columns)
    return [
        side.evaluate(shape, lambda k=k, x=x: x.masked if isinstance(x, Masked) else parts[k] + received[k])  # type: ignore[misc]
        for k, x in enumerate(columns)
    ]
