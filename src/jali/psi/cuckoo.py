# SPDX-License-Identifier: Apache-2.0
"""Cuckoo tables: one party puts each key into one of three places, where the other, who puts it into all, meets it.

There are three tables of one size side by side, and a hash of the key picks a place in each.

References: Pagh, Rodler 2004 for the tables; Demmler, Rindal, Rosulek, Trieu 2018 (ePrint 2018/579), appendix, for
their size: with e places a key, all of n keys find one but with probability 2^-(123.5 e - 130 - log2 n).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import InternalError
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Places = NDArray[np.int64]

__all__ = ["TABLES", "arrange", "places", "queries", "size_for"]

TABLES: Final = 3
_SECURITY_BITS: Final = 40
_MARGIN: Final = 1.1
_MOST_STEPS: Final = 100_000
_TO_PLACES, _TO_QUERY = "jali.psi.cuckoo.places.v1", "jali.psi.cuckoo.query.v1"


def size_for(n: int) -> int:
    """How many places n keys need, so that they do not fit with probability below 2^-40.

    A few keys need more than the formula above says: four of them must not meet in the same three places, which
    n^4 / 24 sets of four do with probability (3 / size)^9 each.
    """
    n = max(n, 1)
    per_key = (_SECURITY_BITS + 130 + math.log2(n)) / 123.5
    few = _MARGIN * math.pow(n**4 / 24 * 3**9 * 2**_SECURITY_BITS, 1 / 9)
    return TABLES * math.ceil(max(per_key * n, few) / TABLES)


def places(digests: Bytes, size: int) -> Places:
    """The three places of each key.

    Shapes: (n, 16) to (n, 3).
    """
    rows = ByteStrings.rows(digests)
    hashed = kernels.sha512_each(rows.data, rows.offsets, width=8 * TABLES, prefix=encode_parts(_TO_PLACES))
    each = size // TABLES
    within = hashed.view("<u8").reshape(-1, TABLES) % np.uint64(each)
    return within.astype(np.int64) + each * np.arange(TABLES)


def queries(digests: Bytes, table: NDArray[np.int64] | int) -> Bytes:
    """What stands for each key in one of the tables: equal for equal keys in the same one.

    Shapes: digests (n, 16) and the number of each one's table (n,), or of all; to (n, 16).
    """
    numbers = np.broadcast_to(np.asarray(table, np.uint8), (len(digests),))
    rows = ByteStrings.rows(np.concatenate([digests, numbers[:, None]], axis=1))
    return kernels.sha512_each(rows.data, rows.offsets, width=digests.shape[1], prefix=encode_parts(_TO_QUERY))


def arrange(where: Places, size: int) -> NDArray[np.int64]:
    """Which key is in which place, or -1: all keys that have none move in at once, and whom they meet moves on.

    Shapes: where (n, 3) as of `places`; the result (size,).
    Security: local; which places are taken depends on the keys, so the result stays where they are.
    """
    holder = np.full(size, -1, np.int64)
    homeless = np.arange(len(where))
    table = np.zeros(len(where), np.int64)
    for _ in range(_MOST_STEPS):
        if not len(homeless):
            return holder
        wanted = where[homeless, table]
        before = holder[wanted]
        holder[wanted] = homeless
        stays = holder[wanted] == homeless
        moved = before[stays]
        moved = moved[moved >= 0]
        left = np.concatenate([table[~stays], _table_of(where, moved, wanted[stays][before[stays] >= 0])])
        homeless = np.concatenate([homeless[~stays], moved])
        table = (left + 1 + (random_words(len(left)) & np.uint64(1)).astype(np.int64)) % TABLES
    raise InternalError(f"{len(where)} keys found no places among {size}, which happens once in 2^40 runs: run again")


def _table_of(where: Places, keys: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """In which of its tables each key had a place. Shapes: (n,) and (n,) to (n,)."""
    return np.asarray(np.argmax(where[keys] == found[:, None], axis=1))
