# SPDX-License-Identifier: Apache-2.0
"""The id spine of two parties: a row for each key that either has, in one order, and nobody learns which both have.

F and G are oblivious pseudo-random functions, one of either party. The *id* of a key x is F(x) + G(x) (exclusive or):
each party has the ids of its own keys, and those of other keys look random to it.

1. Each party evaluates the other's function at its own keys, obliviously.
2. By `jali.psi.membership` the *receiver*, who has more keys, learns which of the *sender's* keys, in random
   order, it has too: how many, and not which.
3. By oblivious transfer it takes the ids of those that it lacks, and not those of the others, which it would know.
4. It sends the sender all ids of either, which is the spine.

References: Garimella, Mohassel, Rosulek, Sadeghian, Singh 2021 (ePrint 2021/243), section 6, for ids from functions and
a union; Chen, Zhang, Zhang, Liu, Zhu 2022 (ePrint 2022/652), section 6, for the union; Buddhavarapu et al. 2020 (ePrint
2020/599) for what it is good for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from jali import kernels
from jali.core.errors import PsiFrameInvalid
from jali.core.threat import Leak, Threat
from jali.crypto.oblivious_transfer import KEY_BYTES, MESSAGE_BYTES, OtReceiver, OtSender
from jali.crypto.randomness import random_bytes, random_order
from jali.psi.contract import counted
from jali.psi.hello import HELLO_BYTES, Speed, read_hello, write_hello
from jali.psi.membership import CHUNK_KEYS, memberships, memberships_script
from jali.psi.messages import receive_parts, receive_rows
from jali.psi.vole import VolePsi
from jali.psi.vole_oprf import OprfClient, OprfServer, oprf_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.core.threat import Cost
    from jali.psi.contract import Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["THREAT", "Spine", "cost", "leaks", "spine"]

THREAT: Final = Threat(
    parties=2,
    corrupt=1,
    adversary="semi-honest",
    abort="malformed, repeated or miscounted messages and low-order points raise a named error",
    assumptions=("decisional Diffie-Hellman on Curve25519", *VolePsi.threat.assumptions),
    paper="Garimella, Mohassel, Rosulek, Sadeghian, Singh 2021 (ePrint 2021/243)",
)
_NAME: Final = "spine"
_ID, _POINT, _COUNT = 16, 32, 8
_TO_ID: Final = "jali.psi.spine.id.v1"


class Spine(NamedTuple):
    """The places of this party's keys, in the order of its digests, how many there are, and of keys in common."""

    places: NDArray[np.int64]
    size: int
    common: int


def spine(stream: Stream, keys: Keys, *, first: bool, progress: Callable[[float, str], None]) -> Spine:
    """Place the keys of both parties; `first` is true at one of the two.

    Security: the receiver sees which of the sender's keys, in random order, it has too, and ids that look random. The
    sender sees all ids, of which it knows its own. Both learn how many keys are in common.
    Cost: see `cost`; for each key 4 multiplications, and 4 more for each of the sender's.
    Raises: PsiKeysDiffer, PsiFrameInvalid, LowOrderPointError.
    """
    stream.send(write_hello(keys, _NAME, Speed(0.0, 0.0), resumable=False))
    peer = read_hello(stream.receive(), keys, peer=stream.peer)
    if peer.protocol != _NAME:
        raise PsiFrameInvalid(f"expected {stream.peer!r} to place keys, it wants {peer.protocol!r}", party=stream.peer)
    if not len(keys) or not peer.n:
        return Spine(random_order(len(keys)), len(keys) + peer.n, 0)
    ids = _ids(stream, keys, peer.n, first=first, progress=progress)

    def later(done: float, what: str) -> None:
        progress(0.2 + 0.5 * done, what)

    if _receives(len(keys), peer.n, first=first):
        _, common = memberships(stream, keys, peer.n, learns="me", progress=later)
        whole = np.concatenate([ids, _taken(stream, ~np.asarray(common))])
        whole = whole[_rank(whole)]
        stream.send(len(whole).to_bytes(_COUNT, "little"))
        for start in range(0, len(whole), CHUNK_KEYS):
            stream.send(whole[start : start + CHUNK_KEYS].tobytes())
    else:
        order, _ = memberships(stream, keys, peer.n, learns="peer", progress=later)
        _give(stream, ids[order])
        whole = _whole(stream, len(keys), peer.n)
    progress(0.95, "keys placed")
    places, repeated = kernels.match_rows(ids, whole, seed=int.from_bytes(random_bytes(8), "little"))
    if repeated or np.any(places < 0):
        raise PsiFrameInvalid(f"expected the ids of all keys from {stream.peer!r}, found others", party=stream.peer)
    return Spine(np.asarray(places, np.int64), len(whole), len(keys) + peer.n - len(whole))


def _ids(stream: Stream, keys: Keys, n_theirs: int, *, first: bool, progress: Callable[[float, str], None]) -> Bytes:
    """The ids of this party's keys: the sum of both functions.

    Shapes: (keys, 16).
    """

    def part(start: float) -> Callable[[float, str], None]:
        return lambda done, what: progress(start + 0.1 * done, what)

    if first:
        theirs = OprfClient(stream, keys.digests, part(0.0)).outputs(domain=_TO_ID)
        own = OprfServer(stream, n_theirs, part(0.1)).outputs(keys.digests, domain=_TO_ID)
    else:
        own = OprfServer(stream, n_theirs, part(0.0)).outputs(keys.digests, domain=_TO_ID)
        theirs = OprfClient(stream, keys.digests, part(0.1)).outputs(domain=_TO_ID)
    return np.asarray(own ^ theirs)


def _taken(stream: Stream, wanted: NDArray[np.bool_]) -> Bytes:
    """The receiver's part of the transfers: the sender's ids at some places.

    Shapes: (n,) to (wanted ones, 16).
    Security: the sender sees nothing of the places; at the others the receiver gets nothing.
    """
    found = [np.zeros((0, _ID), np.uint8)]
    for start in range(0, len(wanted), CHUNK_KEYS):
        part = wanted[start : start + CHUNK_KEYS]
        receiver = OtReceiver(~part)  # key 0 opens an id, key 1 nothing
        stream.send(receiver.message.tobytes())
        public, masked = receive_parts(stream, _POINT, _ID * len(part))
        found.append((receiver.keys(public.tobytes()) ^ masked.reshape(-1, _ID))[part])
    return np.concatenate(found)


def _give(stream: Stream, ids: Bytes) -> None:
    """The sender's part of the transfers."""
    for start in range(0, len(ids), CHUNK_KEYS):
        part, sender = ids[start : start + CHUNK_KEYS], OtSender()
        keys = sender.keys(receive_rows(stream, MESSAGE_BYTES, len(part)))
        stream.send(sender.public, (keys[:, 0, :KEY_BYTES] ^ part).tobytes())


def _whole(stream: Stream, n_mine: int, n_theirs: int) -> Bytes:
    """The ids of either party, in ascending order. Raises: PsiFrameInvalid."""
    [message] = receive_parts(stream, _COUNT)
    size = int.from_bytes(message.tobytes(), "little")
    if not max(n_mine, n_theirs) <= size <= n_mine + n_theirs:
        raise PsiFrameInvalid(f"expected a union of {n_mine} and {n_theirs} keys, found {size}", party=stream.peer)
    parts = [receive_rows(stream, _ID, min(CHUNK_KEYS, size - start)) for start in range(0, size, CHUNK_KEYS)]
    whole = np.concatenate(parts)
    if not np.array_equal(_rank(whole), np.arange(size)):
        raise PsiFrameInvalid(f"expected ids in ascending order from {stream.peer!r}", party=stream.peer)
    return whole


def _rank(ids: Bytes) -> NDArray[np.int64]:
    """The order that makes them ascend."""
    words = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
    return np.lexsort((words[:, 1], words[:, 0]))


def _receives(n_mine: int, n_theirs: int, *, first: bool) -> bool:
    """Whether this party receives: each transfer costs, so the one with fewer keys sends."""
    return n_mine > n_theirs or (n_mine == n_theirs and first)


def cost(n_mine: int, n_theirs: int, size: int, *, first: bool = True) -> Cost:
    """Exact bytes of "me" and "peer" and rounds, for a spine of that size."""

    def script() -> Iterator[tuple[Step, int]]:
        yield "send", HELLO_BYTES
        yield "receive", HELLO_BYTES
        if not n_mine or not n_theirs:
            return
        for client in (first, not first):
            yield from oprf_script(n_mine if client else n_theirs, client=client)
        receives = _receives(n_mine, n_theirs, first=first)
        yield from memberships_script(n_mine, n_theirs, learns="me" if receives else "peer")
        out, back = ("send", "receive") if receives else ("receive", "send")
        sends = n_theirs if receives else n_mine
        for start in range(0, sends, CHUNK_KEYS):
            n = min(CHUNK_KEYS, sends - start)
            yield out, MESSAGE_BYTES * n
            yield back, _POINT + _ID * n
        yield out, _COUNT
        for start in range(0, size, CHUNK_KEYS):
            yield out, _ID * min(CHUNK_KEYS, size - start)

    return counted(script())


def leaks(parties: tuple[str, str]) -> tuple[Leak, ...]:
    """What each party learns."""
    found = []
    for party, peer in (parties, parties[::-1]):
        found += [
            Leak(
                what=f"the number of distinct keys of {peer}, and whether they are numbers, text or bytes",
                to=party,
                why="greeting and length of messages",
            ),
            Leak(what=f"how many of its keys {peer} has too, and not which", to=party, why="the length of the spine"),
        ]
    return tuple(found)
