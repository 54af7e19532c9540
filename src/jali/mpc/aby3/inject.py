# SPDX-License-Identifier: Apache-2.0
"""From bits to numbers in aby3: a product b a, where one role knows the number a, by oblivious transfer.

The role that knows a, the *sender*, lacks one part of b, which both others know. It writes down what each value of that
part would make of b a, minus masks; the one that comes true reaches both others, and nobody else learns anything.

References: Mohassel, Rindal 2018 (ePrint 2018/403), on three-party oblivious transfer and products of a number and a
shared bit, in the variant of one round.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.rep3.wires import Replicated
from jali.mpc.rounds import Round, parallel
from jali.mpc.words import as_numbers, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires

    Words = NDArray[np.uint64]

__all__ = ["select", "to_arithmetic"]


def to_arithmetic(wires: Wires, b: Share) -> Generator[Round, Any, Replicated]:
    """b times 1, which role 0 sends.

    Cost: 1 round, 32 B from role 0 and 8 B from the others.
    """
    (bits,) = yield from wires.openings.open(b)
    return (yield from _injected(wires, bits, value=lambda: np.ones(b.shape, np.uint64), sender=0))


def select(wires: Wires, b: Share, x: Share) -> Generator[Round, Any, Replicated]:
    """b x = b u + b v, where role 0 knows u = x_0 + x_1 and role 1 knows v = x_2.

    Cost: 1 round, 40 B from roles 0 and 1 and 16 B from role 2.
    """
    (bits,) = yield from wires.openings.open(b)
    part = wires.halves(x).part
    by_u, by_v = yield from parallel(*(_injected(wires, bits, value=lambda: part, sender=sender) for sender in (0, 1)))
    return wires.mapped(np.add, (by_u, by_v), b.shape, bits=False)


def _injected(
    wires: Wires, b: Replicated, *, value: Callable[[], Words], sender: int
) -> Generator[Round, Any, Replicated]:
    """b a = c_s + c_(s+1) + c_(s+2), of which the sender s draws two with the others, and both others get the third.

    Security: m_0 and m_1 are masked by w_0 and w_1, which the sender and the helper of a transfer draw; the helper
    tells the receiver the one that it may take off. What the receiver then has, c_(s+2), is masked by the part
    that the sender drew with the helper. The sender hears nothing.
    Cost: 1 round, 32 B from the sender and 8 B from the others.
    """
    names = wires.nonce(), wires.nonce(), wires.nonce()
    if wires.role == sender:
        return (yield from _sent(wires, b, value=value, names=names))
    return (yield from _received(wires, b, sender=sender, names=names))


def _sent(
    wires: Wires, b: Replicated, *, value: Callable[[], Words], names: tuple[int, int, int]
) -> Generator[Round, Any, Replicated]:
    """m_i = (i ^ b_s ^ b_(s+1)) a - c_s - c_(s+1), under masks drawn with the other's helper."""
    shape, flat = b.shape, (math.prod(b.shape),)
    first, second = (wires.drawn(shape, peer, names[0]) for peer in (wires.behind, wires.ahead))

    def possible(i: int) -> Words:
        a = value().reshape(flat)
        chosen = as_numbers(b.first ^ b.second, flat) * a
        return (a - chosen if i else chosen) - first.reshape(flat) - second.reshape(flat)

    m = [wires.compute(flat, partial(possible, i)) for i in (0, 1)]

    def masked(i: int, helper: int) -> Words:
        return wires.compute(flat, lambda: wires.prgs[helper].xor(m[i], names[1 + i]))

    for_ahead, for_behind = ([masked(i, helper) for i in (0, 1)] for helper in (wires.behind, wires.ahead))
    yield Round({wires.ahead: for_ahead, wires.behind: for_behind}, {})
    return Replicated(shape, first, second)


def _received(
    wires: Wires, b: Replicated, *, sender: int, names: tuple[int, int, int]
) -> Generator[Round, Any, Replicated]:
    """Help the other receiver to its m, and take this one's."""
    shape, size, other = b.shape, math.prod(b.shape), 3 - sender - wires.role
    follows = wires.role == (sender + 1) % 3
    drawn = wires.drawn(shape, sender, names[0])
    masks = [wires.drawn((size,), sender, name) for name in names[1:]]

    def picked(of_0: Words, of_1: Words) -> Words:
        return np.where(unpacked(b.second if follows else b.first, (size,)), of_1, of_0)

    help_for_other = wires.compute((size,), lambda: picked(*masks))
    replies = yield Round({other: [help_for_other]}, {sender: 2 * size, other: size})
    offered, mask = replies[sender], replies[other]
    third = wires.compute((size,), lambda: picked(offered[:size], offered[size:]) ^ mask).reshape(shape)
    return Replicated(shape, *((drawn, third) if follows else (third, drawn)))
