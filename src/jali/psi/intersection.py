# SPDX-License-Identifier: Apache-2.0
"""An intersection from greeting to result: the protocol is agreed on, and large sets are cut into buckets.

Keys are digests, so their first bits cut any set into parts of about one size. Each part is filled up with random keys
to a size that follows from the number of all keys, so its real size is not seen; parts are intersected one after the
other, in memory for one of them.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jali.core.errors import InputError, PsiFrameInvalid
from jali.crypto.randomness import random_words
from jali.psi.choice import AUTO, choose, settled, speed_here
from jali.psi.contract import PSI_PROTOCOLS, counted
from jali.psi.hello import HELLO_BYTES, Speed, read_hello, write_hello

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.core.threat import Cost
    from jali.psi.contract import Learns, PsiProtocol, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream
    from jali.transport.network import Network

__all__ = [
    "BUCKET_KEYS",
    "Checkpoints",
    "buckets",
    "intersect",
    "intersect_buckets",
    "intersection_cost",
    "intersection_script",
    "padded",
    "parts_of",
]

BUCKET_KEYS = 1 << 20
"""Up to how many keys a set is not cut."""

_FEWEST_CHECKED = 1 << 14
"""Against malicious parties, the fewest keys of a set in a bucket: who lies can use what buckets are filled with."""

_MOST_CHECKED = 4  # buckets in one, where few keys of a set allow for no more
_DEVIATIONS = 9
"""By how many standard deviations a bucket may exceed its mean: more happens with probability below 2^-58."""


class Checkpoints(Protocol):
    """Where results of buckets survive the process."""

    def begin(self, n_mine: int, n_theirs: int, protocol: str, count: int) -> NDArray[np.bool_]:
        """Which buckets of such an intersection have results; those of any other are forgotten."""
        ...

    def load(self, bucket: int) -> NDArray[np.int64] | None:
        """The result of a bucket."""
        ...

    def save(self, bucket: int, found: NDArray[np.int64] | None) -> None:
        """Keep the result of a bucket."""
        ...


def buckets(protocol: PsiProtocol, n_mine: int, n_theirs: int, bucket_keys: int = 0) -> int:
    """Into how many parts two sets are cut: of about so many keys, `BUCKET_KEYS` if it is not said.

    Raises: InputError for a protocol against malicious parties and sets that differ too much in size.
    """
    size = bucket_keys or BUCKET_KEYS
    fewer, more = sorted((n_mine, n_theirs))
    count = max(1, -(-more // size))
    if protocol.threat.adversary != "malicious":
        return count
    count = max(1, min(count, fewer // _FEWEST_CHECKED))
    if more > _MOST_CHECKED * size * count:
        raise InputError(
            f"{protocol.name!r} takes up to {_MOST_CHECKED * size * count:,} keys beside {fewer:,}, found {more:,}: "
            "allow more memory, or take another protocol"
        )
    return count


def padded(n: int, count: int) -> int:
    """The size of each part of n keys."""
    if count == 1:
        return n
    mean = n / count
    return min(n, math.ceil(mean + _DEVIATIONS * math.sqrt(mean) + _DEVIATIONS))


def intersect(stream: Stream, keys: Keys, *, learns: Learns, **how: Any) -> NDArray[np.int64] | None:
    """The positions in `keys.digests` of those that the peer has too, ascending; None if only the peer learns.

    The rest is as of `intersect_buckets`.
    """
    found = [np.zeros(0, np.int64)]
    for start, _, positions in intersect_buckets(stream, keys, learns=learns, **how):
        if positions is not None:
            found.append(positions + start)
    return None if learns == "peer" else np.concatenate(found)


def intersect_buckets(  # noqa: PLR0913 - all but the first two by name
    stream: Stream,
    keys: Keys,
    *,
    protocol: str,
    learns: Learns,
    first: bool,
    network: str | Network = "lan",
    filled_to: int | None = None,
    bucket_keys: int = 0,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[float, str], None],
) -> Iterator[tuple[int, Keys, NDArray[np.int64] | None]]:
    """Of each bucket where it begins, its keys, and the positions among them of those that the peer has too, ascending.

    Of the positions, None if only the peer learns; without keys at either side, there is no bucket. `protocol` is a
    name or "auto"; `network` is what "auto" reckons with. The rest is as of `PsiProtocol.intersect`. `filled_to` fills
    the keys up with random ones to that number, which is what the peer sees. `bucket_keys` is how many keys a bucket
    has, about; both parties must say the same. Buckets that both parties have a checkpoint of are not done again.
    Raises: PsiKeysDiffer, PsiFrameInvalid, and what the protocol raises.
    """
    n = len(keys) if filled_to is None else filled_to
    name, n_theirs, resumable = _agreed(stream, keys, n, protocol, learns, first, network, checkpoints is not None)
    if not n or not n_theirs:
        return
    made: PsiProtocol = PSI_PROTOCOLS.get(name)()
    count = buckets(made, n, n_theirs, bucket_keys)
    done = np.zeros(count, np.bool_)
    if checkpoints is not None:
        done = checkpoints.begin(n, n_theirs, name, count)
        done &= _exchange_done(stream, done) if resumable else False
    for bucket, (start, part) in enumerate(parts_of(keys, n, count)):

        def report(part_done: float, what: str, bucket: int = bucket) -> None:
            place = "" if count == 1 else f"bucket {bucket + 1} of {count}, "
            progress((bucket + part_done) / count, f"{name}: {place}{what}")

        report(0.0, "start")  # so that an error in its first message names it
        if checkpoints is not None and done[bucket]:
            positions = checkpoints.load(bucket)
        else:
            size = padded(n_theirs, count)
            positions = made.intersect(stream, part, size, learns=learns, first=first, progress=report)
            if checkpoints is not None:
                checkpoints.save(bucket, positions)
        yield start, part, positions


def _agreed(
    stream: Stream,
    keys: Keys,
    n: int,
    protocol: str,
    learns: Learns,
    first: bool,  # noqa: FBT001
    network: str | Network,
    resumable: bool,  # noqa: FBT001
) -> tuple[str, int, bool]:
    """The protocol, the peer's number of keys, and whether both can go on where they were, after the greetings."""
    speed = speed_here() if protocol == AUTO else Speed(0.0, 0.0)
    stream.send(write_hello(keys, protocol, speed, resumable=resumable, n=n))
    peer = read_hello(stream.receive(), keys, peer=stream.peer)
    choice = None
    if protocol == peer.protocol == AUTO:
        choice = choose((n, peer.n), (speed, peer.speed), learns=learns, network=network, first=first)
    return settled(protocol, peer, choice, peer=stream.peer), peer.n, resumable and peer.resumable


def _exchange_done(stream: Stream, done: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which buckets the peer has done."""
    stream.send(np.packbits(done).tobytes())
    message = stream.receive()
    if message.nbytes != -(-len(done) // 8):
        raise PsiFrameInvalid(
            f"expected {-(-len(done) // 8)} bytes of checkpoints from {stream.peer!r}, found {message.nbytes}",
            party=stream.peer,
        )
    return np.unpackbits(np.frombuffer(message, np.uint8))[: len(done)].astype(np.bool_)


def parts_of(keys: Keys, n: int, count: int) -> Iterator[tuple[int, Keys]]:
    """Each part, filled up to its share of n, and the position of its first key."""
    if count == 1:
        yield 0, keys if n == len(keys) else keys.part(0, len(keys), _fresh(n - len(keys)))
        return
    size = padded(n, count)
    for start, end in pairwise(keys.ends(count)):
        if end - start > size:
            raise PsiFrameInvalid(
                f"one of {count} buckets has {end - start} of {len(keys)} keys where {size} fit, which happens once in "
                "2^50 runs: run the intersection again with another normalisation, or fewer keys"
            )
        yield start, keys.part(start, end, _fresh(size - end + start))
        keys.forget_pages()


def _fresh(n: int) -> NDArray[np.uint8]:
    """Random keys, which nobody has.

    Shapes: (n, 16).
    """
    return random_words((n, 2)).view(np.uint8)


def intersection_script(
    protocol: PsiProtocol, n_mine: int, n_theirs: int, *, learns: Learns, first: bool
) -> Iterator[tuple[Step, int]]:
    """What one side does from greeting to result: see `PsiProtocol.script`."""
    yield "send", HELLO_BYTES
    yield "receive", HELLO_BYTES
    if n_mine and n_theirs:
        count = buckets(protocol, n_mine, n_theirs)
        for _ in range(count):
            yield from protocol.script(padded(n_mine, count), padded(n_theirs, count), learns=learns, first=first)


def intersection_cost(protocol: PsiProtocol, n_mine: int, n_theirs: int, *, learns: Learns, first: bool = True) -> Cost:
    """Exact bytes of "me" and "peer" and rounds, from greeting to result."""
    return counted(intersection_script(protocol, n_mine, n_theirs, learns=learns, first=first))
