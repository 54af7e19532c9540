# SPDX-License-Identifier: Apache-2.0
"""An oblivious pseudo-random function by vector oblivious linear evaluation: many keys, few public-key operations.

Of the two parties, the *client* has keys x, and the *server* gets the function F, which it can evaluate at any key; H
is a hash to GF(2^128).

1. They make vectors with c = factor a + b: the client has a and c, the server the factor and b, all look random.
2. The client makes a table p in which the places of each x sum up to H(x), and sends a + p.
3. With k = b + factor (a + p) = c + factor p, F(y) is a hash of the sum of y's places in k plus factor H(y). For y = x
   that is the sum of x's places in c, which the client has.

With `checked`, it withstands malicious parties: the vectors are checked (`jali.crypto.vole`) before the client sends
its table, and each party adds a random value to what is hashed, the server's committed to at first and opened when it
has the table and the client's.

References: Raghuraman, Rindal 2022 (ePrint 2022/320), section 4, and Rindal, Schoppmann 2021 (ePrint 2021/266), section
3, with the table of Bienstock, Patel, Seo, Yeo 2023 (ePrint 2023/903) and the evaluation of `jali.crypto.vole`.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import CheckFailed
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import digest, encode_parts
from jali.crypto.randomness import random_bytes
from jali.crypto.secret import Secret
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
    "naming",
    "oprf_script",
    "table_of",
    "table_places",
]

_BAND, _VALUE, _SEED, _COMMITMENT = 256, 16, 8, 32
_EXPANSION: Final = 1.1
_TO_VALUE, _TO_ADDED = "jali.psi.vole.value.v1", "jali.psi.vole.added.v1"


class OprfClient(Secret):
    """Has F at its own keys.

    Security: the server sees a + p, which looks random since a does.
    """

    def __init__(
        self, stream: Stream, digests: Bytes, progress: Callable[[float, str], None], *, checked: bool = False
    ) -> None:
        """Run the client's part; see `oprf_script` for the messages.

        Shapes: digests (n, 16), different ones, n at least 1.
        Raises: PsiFrameInvalid; CheckFailed if `checked` and the server does not follow the protocol.
        """
        m, peer = table_places(len(digests)), VolePeer(checked=checked)
        size = message_bytes(m, checked=checked)
        progress(0.02, "oblivious transfers")
        stream.send(peer.public, peer.choose(m).tobytes())
        owner_public, transfers, commitment = receive_parts(
            stream, PUBLIC_BYTES, size["owner transfers"], _COMMITMENT if checked else 0
        )
        public = owner_public.tobytes()
        products = peer.multiply(public, transfers.reshape(-1, 64))
        stream.send(products.tobytes(), peer.proof)
        seed = code_seed(public, peer.public, products)
        progress(0.1, "the table of keys")
        table, place = table_of(digests, hashed_to_field(digests))
        masked = [place.to_bytes(_SEED, "little"), (peer.expand(m, seed) ^ table.view(np.uint64)).tobytes()]
        del table, products
        if not checked:  # while the server grows its trees
            stream.send(*masked)
            masked.clear()
        sums, totals = receive_parts(stream, size["owner sums"], size["owner totals"])
        progress(0.4, "comparison")
        peer.complete(public, sums.view(np.uint64), totals.view(np.uint64).reshape(-1, 2))
        if checked:
            stream.send(peer.challenge())
        c = peer.finish(m, seed)
        self._added = None
        if checked:
            [answer] = receive_parts(stream, size["owner answer"])
            with naming(stream):
                peer.verify(answer.tobytes())
            self._added = self._add(stream, masked, commitment.tobytes())
        self._digests = digests
        self._numbers = kernels.okvs_decode(digests, c.view(np.uint8).reshape(m, _VALUE), seed=place)

    @staticmethod
    def _add(stream: Stream, masked: list[bytes], commitment: bytes) -> Bytes:
        """Send the table, which is let go, with a random value; the sum of this and the server's."""
        own = random_bytes(_VALUE)
        stream.send(*masked, own)
        masked.clear()
        theirs, nonce = receive_parts(stream, _VALUE, _VALUE)
        if digest(_TO_ADDED, nonce.tobytes(), theirs.tobytes()) != commitment:
            with naming(stream):
                raise CheckFailed("the server's value is not the one that it committed to")
        return np.asarray(theirs ^ np.frombuffer(own, np.uint8))

    def outputs(self, *, domain: str, width: int = _VALUE) -> Bytes:
        """F at each of the keys, cut to a width.

        Shapes: (n, width).
        """
        return hashed_output(_plus(self._numbers, self._added), self._digests, domain, width)


class OprfServer(Secret):
    """Can evaluate F anywhere.

    Security: the client learns F at its keys, and at any other key something that looks random: there the secret factor
    meets H(y) plus the places of y in p, which differ but with probability 2^-128. A malicious client that has hashed q
    keys can make a table for more of them, see `VoleMaliciousPsi`.
    """

    def __init__(
        self, stream: Stream, n_theirs: int, progress: Callable[[float, str], None], *, checked: bool = False
    ) -> None:
        """Run the server's part, for a client with n_theirs keys.

        Raises: PsiFrameInvalid; CheckFailed if `checked` and the client does not follow the protocol.
        """
        m, owner = table_places(n_theirs), VoleOwner(checked=checked)
        size = message_bytes(m, checked=checked)
        own, nonce = (random_bytes(_VALUE if checked else 0) for _ in range(2))
        progress(0.02, "oblivious transfers")
        stream.send(owner.public, owner.transfers.tobytes(), digest(_TO_ADDED, nonce, own) if checked else b"")
        peer_public, transfers = receive_parts(stream, PUBLIC_BYTES, size["peer transfers"])
        public = peer_public.tobytes()
        progress(0.1, "trees")
        sums = owner.grow(m, public, transfers.reshape(-1, 64))
        received, proof = receive_parts(stream, size["peer products"], size["peer proof"])
        products = received.view(np.uint64).reshape(128, -1, 2)
        with naming(stream):
            totals = owner.totals(public, products, proof.tobytes())
        stream.send(sums.tobytes(), totals.tobytes())
        b = owner.expand(m, code_seed(owner.public, public, products))
        if checked:
            [challenge] = receive_parts(stream, size["peer challenge"])
            stream.send(owner.answer(challenge.tobytes()))
        place, masked, theirs = receive_parts(stream, _SEED, _VALUE * m, len(own))
        progress(0.4, "comparison")
        self._added = None
        if checked:
            stream.send(own, nonce)
            self._added = theirs ^ np.frombuffer(own, np.uint8)
        self._k = kernels.field_multiply(masked.reshape(m, _VALUE), owner.factor)
        self._k ^= b.view(np.uint8).reshape(m, _VALUE)
        self._seed, self._factor = int.from_bytes(place.tobytes(), "little"), owner.factor

    def outputs(self, digests: Bytes, *, domain: str, width: int = _VALUE) -> Bytes:
        """F at each of some keys, cut to a width.

        Shapes: (n, 16) to (n, width).
        """
        numbers = kernels.okvs_decode(digests, self._k, seed=self._seed)
        numbers ^= kernels.field_multiply(hashed_to_field(digests), self._factor)
        return hashed_output(_plus(numbers, self._added), digests, domain, width)


@contextmanager
def naming(stream: Stream) -> Iterator[None]:
    """Name the peer in a check that fails."""
    try:
        yield
    except CheckFailed as error:
        raise CheckFailed(f"{error.message}: {stream.peer!r} does not follow the protocol", party=stream.peer) from None


def _plus(numbers: Bytes, added: Bytes | None) -> Bytes:
    return numbers if added is None else numbers ^ added


def oprf_script(n: int, *, client: bool, checked: bool = False) -> Iterator[tuple[Step, int]]:
    """What one side does for n keys of the client: see `PsiProtocol.script`."""
    m = table_places(n)
    size = message_bytes(m, checked=checked)
    ours, theirs = ("send", "receive") if client else ("receive", "send")
    first = PUBLIC_BYTES + size["peer transfers"], PUBLIC_BYTES + size["owner transfers"] + checked * _COMMITMENT
    table, trees = _SEED + _VALUE * m, size["owner sums"] + size["owner totals"]
    yield "transfer", 1
    yield "send", first[0] if client else first[1]
    if not client:
        yield "receive", first[0]
        yield "grow", n
        yield "receive", size["peer products"] + size["peer proof"]
        yield "send", trees
    else:
        yield "receive", first[1]
        yield "send", size["peer products"] + size["peer proof"]
        yield "encode", n
        if not checked:
            yield "send", table
        yield "receive", trees
    if checked:
        yield ours, size["peer challenge"]
        yield theirs, size["owner answer"]
        yield ours, table + _VALUE
        yield theirs, 2 * _VALUE
    elif not client:
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
