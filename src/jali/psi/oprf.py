# SPDX-License-Identifier: Apache-2.0
"""Few keys against a cache of many: an oblivious pseudo-random function of each, asked from the cache's owner.

The client has the cache, and of each of its keys the point P. It sends r P for a fresh r, gets k r P for the owner's
secret k, and takes r off again: k P, whose hash it looks up. The owner sees random points.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import CacheInvalid, LowOrderPointError, PsiFrameInvalid, PsiKeysDiffer
from jali.core.threat import Cost, Leak, Threat
from jali.crypto.curve import POINT_BYTES
from jali.crypto.randomness import random_bytes
from jali.psi.cache import masked, tags_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.crypto.curve import Scalar
    from jali.psi.cache import Cache, Header
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

__all__ = ["MOST_QUERIES", "THREAT", "answer", "ask", "cost", "leaks"]

MOST_QUERIES: Final = 1 << 20
THREAT: Final = Threat(
    parties=2,
    corrupt=1,
    adversary="semi-honest owner, malicious client",
    abort="malformed messages, another cache and more queries than are allowed raise a named error",
    assumptions=("one-more gap Diffie-Hellman on Curve25519", "hashing to the curve is a random oracle"),
    paper="Jarecki, Kiayias, Krawczyk 2014 (ePrint 2014/650)",
)
_HELLO = struct.Struct("<8sQ16s")
_MAGIC = b"jalioprf"
_ORDER = 2**252 + 27742317777372353535851937790883648493
_ANSWER = struct.Struct("<B")
_FINE, _OTHER, _TOO_MANY = range(3)


def cost(n: int) -> Cost:
    """Exact bytes of the roles "me" (the client) and "peer", for n keys that are asked about."""
    return Cost(
        rounds=1,
        bytes_sent={"me": _HELLO.size + POINT_BYTES * n, "peer": _ANSWER.size + POINT_BYTES * n},
    )


def leaks(client: str, owner: str) -> tuple[Leak, ...]:
    """What each party learns."""
    return (
        Leak(what=f"which of its own keys {owner} has", to=client, why="the result"),
        Leak(what=f"the number of keys of {owner}, and their kind", to=client, why="size and header of the cache"),
        Leak(what=f"how many keys {client} asks about, and when", to=owner, why="number of points"),
    )


def ask(stream: Stream, cache: Cache, keys: Keys) -> NDArray[np.int64]:
    """The client's part: positions in `keys.digests` of those that the cache holds, ascending.

    Security: r is 8 times a number below 2^252, so r P is a point of the prime-order group, and within 2^-124 of
    uniform, whatever P is.
    Raises: PsiKeysDiffer if these are other keys than the cache's; CacheInvalid if the owner has another cache, or
    allows fewer queries; PsiFrameInvalid, LowOrderPointError for its answer.
    """
    header = cache.header
    if (keys.kinds, keys.normalise) != (header.kinds, header.normalise) and len(keys) and header.n:
        raise PsiKeysDiffer(
            f"the cache of {header.party!r} is of {' and '.join(header.kinds)} ({header.normalise}), these keys are "
            f"{' and '.join(keys.kinds)} ({keys.normalise}): they would never match",
            party=stream.peer,
        )
    numbers = [8 * (int.from_bytes(random_bytes(POINT_BYTES), "little") % 2**252 or 1) for _ in range(len(keys))]
    blinded = kernels.curve_multiply_each(masked(keys.digests), _scalars(numbers))
    stream.send(_HELLO.pack(_MAGIC, len(keys), header.key_id.encode()), blinded.tobytes())
    message = stream.receive()
    said = message[0] if message.nbytes else _FINE
    if message.nbytes == 1 and said == _OTHER:
        raise CacheInvalid(f"{stream.peer!r} has another cache now: get the new one")
    if message.nbytes == 1 and said == _TOO_MANY:
        raise CacheInvalid(f"{stream.peer!r} does not answer {len(keys)} queries at once: ask about fewer")
    if message.nbytes != _ANSWER.size + POINT_BYTES * len(keys) or said != _FINE:
        raise PsiFrameInvalid(
            f"expected {len(keys)} products from {stream.peer!r}, found {message.nbytes} bytes", party=stream.peer
        )
    products = np.frombuffer(message[_ANSWER.size :], np.uint8).reshape(-1, POINT_BYTES)
    if not np.all(np.any(products, axis=1)):
        raise LowOrderPointError(f"{stream.peer!r} answered with a point of low order", party=stream.peer)
    inverses = _scalars([pow(r, -1, _ORDER) for r in numbers])
    tags = tags_of(keys.digests, kernels.curve_multiply_each(products, inverses))
    return np.flatnonzero(cache.holds(tags))


def answer(stream: Stream, header: Header, scalar: Scalar, *, most: int = MOST_QUERIES) -> int:
    """The owner's part; gives the number of queries. A session answers one message.

    Security: the client learns the function at as many points as it sends, and nothing else of the scalar. It can ask
    about guesses: `most` bounds how many.
    Raises: PsiFrameInvalid, LowOrderPointError; CacheInvalid for another cache or more queries than `most`, which the
    client is told.
    """
    message = stream.receive()
    if message.nbytes < _HELLO.size:
        raise PsiFrameInvalid(
            f"expected a query of {_HELLO.size} bytes or more, found {message.nbytes}", party=stream.peer
        )
    magic, n, key_id = _HELLO.unpack_from(message)
    if magic != _MAGIC or message.nbytes != _HELLO.size + POINT_BYTES * n:
        raise PsiFrameInvalid(f"expected a query of {n} points, found {message.nbytes} bytes", party=stream.peer)
    if key_id != header.key_id.encode():
        stream.send(_ANSWER.pack(_OTHER))
        raise CacheInvalid(f"{stream.peer!r} has another cache than this one: give it the new one")
    if n > most:
        stream.send(_ANSWER.pack(_TOO_MANY))
        raise CacheInvalid(f"{stream.peer!r} asks about {n} keys at once, of at most {most}")
    points = np.frombuffer(message[_HELLO.size :], np.uint8).reshape(-1, POINT_BYTES)
    stream.send(_ANSWER.pack(_FINE), scalar.multiply(points).tobytes())
    return int(n)


def _scalars(numbers: list[int]) -> NDArray[np.uint8]:
    raw = b"".join(number.to_bytes(POINT_BYTES, "little") for number in numbers)
    return np.frombuffer(raw, np.uint8).reshape(-1, POINT_BYTES)
