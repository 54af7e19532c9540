# SPDX-License-Identifier: Apache-2.0
"""Additive and replicated secret sharing over Z_2^64: pure functions, for dealers, owners of inputs and tests.

Notation: [x] = (x_0, ..., x_{n-1}) with x = x_0 + ... + x_{n-1}. Sums and public multiples of shares are shares of
the sums and multiples. `draw` gives uniform words of a shape: the operating system by default, or a generator as
`lambda shape: prg.words(nonce, shape)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jali.core.errors import SharesInvalid
from jali.crypto.randomness import random_words

__all__ = ["Draw", "Pair", "reconstruct_additive", "reconstruct_replicated", "share_additive", "share_replicated"]

Draw = Callable[[tuple[int, ...]], NDArray[np.uint64]]
Pair = tuple[NDArray[np.uint64], NDArray[np.uint64]]


def share_additive(x: NDArray[np.uint64], parties: int, *, draw: Draw = random_words) -> tuple[NDArray[np.uint64], ...]:
    """Split x into as many shares as parties; party i gets share i.

    Shapes: each share has the shape of x.
    Security: any parties - 1 shares are uniform and independent of x (perfect).
    Raises: ValueError for fewer than two parties.
    """
    if parties < 2:
        message = f"expected at least 2 parties, found {parties}"
        raise ValueError(message)
    masks = [draw(x.shape) for _ in range(parties - 1)]
    return *masks, np.asarray(x - _sum(masks))


def reconstruct_additive(shares: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The secret: the sum of all shares.

    Raises: SharesInvalid for fewer than two shares or unequal shapes. A share that is missing among several cannot
    be noticed: any sum is a possible secret.
    """
    if len(shares) < 2:
        raise SharesInvalid(f"expected all shares (at least 2), found {len(shares)}")
    _same_shape(shares)
    return _sum(shares)


def share_replicated(x: NDArray[np.uint64], *, draw: Draw = random_words) -> tuple[Pair, Pair, Pair]:
    """Split x for three parties: party i gets (x_i, x_{i+1 mod 3}).

    Shapes: each part has the shape of x.
    Security: what one party holds is uniform and independent of x (perfect); two parties together know x.
    References: Araki, Furukawa, Lindell, Nof, Ohara 2016 (ePrint 2016/768), section 2.
    """
    x0, x1, x2 = share_additive(x, 3, draw=draw)
    return (x0, x1), (x1, x2), (x2, x0)


def reconstruct_replicated(shares: Mapping[int, Pair]) -> NDArray[np.uint64]:
    """The secret from what two or three parties hold, by party number.

    Security: copies held by two parties are compared, so one party that changed its copy is noticed, not corrected.
    Raises: SharesInvalid for fewer than two parties, numbers outside 0..2, unequal shapes or copies.
    """
    if len(shares) < 2 or not set(shares) <= {0, 1, 2}:
        raise SharesInvalid(f"expected the shares of 2 or 3 of the parties 0, 1, 2, found those of {sorted(shares)}")
    _same_shape([part for pair in shares.values() for part in pair])
    parts: dict[int, NDArray[np.uint64]] = {}
    for party, pair in shares.items():
        for part, index in zip(pair, (party, (party + 1) % 3), strict=True):
            if not np.array_equal(parts.setdefault(index, part), part):
                raise SharesInvalid(f"the two copies of part {index} of a replicated share are not equal")
    return _sum([parts[0], parts[1], parts[2]])


def _sum(parts: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def _same_shape(shares: Sequence[NDArray[np.uint64]]) -> None:
    shapes = {share.shape for share in shares}
    if len(shapes) != 1:
        raise SharesInvalid(f"expected shares of one shape, found {sorted(shapes)}")
