# SPDX-License-Identifier: Apache-2.0
"""Private set intersection by vector oblivious linear evaluation.

Of the two parties, the *encoder* has keys x and the *tagger* keys y; H is a hash to GF(2^128).

1. They make vectors with c = factor a + b: the encoder has a and c, the tagger the factor and b, all look random.
2. The encoder makes a table p in which the places of each x sum up to H(x), and sends a + p.
3. With k = b + factor (a + p) = c + factor p, the tagger has for every y a number that nobody else knows, the sum of
   y's places in k plus factor H(y). For y = x that is the sum of x's places in c, which the encoder has too. The tagger
   sends hashes of the numbers in random order, and the encoder finds its own among them.
4. If both learn, the encoder says which of the hashes it found.

The encoder is the party that learns; if both do, that with fewer keys, or the first of the two.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from jali import kernels
from jali.core.errors import PsiFrameInvalid
from jali.core.threat import Threat
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes, random_order
from jali.crypto.vole import PUBLIC_BYTES, VoleOwner, VolePeer, code_seed, message_bytes
from jali.psi.contract import counted, least_leaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.core.threat import Cost, Leak
    from jali.psi.contract import Learns, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["VolePsi", "tag_bytes"]

_BAND, _VALUE, _SEED = 256, 16, 8
_EXPANSION: Final = 1.1
_PACE_KEYS: Final = 1 << 16
_CERTAINTY_BITS = 40
_TO_VALUE, _TO_TAG = "jali.psi.vole.value.v1", "jali.psi.vole.tag.v1"


class VolePsi:
    """Semi-honest two-party intersection from symmetric cryptography and few public-key operations.

    Security: the tagger sees a + p, which looks random since a does; the encoder, for y that it has not, hashes of
    numbers in which the secret factor meets H(y) plus the places of y in p, which differ but with probability 2^-128.
    Cost: 17.6 bytes for each key of the encoder, some 10 for each of the tagger, and about 1.5 MB.
    References: Raghuraman, Rindal 2022 (ePrint 2022/320), section 4, with the table of Bienstock, Patel, Seo, Yeo
    2023 (ePrint 2023/903) and the evaluation of `jali.crypto.vole`.
    """

    name: ClassVar[str] = "vole"
    threat: ClassVar[Threat] = Threat(
        parties=2,
        corrupt=1,
        adversary="semi-honest",
        abort="malformed, repeated or miscounted messages raise a named error",
        assumptions=(
            "regular syndromes of the expand-convolute code look random (dual learning parity with noise)",
            "computational Diffie-Hellman on Curve25519",
            "SHA-512 is a random oracle",
        ),
        paper="Raghuraman, Rindal 2022 (ePrint 2022/320)",
    )

    def intersect(
        self,
        stream: Stream,
        keys: Keys,
        n_theirs: int,
        *,
        learns: Learns = "both",
        first: bool = True,
        progress: Callable[[float, str], None],
    ) -> NDArray[np.int64] | None:
        """See `PsiProtocol.intersect`."""
        part = _Encoder if _encodes(len(keys), n_theirs, learns=learns, first=first) else _Tagger
        return part(stream, keys, n_theirs, progress).run(both=learns == "both")

    def cost(self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True) -> Cost:
        """See `PsiProtocol.cost`."""
        return counted(self.script(n_mine, n_theirs, learns=learns, first=first))

    def script(
        self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True
    ) -> Iterator[tuple[Step, int]]:
        """See `PsiProtocol.script`: the messages of `_Encoder` and `_Tagger`."""
        encodes = _encodes(n_mine, n_theirs, learns=learns, first=first)
        n, n_tags = (n_mine, n_theirs) if encodes else (n_theirs, n_mine)
        m = _places(n)
        size = message_bytes(m)
        ours, theirs = ("peer", "owner") if encodes else ("owner", "peer")
        yield "transfer", 1
        yield "send", PUBLIC_BYTES + size[f"{ours} transfers"]
        yield "receive", PUBLIC_BYTES + size[f"{theirs} transfers"]
        products, table = size["peer products"], _SEED + _VALUE * m
        sums, tags = size["owner sums"] + size["owner totals"], tag_bytes(n, n_tags) * n_tags
        if encodes:
            yield "send", products
            yield "encode", n
            yield "send", table
            yield "receive", sums
            yield "find", n
            yield "receive", tags
        else:
            yield "grow", n
            yield "receive", products
            yield "send", sums
            yield "receive", table
            yield "tag", n_tags
            yield "send", tags
        if learns == "both":
            yield ("send" if encodes else "receive"), -(-n_tags // 8)

    def pace(self) -> dict[Step, float]:
        """See `PsiProtocol.pace`."""
        rows = np.frombuffer(random_bytes(_VALUE * _PACE_KEYS), np.uint8).reshape(-1, _VALUE)
        m = _places(_PACE_KEYS)
        fill = np.frombuffer(random_bytes(_VALUE * m), np.uint8).reshape(-1, _VALUE)
        times = [time.perf_counter()]
        owner, peer = VoleOwner(), VolePeer()
        transfers = peer.choose(m)
        products = peer.multiply(owner.transfers)
        seed = code_seed(owner.public, peer.public)
        times.append(time.perf_counter())
        kernels.okvs_encode(rows, _values(rows), fill, seed=1)
        peer.expand(m, seed)
        times.append(time.perf_counter())
        sums = owner.grow(m, transfers)
        totals = owner.totals(peer.public, products)
        owner.expand(m, seed)
        times.append(time.perf_counter())
        peer.finish(m, seed, owner.public, sums, totals)
        _tags(kernels.okvs_decode(rows, fill, seed=1), rows, _VALUE)
        times.append(time.perf_counter())
        _tags(kernels.okvs_decode(rows, fill, seed=1), _values(rows), _VALUE)
        times.append(time.perf_counter())
        transfer, encode, grow, find, tag = np.diff(times).tolist()
        each = 1 / _PACE_KEYS
        return {
            "transfer": transfer,
            "encode": encode * each,
            "grow": grow * each,
            "find": find * each,
            "tag": tag * each,
        }

    def leaks(self, parties: tuple[str, str], *, learners: tuple[str, ...]) -> tuple[Leak, ...]:
        """See `PsiProtocol.leaks`."""
        return least_leaks(parties, learners)


class _Part:
    """What both parts have: messages of known sizes."""

    def __init__(self, stream: Stream, keys: Keys, n_theirs: int, progress: Callable[[float, str], None]) -> None:
        self.stream, self.keys, self.n_theirs, self.progress = stream, keys, n_theirs, progress

    def receive(self, *sizes: int) -> list[Bytes]:
        """The next message, cut into parts of these many bytes."""
        message = self.stream.receive()
        if message.nbytes != sum(sizes):
            raise PsiFrameInvalid(
                f"expected {sum(sizes)} bytes from {self.stream.peer!r}, found {message.nbytes}", party=self.stream.peer
            )
        return np.split(np.frombuffer(message, np.uint8), np.cumsum(sizes)[:-1])


class _Encoder(_Part):
    """Has a table of its own keys, and finds them among the other's tags."""

    def run(self, *, both: bool) -> NDArray[np.int64]:
        m, peer = _places(len(self.keys)), VolePeer()
        size, width = message_bytes(m), tag_bytes(len(self.keys), self.n_theirs)
        self.progress(0.02, "oblivious transfers")
        self.stream.send(peer.public, peer.choose(m).tobytes())
        owner_public, transfers = self.receive(PUBLIC_BYTES, size["owner transfers"])
        public = owner_public.tobytes()
        self.stream.send(peer.multiply(transfers.reshape(-1, 64)).tobytes())
        seed = code_seed(public, peer.public)
        self.progress(0.1, "the table of keys")
        table, place = _table(self.keys.digests, _values(self.keys.digests), m)
        masked = peer.expand(m, seed) ^ table.view(np.uint64)
        self.stream.send(place.to_bytes(_SEED, "little"), masked.tobytes())
        sums, totals = self.receive(size["owner sums"], size["owner totals"])
        self.progress(0.4, "comparison")
        c = peer.finish(m, seed, public, sums.view(np.uint64), totals.view(np.uint64).reshape(-1, 2))
        numbers = kernels.okvs_decode(self.keys.digests, c.view(np.uint8).reshape(m, _VALUE), seed=place)
        mine = _tags(numbers, self.keys.digests, width)
        [tags] = self.receive(width * self.n_theirs)
        self.progress(0.9, "comparison")
        theirs = _wide(tags.reshape(-1, width))
        found, repeated = kernels.match_rows(theirs, mine, seed=int.from_bytes(random_bytes(8), "little"))
        hits = found[found >= 0]
        if repeated or len(np.unique(hits)) < len(hits):
            raise PsiFrameInvalid(
                f"expected different values from {self.stream.peer!r}, found a repeated one", party=self.stream.peer
            )
        if both:
            self.stream.send(np.packbits(found >= 0).tobytes())
        return np.sort(hits)


class _Tagger(_Part):
    """Makes the numbers of its own keys from the other's table."""

    def run(self, *, both: bool) -> NDArray[np.int64] | None:
        digests, m, owner = self.keys.digests, _places(self.n_theirs), VoleOwner()
        size, width = message_bytes(m), tag_bytes(self.n_theirs, len(self.keys))
        self.progress(0.02, "oblivious transfers")
        self.stream.send(owner.public, owner.transfers.tobytes())
        peer_public, transfers = self.receive(PUBLIC_BYTES, size["peer transfers"])
        public = peer_public.tobytes()
        self.progress(0.1, "trees")
        sums = owner.grow(m, transfers.reshape(-1, 64))
        [products] = self.receive(size["peer products"])
        totals = owner.totals(public, products.view(np.uint64).reshape(128, -1, 2))
        self.stream.send(sums.tobytes(), totals.tobytes())
        b = owner.expand(m, code_seed(owner.public, public))
        order, values = random_order(len(digests)), _values(digests)
        place, masked = self.receive(_SEED, _VALUE * m)
        self.progress(0.4, "comparison")
        k = kernels.field_multiply(masked.reshape(m, _VALUE), owner.factor) ^ b.view(np.uint8).reshape(m, _VALUE)
        numbers = kernels.okvs_decode(digests, k, seed=int.from_bytes(place.tobytes(), "little"))
        numbers ^= kernels.field_multiply(values, owner.factor)
        tags = _tags(numbers, digests, width)[:, :width]
        self.stream.send(np.ascontiguousarray(tags[order]).tobytes())
        if not both:
            return None
        [bits] = self.receive(-(-len(digests) // 8))
        return np.sort(order[np.unpackbits(bits)[: len(digests)] == 1])


def tag_bytes(n: int, m: int) -> int:
    """Bytes of a tag, so that two of n and m different keys have one with probability below 2^-40."""
    return min(_VALUE, -(-(_CERTAINTY_BITS + (n - 1).bit_length() + (m - 1).bit_length()) // 8))


def _encodes(n_mine: int, n_theirs: int, *, learns: Learns, first: bool) -> bool:
    if learns != "both":
        return learns == "me"
    return n_mine < n_theirs or (n_mine == n_theirs and first)


def _places(n: int) -> int:
    """How long a table of n keys is."""
    return math.ceil(_EXPANSION * n) + _BAND


def _table(digests: Bytes, values: Bytes, m: int) -> tuple[Bytes, int]:
    """A table in which the places of each key sum up to its value, and its seed.

    A seed fails with probability below 2^-60, and is drawn again then: the one that is sent says nothing of the keys.
    """
    fill = kernels.prg_words(random_bytes(_VALUE), 0, 2 * m).view(np.uint8).reshape(m, _VALUE)
    failed = 1
    while failed:
        seed = int.from_bytes(random_bytes(_SEED), "little")
        table, failed = kernels.okvs_encode(digests, values, fill, seed=seed)
    return table, seed


def _values(digests: Bytes) -> Bytes:
    rows = ByteStrings.rows(digests)
    return kernels.sha512_each(rows.data, rows.offsets, width=_VALUE, prefix=encode_parts(_TO_VALUE))


def _tags(numbers: Bytes, digests: Bytes, width: int) -> Bytes:
    """Hashes of the numbers and keys, cut to a width, in rows of 16.

    Shapes: (n, 16) and (n, 16) to (n, 16).
    """
    rows = ByteStrings.rows(np.concatenate([numbers, digests], axis=1))
    return _wide(kernels.sha512_each(rows.data, rows.offsets, width=width, prefix=encode_parts(_TO_TAG)))


def _wide(tags: Bytes) -> Bytes:
    rows = np.zeros((len(tags), _VALUE), np.uint8)
    rows[:, : tags.shape[1]] = tags
    return rows
