# SPDX-License-Identifier: Apache-2.0
"""From bits to numbers in rep3: roles 0 and 1 open e = b ^ r, of whose mask r role 2 deals the bits as numbers.

The formulas are those of m2k, with role 2 in the dealer's place. b = u ^ v with u = b_0 ^ b_1 at role 0 and v = b_2 at
role 1; r = r_0 ^ r_1, where role i draws r_i with role 2. Likewise for a number x under a mask s.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jali.mpc.rep3.wires import Halves, half_of
from jali.mpc.rings import Ring
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, as_numbers, layout, unmasked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Share, Wires

    Words = NDArray[np.uint64]
    Dealt = Callable[[], Words]

__all__ = ["select", "to_arithmetic"]

_ONE, _TWO = np.uint64(1), np.uint64(2)


def to_arithmetic(wires: Wires, b: Share) -> Generator[Round, Any, Halves]:
    """b = e + (1 - 2 e) r, in halves.

    Security: roles 0 and 1 see e, uniform, and shares of r; role 2 receives nothing.
    Cost: 1 round, 1/8 B from roles 0 and 1, 8 B from role 2.
    """
    words = layout(b.shape, bits=True)
    mask = wires.mask_of_2(words, ring=Ring.BITS)
    name = wires.nonce()
    if wires.role == 2:
        yield from _deal(wires, b.shape, {name: lambda: as_numbers(mask, b.shape)})
        return Halves(b.shape, NOTHING)
    own = wires.compute(words, lambda: half_of(b, wires.role) ^ mask)
    (other,), (r,) = yield from _swap(wires, [own], [name], b.shape)
    return Halves(b.shape, wires.compute(b.shape, lambda: unmasked(own ^ other, r, leader=wires.role == 0)))


def select(wires: Wires, b: Share, x: Share) -> Generator[Round, Any, Halves]:
    """b x = e x + (1 - 2 e) (r c - r s), where c = x + s is open, in halves.

    Security: roles 0 and 1 see e and c, uniform, and shares of r and r s; role 2 receives nothing.
    Cost: 1 round, 8.1 B from roles 0 and 1, 16 B from role 2.
    """
    shape, words = b.shape, layout(b.shape, bits=True)
    mask, s = wires.mask_of_2(words, ring=Ring.BITS), wires.mask_of_2(shape)
    names = wires.nonce(), wires.nonce()
    if wires.role == 2:
        r = wires.compute(shape, lambda: as_numbers(mask, shape))
        yield from _deal(wires, shape, {names[0]: lambda: r, names[1]: lambda: r * s})
        return Halves(shape, NOTHING)
    half = wires.halves(wires.openings.find(x)).part
    bits = wires.compute(words, lambda: half_of(b, wires.role) ^ mask)
    own = wires.compute(shape, lambda: half + s)
    (other_bits, other), (r, product) = yield from _swap(wires, [bits, own], names, shape)

    def chosen() -> Words:
        e = as_numbers(bits ^ other_bits, (own.size,))
        c, h = (own + other).reshape(-1), half.reshape(-1)
        return (e * h + (_ONE - _TWO * e) * (c * r.reshape(-1) - product.reshape(-1))).reshape(shape)

    return Halves(shape, wires.compute(shape, chosen))


def _deal(wires: Wires, shape: tuple[int, ...], items: Mapping[int, Dealt]) -> Generator[Round, Any, None]:
    """Role 2's part: role 0 draws its shares, by name; role 1 is sent its own."""
    corrections = [wires.compute(shape, partial(_correction, wires, name, value)) for name, value in items.items()]
    yield Round({1: corrections}, {})


def _correction(wires: Wires, name: int, value: Dealt) -> Words:
    return wires.prgs[0].sub(value(), name)


def _swap(
    wires: Wires, own: Sequence[Words], names: Sequence[int], shape: tuple[int, ...]
) -> Generator[Round, Any, tuple[list[Words], list[Words]]]:
    """What the other of roles 0 and 1 masked, and this role's shares of what role 2 deals."""
    peer, size = 1 - wires.role, math.prod(shape)
    expected = {peer: sum(part.size for part in own)}
    if wires.role == 1:
        expected[2] = size * len(names)
    replies = yield Round({peer: list(own)}, expected)
    starts = np.cumsum([0, *(part.size for part in own)])
    others = [replies[peer][a:b].reshape(part.shape) for part, a, b in zip(own, starts, starts[1:], strict=False)]
    if wires.role == 0:
        return others, [wires.drawn(shape, 2, name) for name in names]
    return others, list(replies[2].reshape(len(names), *shape))
