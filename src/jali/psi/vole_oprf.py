# SPDX-License-Identifier: Apache-2.0
"""An oblivious pseudo-random function by vector oblivious linear evaluation: many keys, few public-key operations.

Of the two parties, the *client* has keys x, and the *server* gets the function F, which it can evaluate at any key; H
is a hash to GF(2^128).

1. They make vectors with c = factor a + b: the client has a and c, the server the factor and b, all look random.
2. The client makes a table p in which the places of each x sum up to H(x), and sends a + p.
3. With k = b + factor (a + p) = c + factor p, F(y) is a hash of the sum of y's places in k plus factor H(y). For y = x
   that is the sum of x's places in c, which the client has.

References: Raghuraman, Rindal 2022 (ePrint 2022/320), section 4, with the table of Bienstock, Patel, Seo, Yeo 2023
(ePrint 2023/903) and the evaluation of `jali.crypto.vole`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes
from jali.crypto.vole import PUBLIC_BYTES, VoleOwner, VolePeer, code_seed, message_bytes
from jali.psi.messages import receive_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.psi.contract import Step
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = [
    "OprfClient",
    "OprfServer",
    "hashed_output",
    "hashed_to_field",
    "oprf_script",
    "table_of",
    "table_places",
]

_BAND, _VALUE, _SEED = 256, 16, 8
_EXPANSION: Final = 1.1
_TO_VALUE = "jali.psi.vole.value.v1"


class OprfClient:
    """Has F at its own keys.

    Security: the server sees a + p, which looks random since a does. Semi-honest.
    """

    def __init__(self, stream: Stream, digests: Bytes, progress: Callable[[float, str], None]) -> None:
        """Run the client's part; see `oprf_script` for the messages.

        Shapes: digests (n, 16), different ones, n at least 1.
        Raises: PsiFrameInvalid.
        """
        m, peer = table_places(len(digests)), VolePeer()
        size = message_bytes(m)
        progress(0.02, "oblivious transfers")
        stream.send(peer.public, peer.choose(m).tobytes())
        owner_public, transfers = receive_parts(stream, PUBLIC_BYTES, size["owner transfers"])
        public = owner_public.tobytes()
        stream.send(peer.multiply(transfers.reshape(-1, 64)).tobytes())
        seed = code_seed(public, peer.public)
        progress(0.1, "the table of keys")
        table, place = table_of(digests, hashed_to_field(digests))
        masked = peer.expand(m, seed) ^ table.view(np.uint64)
        stream.send(place.to_bytes(_SEED, "little"), masked.tobytes())
        del masked, table
        sums, totals = receive_parts(stream, size["owner sums"], size["owner totals"])
        progress(0.4, "comparison")
        c = peer.finish(m, seed, public, sums.view(np.uint64), totals.view(np.uint64).reshape(-1, 2))
        self._digests = digests
        self._numbers = kernels.okvs_decode(digests, c.view(np.uint8).reshape(m, _VALUE), seed=place)

    def outputs(self, *, domain: str, width: int = _VALUE) -> Bytes:
        """F at each of the keys, cut to a width.

        Shapes: (n, width).
        """
        return hashed_output(self._numbers, self._digests, domain, width)


class OprfServer:
    """Can evaluate F anywhere.

    Security: the client learns F at as many keys as fit into its table, 1.1 n + 256 of them if it is malicious, and at
    any other key something that looks random: there the secret factor meets H(y) plus the places of y in p, which
    differ but with probability 2^-128.
    """

    def __init__(self, stream: Stream, n_theirs: int, progress: Callable[[float, str], None]) -> None:
        """Run the server's part, for a client with n_theirs keys. Raises: PsiFrameInvalid."""
        m, owner = table_places(n_theirs), VoleOwner()
        size = message_bytes(m)
        progress(0.02, "oblivious transfers")
        stream.send(owner.public, owner.transfers.tobytes())
        peer_public, transfers = receive_parts(stream, PUBLIC_BYTES, size["peer transfers"])
        public = peer_public.tobytes()
        progress(0.1, "trees")
        sums = owner.grow(m, transfers.reshape(-1, 64))
        [products] = receive_parts(stream, size["peer products"])
        totals = owner.totals(public, products.view(np.uint64).reshape(128, -1, 2))
        stream.send(sums.tobytes(), totals.tobytes())
        b = owner.expand(m, code_seed(owner.public, public))
        place, masked = receive_parts(stream, _SEED, _VALUE * m)
        progress(0.4, "comparison")
        self._k = kernels.field_multiply(masked.reshape(m, _VALUE), owner.factor)
        self._k ^= b.view(np.uint8).reshape(m, _VALUE)
        self._seed, self._factor = int.from_bytes(place.tobytes(), "little"), owner.factor

    def outputs(self, digests: Bytes, *, domain: str, width: int = _VALUE) -> Bytes:
        """F at each of some keys, cut to a width.

        Shapes: (n, 16) to (n, width).
        """
        numbers = kernels.okvs_decode(digests, self._k, seed=self._seed)
        numbers ^= kernels.field_multiply(hashed_to_field(digests), self._factor)
        return hashed_output(numbers, digests, domain, width)


def oprf_script(n: int, *, client: bool) -> Iterator[tuple[Step, int]]:
    """What one side does for n keys of the client: see `PsiProtocol.script`."""
    m = table_places(n)
    size = message_bytes(m)
    products, table = size["peer products"], _SEED + _VALUE * m
    sums = size["owner sums"] + size["owner totals"]
    yield "transfer", 1
    if client:
        yield "send", PUBLIC_BYTES + size["peer transfers"]
        yield "receive", PUBLIC_BYTES + size["owner transfers"]
        yield "send", products
        yield "encode", n
        yield "send", table
        yield "receive", sums
    else:
        yield "send", PUBLIC_BYTES + size["owner transfers"]
        yield "receive", PUBLIC_BYTES + size["peer transfers"]
        yield "grow", n
        yield "receive", products
        yield "send", sums
        yield "receive", table


def table_places(n: int) -> int:
    """How long a table of n keys is."""
    return math.ceil(_EXPANSION * n) + _BAND


def table_of(digests: Bytes, values: Bytes) -> tuple[Bytes, int]:
    """A table in which the places of each key sum up to its value, and its seed; elsewhere it is random.

    A seed fails with probability below 2^-60, and is drawn again then: the one that is sent says nothing of the keys.

    Shapes: (n, 16) and (n, 16) to (`table_places(n)`, 16).
    """
    m = table_places(len(digests))
    fill = kernels.prg_words(random_bytes(_VALUE), 0, 2 * m).view(np.uint8).reshape(m, _VALUE)
    failed = 1
    while failed:
        seed = int.from_bytes(random_bytes(_SEED), "little")
        table, failed = kernels.okvs_encode(digests, values, fill, seed=seed)
    return table, seed


def hashed_to_field(digests: Bytes) -> Bytes:
    """H of each key.

    Shapes: (n, 16) to (n, 16).
    """
    rows = ByteStrings.rows(digests)
    return kernels.sha512_each(rows.data, rows.offsets, width=_VALUE, prefix=encode_parts(_TO_VALUE))


def hashed_output(numbers: Bytes, digests: Bytes, domain: str, width: int) -> Bytes:
    """What makes F of the numbers at each key.

    Shapes: (n, 16) and (n, 16) to (n, width).
    """
    rows = ByteStrings.rows(np.concatenate([numbers, digests], axis=1))
    return kernels.sha512_each(rows.data, rows.offsets, width=width, prefix=encode_parts(domain))
