# SPDX-License-Identifier: Apache-2.0
"""Shuffling of replicated shares: each two roles in turn permute what they hold together, by an order the third lacks.

Two roles hold x = u + v. Both permute their part by a permutation that they draw, make the parts fresh with a word that
they draw, and one of them hands its part to the third role, which takes its place. After the third permutation every
role lacks one of the three.

References: Laur, Willemson, Zhang 2011, Round-efficient oblivious database manipulation (ePrint 2011/429); Araki and
others 2021, Secure graph analysis at scale (ACM CCS), for three parties with replicated shares.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jali.mpc.order.permutations import KEY_WORDS, Permutation
from jali.mpc.rep3.wires import Replicated
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, gathered

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires

    Words = NDArray[np.uint64]

__all__ = ["shuffle"]


def shuffle(wires: Wires, columns: Sequence[Share]) -> Generator[Round, Any, list[Replicated]]:
    """Columns of one shape (b, n), each row permuted by the orders of roles 0 and 1, 1 and 2, 2 and 0.

    Security: a role that receives a part lacks the word that made it fresh; the order that it does not draw is uniform
    to it, and so is the whole.
    Cost: 3 rounds, 16 B from role 0 and 8 B from the others.
    """
    shape = columns[0].shape
    parts = [wires.halves(x).part for x in columns]
    parts = yield from _handed(wires, _permuted(wires, parts, (0, 1), shape), shape, giver=0, taker=2)
    parts = yield from _handed(wires, _permuted(wires, parts, (1, 2), shape), shape, giver=1, taker=0)
    parts = _permuted(wires, parts, (2, 0), shape)
    return (yield from _replicated(wires, parts, shape))


def _permuted(wires: Wires, parts: Sequence[Words], pair: tuple[int, int], shape: tuple[int, ...]) -> list[Words]:
    """What two roles hold, permuted and made fresh: the first adds the word that the second takes off."""
    order, names = wires.nonce(), [wires.nonce() for _ in parts]
    if wires.role not in pair:
        return [NOTHING] * len(parts)
    leads = wires.role == pair[0]
    peer = pair[1] if leads else pair[0]
    pi = Permutation(lambda: wires.drawn((KEY_WORDS, *shape), peer, order))

    def fresh(part: Words, name: int) -> Words:
        prg = wires.prgs[peer]
        return prg.add(pi(part), name) if leads else prg.sub(pi(part), name)

    return [
        wires.compute(shape, lambda part=part, name=name: fresh(part, name))  # type: ignore[misc]
        for part, name in zip(parts, names, strict=True)
    ]


def _handed(
    wires: Wires, parts: list[Words], shape: tuple[int, ...], *, giver: int, taker: int
) -> Generator[Round, Any, list[Words]]:
    """One role's parts go to another."""
    if wires.role == giver:
        yield Round({taker: parts}, {})
        return [NOTHING] * len(parts)
    if wires.role == taker:
        size = len(parts) * math.prod(shape)
        received = (yield Round({}, {giver: size}))[giver]
        return list(received.reshape(len(parts), *shape))
    yield Round({}, {})
    return parts


def _replicated(
    wires: Wires, parts: Sequence[Words], shape: tuple[int, ...]
) -> Generator[Round, Any, list[Replicated]]:
    """From u + v of roles 2 and 0: both draw a part with role 1, and open x_0 = (u - x_2) + (v - x_1) to each other."""
    names = [wires.nonce() for _ in parts]
    if wires.role == 1:
        yield Round({}, {})
        return [Replicated(shape, wires.drawn(shape, 0, name), wires.drawn(shape, 2, name)) for name in names]
    own = [wires.drawn(shape, 1, name) for name in names]
    rest = [
        wires.compute(shape, lambda part=part, x=x: part - x)  # type: ignore[misc]
        for part, x in zip(parts, own, strict=True)
    ]
    peer = 2 - wires.role
    received = (yield Round({peer: rest}, {peer: sum(part.size for part in rest)}))[peer]
    theirs = received.reshape(len(parts), *shape)
    common = [
        wires.compute(shape, lambda a=a, b=b: gathered(a, b))  # type: ignore[misc]
        for a, b in zip(theirs, rest, strict=True)
    ]
    return [
        Replicated(shape, *((both, drawn) if wires.role == 0 else (drawn, both)))
        for drawn, both in zip(own, common, strict=True)
    ]
