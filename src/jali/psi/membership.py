# SPDX-License-Identifier: Apache-2.0
"""Which of the other's keys a party has too, in an order that tells neither which keys these are.

As in `jali.psi.ecdh`, each sends its masked keys in random order. But tags of the other's keys go back in ascending
order, when all have come: so who gets them can tell which of the masked keys that came it has, and not which of its own
they are. How many there are is the number of common keys.

References: De Cristofaro, Gasti, Tsudik 2012 (ePrint 2011/141), section 4; Chen, Zhang, Zhang, Liu, Zhu 2022 (ePrint
2022/652), section 5, who call it a multi-query reverse private membership test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import POINT_BYTES, TAG_BYTES, Scalar, tags
from jali.crypto.elligator import hash_to_curve
from jali.crypto.randomness import random_order
from jali.psi.messages import places_of, receive_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.psi.contract import Learns, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

__all__ = ["CHUNK_KEYS", "memberships", "memberships_script"]

CHUNK_KEYS: Final = 8192
_TO_CURVE = b"jali.count.v1/curve25519_XMD:SHA-512_ELL2_NU_"
_TO_TAG = "jali.psi.count.tag.v1"


def memberships(
    stream: Stream, keys: Keys, n_theirs: int, *, learns: Learns, progress: Callable[[float, str], None]
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """The random order in which I sent my keys, and which of the peer's, in its random order, I have too.

    Who learns sees whether the peer's i-th key is among its own, and neither which key that is nor which of its own it
    is.

    Shapes: to (keys,), and (n_theirs,) or None if only the peer learns.
    Raises: PsiFrameInvalid, LowOrderPointError.
    """
    scalar, order = Scalar(), random_order(len(keys))
    products = np.zeros((n_theirs, TAG_BYTES), np.uint8)
    chunks = max(_chunks(len(keys)), _chunks(n_theirs))
    for i in range(chunks):
        progress(i / (chunks + 1), "keys masked")
        part = slice(i * CHUNK_KEYS, (i + 1) * CHUNK_KEYS)
        if i < _chunks(len(keys)):
            digests = ByteStrings.rows(keys.digests[order[part]])
            stream.send(scalar.multiply(hash_to_curve(digests, domain=_TO_CURVE)).tobytes())
        if i < _chunks(n_theirs):
            points = receive_rows(stream, POINT_BYTES, len(products[part]))
            products[part] = tags(scalar.multiply(points), domain=_TO_TAG)
    progress(chunks / (chunks + 1), "keys counted")
    ranked = products[np.lexsort(products.view(">u8").T[::-1])]  # says nothing of the order in which the keys came
    mine = np.zeros((len(keys) if learns != "peer" else 0, TAG_BYTES), np.uint8)
    for start in range(0, max(len(ranked), len(mine)), CHUNK_KEYS):
        part = slice(start, start + CHUNK_KEYS)
        if learns != "me" and start < len(ranked):
            stream.send(ranked[part].tobytes())
        if start < len(mine):
            mine[part] = receive_rows(stream, TAG_BYTES, len(mine[part]))
    if learns == "peer":
        return order, None
    places = places_of(mine, products, peer=stream.peer)
    found = np.zeros(n_theirs, np.bool_)
    found[places[places >= 0]] = True
    return order, found


def memberships_script(n_mine: int, n_theirs: int, *, learns: Learns) -> Iterator[tuple[Step, int]]:
    """What one side does in `memberships`."""
    mine, theirs = _lengths(n_mine), _lengths(n_theirs)
    for i in range(max(len(mine), len(theirs))):
        for n in mine[i : i + 1]:
            yield "mask", n
            yield "send", POINT_BYTES * n
        for n in theirs[i : i + 1]:
            yield "receive", POINT_BYTES * n
            yield "match", n
    mine, theirs = mine if learns != "peer" else [], theirs if learns != "me" else []
    for i in range(max(len(mine), len(theirs))):
        yield from [("send", TAG_BYTES * n) for n in theirs[i : i + 1]]
        yield from [("receive", TAG_BYTES * n) for n in mine[i : i + 1]]


def _chunks(n: int) -> int:
    return -(-n // CHUNK_KEYS)


def _lengths(n: int) -> list[int]:
    return [min(CHUNK_KEYS, n - start) for start in range(0, n, CHUNK_KEYS)]
