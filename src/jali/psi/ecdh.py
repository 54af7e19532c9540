# SPDX-License-Identifier: Apache-2.0
"""Private set intersection by Diffie-Hellman on Curve25519.

Alice has the keys x and a secret scalar a, Bob the keys y and b; H hashes to the curve.

1. Each sends its masked keys in random order: Alice a H(x), Bob b H(y).
2. Each multiplies what came by its own scalar, and returns a tag of each product in the order in which it came:
   Alice tag(a b H(y)), Bob tag(b a H(x)).
3. Alice finds the tags of her keys among the tags that she made of Bob's: a b H(x) = b a H(y) exactly if x = y. So
   does Bob. When only one side learns, the other gets no tags back.

The messages are cut into chunks, and a chunk of masked keys is always under way while the last is multiplied, so
neither side idles, and neither fills the other's window.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from jali.core.threat import Threat
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import POINT_BYTES, TAG_BYTES, Scalar, tags
from jali.crypto.elligator import hash_to_curve
from jali.crypto.randomness import random_order
from jali.psi.contract import counted, least_leaks
from jali.psi.keys import DIGEST_BYTES
from jali.psi.messages import places_of, receive_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.core.threat import Cost, Leak
    from jali.crypto.curve import Points
    from jali.psi.contract import Learns, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

__all__ = ["CHUNK_KEYS", "EcdhPsi"]

CHUNK_KEYS: Final = 8192
_PACE_KEYS: Final = 2048
_TO_CURVE = b"jali.ecdh.v2/curve25519_XMD:SHA-512_ELL2_NU_"  # one block of SHA-512 less than a longer name
_TO_TAG = "jali.psi.ecdh.tag.v2"


class EcdhPsi:
    """Semi-honest two-party intersection; each side learns the other's number of distinct keys.

    Security: the peer sees b H(y) for random b in random order: under decisional Diffie-Hellman, with H a random
    oracle, these are random points but for the products that it can match. A dishonest peer can choose which keys
    to ask for, as with any PSI, and can make this side's result wrong; it cannot unmask keys that it does not guess.
    Cost: for each own key 1 hash to the curve, 1 multiplication and 32 bytes out; for each key of the peer 1
    multiplication, and 16 bytes out if it learns.
    References: Meadows 1986 (IEEE S&P); Huberman, Franklin, Hogg 1999 (ACM EC); Agrawal, Evfimievski, Srikant 2003
    (ACM SIGMOD), section 3, for the proof; De Cristofaro, Gasti, Tsudik 2012 (ePrint 2011/141) for shuffled masking.
    """

    name: ClassVar[str] = "ecdh"
    threat: ClassVar[Threat] = Threat(
        parties=2,
        corrupt=1,
        adversary="semi-honest",
        abort="malformed, repeated or miscounted messages and low-order points raise a named error",
        assumptions=("decisional Diffie-Hellman on Curve25519", "hashing to the curve is a random oracle"),
        paper="Huberman, Franklin, Hogg 1999; Meadows 1986; proof: Agrawal, Evfimievski, Srikant 2003",
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
        """See `PsiProtocol.intersect`. The scalar is drawn here and forgotten at the end. Both parties are alike."""
        del first
        run = _Run(stream, keys, n_theirs)
        points = run.begin()
        chunks = (_chunks(len(keys)), _chunks(n_theirs))
        for step, i in _schedule(*chunks, receive_tags=learns != "peer"):
            progress(i / (max(*chunks) + 1), "keys masked and compared")
            if step == "send points":
                stream.send(run.mask(i).tobytes())
            elif step == "multiply":
                tagged = run.multiply(i, points)
                if learns != "me":
                    stream.send(tagged.tobytes())
            elif step == "receive tags":
                run.returned[run.chunk(i)] = run.receive(TAG_BYTES, _chunk_length(len(keys), i))
            else:
                points = run.receive(POINT_BYTES, _chunk_length(n_theirs, i))
        return run.common(learns=learns != "peer")

    def cost(self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True) -> Cost:
        """See `PsiProtocol.cost`."""
        return counted(self.script(n_mine, n_theirs, learns=learns, first=first))

    def script(
        self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True
    ) -> Iterator[tuple[Step, int]]:
        """See `PsiProtocol.script`: the schedule of `intersect`."""
        del first
        begin = _chunk_length(n_mine, 0)
        yield "mask", begin
        yield "send", POINT_BYTES * begin
        yield "receive", POINT_BYTES * _chunk_length(n_theirs, 0)
        chunks = (_chunks(n_mine), _chunks(n_theirs))
        for step, i in _schedule(*chunks, receive_tags=learns != "peer"):
            mine, theirs = _chunk_length(n_mine, i), _chunk_length(n_theirs, i)
            if step == "send points":
                yield "mask", mine
                yield "send", POINT_BYTES * mine
            elif step == "multiply":
                yield "match", theirs
                if learns != "me":
                    yield "send", TAG_BYTES * theirs
            elif step == "receive tags":
                yield "receive", TAG_BYTES * mine
            else:
                yield "receive", POINT_BYTES * theirs

    def pace(self) -> dict[Step, float]:
        """See `PsiProtocol.pace`."""
        digests, scalar = np.zeros((_PACE_KEYS, DIGEST_BYTES), np.uint8), Scalar()
        start = time.perf_counter()
        points = scalar.multiply(hash_to_curve(ByteStrings.rows(digests), domain=_TO_CURVE))
        middle = time.perf_counter()
        tags(scalar.multiply(points), domain=_TO_TAG)
        end = time.perf_counter()
        return {"mask": (middle - start) / _PACE_KEYS, "match": (end - middle) / _PACE_KEYS}

    def leaks(self, parties: tuple[str, str], *, learners: tuple[str, ...]) -> tuple[Leak, ...]:
        """See `PsiProtocol.leaks`."""
        return least_leaks(parties, learners)


class _Run:
    """One side's state during one intersection."""

    def __init__(self, stream: Stream, keys: Keys, n_theirs: int) -> None:
        self.stream, self.keys = stream, keys
        self.scalar = Scalar()
        self.order = random_order(len(keys))
        self.products = np.zeros((n_theirs, TAG_BYTES), np.uint8)  # tags of the peer's keys
        self.returned = np.zeros((len(keys), TAG_BYTES), np.uint8)  # tags of mine, in the order in which I sent them

    def begin(self) -> Points:
        """Exchange the first chunks: the peer's first masked keys."""
        self.stream.send(self.mask(0).tobytes())
        return self.receive(POINT_BYTES, _chunk_length(len(self.products), 0))

    @staticmethod
    def chunk(i: int) -> slice:
        """The places of chunk i."""
        return slice(i * CHUNK_KEYS, (i + 1) * CHUNK_KEYS)

    def mask(self, i: int) -> Points:
        """Chunk i of my keys in random order, masked."""
        digests = self.keys.digests[self.order[self.chunk(i)]]
        return self.scalar.multiply(hash_to_curve(ByteStrings.rows(digests), domain=_TO_CURVE))

    def multiply(self, i: int, points: Points) -> NDArray[np.uint8]:
        """Tags of the products with chunk i of the peer's masked keys."""
        tagged = tags(self.scalar.multiply(points), domain=_TO_TAG)
        self.products[self.chunk(i)] = tagged
        return tagged

    def receive(self, width: int, count: int) -> NDArray[np.uint8]:
        """The next message: `count` rows of `width` bytes."""
        return receive_rows(self.stream, width, count)

    def common(self, *, learns: bool) -> NDArray[np.int64] | None:
        """Positions of my keys whose tags are among those of the peer's keys, if I learn.

        Raises: PsiFrameInvalid for a repeated value: different keys have different products.
        """
        mine = self.returned if learns else self.returned[:0]
        found = places_of(mine, self.products, peer=self.stream.peer)
        return np.sort(self.order[found >= 0]) if learns else None


def _schedule(mine: int, theirs: int, *, receive_tags: bool) -> Iterator[tuple[str, int]]:
    """What one side does after the greeting, by chunk: both sides' sequences fit together.

    A side multiplies even when it returns no tags, for it compares then.
    """
    for i in range(max(mine, theirs)):
        if i + 1 < mine:
            yield "send points", i + 1
        if i < theirs:
            yield "multiply", i
        if i + 1 < theirs:
            yield "receive points", i + 1
        if i < mine and receive_tags:
            yield "receive tags", i


def _chunks(n: int) -> int:
    return -(-n // CHUNK_KEYS)


def _chunk_length(n: int, i: int) -> int:
    return min(max(n - i * CHUNK_KEYS, 0), CHUNK_KEYS)
