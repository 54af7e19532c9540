# SPDX-License-Identifier: Apache-2.0
"""Truncation in aby3: role 2 knows a mask, role 1 the masked value, both share what they cut off, one product corrects.

With v = x + 2^62, which lies below 2^63, and c = v + r modulo 2^64, let c' and r' be the low 63 bits of c and r without
the last f, and b the exclusive or of both top bits: whether adding up the low 63 bits carried, since v has no top bit.
Then floor(v / 2^f) + e = c' - r' + 2^(63 - f) b, and y is 2^(62 - f) less.

References: Dalskov, Escudero, Keller 2020 (ePrint 2019/131), on probabilistic truncation between three parties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.rounds import Round, parallel
from jali.mpc.words import NOTHING, gathered

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Replicated, Share, Wires

    Words = NDArray[np.uint64]

__all__ = ["truncate"]

_HEADROOM = np.uint64(1 << 62)
_TOP = np.uint64(63)


def truncate(wires: Wires, share: Share, bits: int) -> Generator[Round, Any, Replicated]:
    """Truncate a share.

    Security: role 1 sees c, uniform since it knows one summand of r only; all else is inputs and a product.
    Cost: 3 rounds, 8 B from role 0, 24 B from role 1 and 32 B from role 2.
    """
    (x,) = yield from wires.openings.open(share)
    shape = x.shape
    r = wires.mask_of_2(shape)
    c, (r_cut, r_top) = yield from parallel(_masked(wires, x, r), _shared(wires, r, bits, owner=2, shape=shape))
    c_cut, c_top = yield from _shared(wires, c, bits, owner=1, shape=shape)
    both = yield from wires.reshared(wires.product(c_top, r_top), shape)
    carry = np.uint64(63 - bits)

    def corrected(cut: Words, less: Words, top: Words, other: Words, common: Words) -> Words:
        return cut - less + ((top + other - common - common) << carry)

    y = wires.mapped(corrected, (c_cut, r_cut, c_top, r_top, both), shape, bits=False)
    return wires.with_part_0(y, lambda part: part - (_HEADROOM >> np.uint64(bits)))


def _masked(wires: Wires, x: Replicated, r: Words) -> Generator[Round, Any, Words]:
    """c = x + 2^62 + r at role 1, to which role 2 sends x_0 + 2^62 + r. Cost: 1 round, 8 B from role 2."""
    if wires.role == 2:
        yield Round({1: [wires.compute(x.shape, lambda: x.second + r + _HEADROOM)]}, {})
    elif wires.role == 1:
        lacking = (yield Round({}, {2: x.first.size}))[2].reshape(x.shape)
        return wires.compute(x.shape, lambda: gathered(lacking, x.first, x.second))
    else:
        yield Round({}, {})
    return NOTHING


def _shared(
    wires: Wires, word: Words, bits: int, *, owner: int, shape: tuple[int, ...]
) -> Generator[Round, Any, list[Replicated]]:
    """Shares of the low 63 bits of the owner's word without the last `bits`, and of its top bit.

    Cost: 1 round, 16 B from the owner.
    """
    one, low = np.uint64(1), np.uint64(bits)
    return (
        yield from parallel(
            wires.shared(lambda: (word << one) >> (low + one), owner, shape),
            wires.shared(lambda: word >> _TOP, owner, shape),
        )
    )
