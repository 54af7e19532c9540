# SPDX-License-Identifier: Apache-2.0
"""Private set intersection of three and more parties, in which nobody learns what fewer than all have in common.

Each two parties agree on a random seed. For a key x, party i has the *share* S_i(x), the sum of a pseudo-random
function of x under each of its seeds: the shares of all parties sum up to 0. One party *leads*. Each other one programs
its shares at its keys into an oblivious function (`jali.psi.programmed`), which the leader has at its own keys. The
leader adds up what it gets for a key, and its own share: 0 exactly if all have the key, and else something that looks
random, be it that one party lacks it or all do. It tells those who learn.

References: Kolesnikov, Matania, Pinkas, Rosulek, Trieu 2017 (ePrint 2017/799), section 5, the protocol in the augmented
semi-honest model: zero-sharing without interaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from jali import kernels
from jali.core.errors import PsiFrameInvalid
from jali.core.threat import Leak, Threat
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes
from jali.psi.ecdh import EcdhPsi
from jali.psi.ecdh_oprf import EcdhOprfClient, EcdhOprfServer, ecdh_oprf_script
from jali.psi.keys import DIGEST_BYTES
from jali.psi.programmed import program, programmed, table_bytes
from jali.psi.vole import VolePsi
from jali.psi.vole_oprf import OprfClient, OprfServer, oprf_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from jali.psi.contract import Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["FUNCTIONS", "Function", "Round", "common", "leader_of", "leaks", "script", "threat_of"]

_SEED, _VALUE, _SIZE = 16, 16, 8
_TO_SHARE: Final = "jali.psi.many.share.v1"


class Function(NamedTuple):
    """A way to evaluate the oblivious function: the client's part, the server's, and what they send for n keys."""

    client: Callable[..., Any]
    server: Callable[..., Any]
    script: Callable[..., Iterator[tuple[Step, int]]]


FUNCTIONS: Final = {
    "ecdh": Function(EcdhOprfClient, EcdhOprfServer, ecdh_oprf_script),
    "vole": Function(OprfClient, OprfServer, oprf_script),
}


def threat_of(protocol: str, parties: int) -> Threat:
    """The setting in which the protocol is secure, for so many parties."""
    base = EcdhPsi.threat if protocol == "ecdh" else VolePsi.threat
    return Threat(
        parties=parties,
        corrupt=parties - 1,
        adversary="augmented semi-honest: parties follow the protocol, with inputs that they may choose anew",
        abort="malformed, repeated or miscounted messages raise a named error",
        assumptions=base.assumptions,
        paper="Kolesnikov, Matania, Pinkas, Rosulek, Trieu 2017 (ePrint 2017/799)",
    )


class Round(NamedTuple):
    """One run: this party, all parties in the order that they agree on, their numbers of keys, and who does what."""

    me: str
    sizes: Mapping[str, int]
    leader: str
    learners: tuple[str, ...]
    protocol: str


def leader_of(sizes: Mapping[str, int], learners: tuple[str, ...]) -> str:
    """The learner with the fewest keys, and of several the first: it does most, for each of its keys."""
    return min(learners, key=lambda party: sizes[party])


def common(
    streams: Mapping[str, Stream], keys: Keys, terms: Round, progress: Callable[[float, str], None]
) -> NDArray[np.int64] | None:
    """The positions in `keys.digests` of those that all parties have, ascending; None if this party does not learn.

    All parties have keys.

    Security: parties that collude with the leader learn which of its keys all others have: together they could find
    that out by other inputs of their own. Parties that collude without it learn nothing but results.
    Cost: see `script`; the leader does so with one party after the other.
    Raises: PsiFrameInvalid, LowOrderPointError.
    """
    shares = _shares(streams, keys.digests, terms)
    function = FUNCTIONS[terms.protocol]
    if terms.me != terms.leader:
        stream = streams[terms.leader]
        server = function.server(stream, terms.sizes[terms.leader], progress)
        program(stream, server, keys.digests, shares)
        return _told(stream, keys) if terms.me in terms.learners else None
    others = [party for party in terms.sizes if party != terms.leader]
    for number, party in enumerate(others):

        def report(done: float, what: str, number: int = number) -> None:
            progress((number + done) / len(others), f"party {number + 1} of {len(others)}: {what}")

        client = function.client(streams[party], keys.digests, report)
        shares ^= programmed(streams[party], client, keys.digests, terms.sizes[party])
    found = np.flatnonzero(~np.any(shares, axis=1))
    for party in others:
        if party in terms.learners:
            streams[party].send(len(found).to_bytes(_SIZE, "little"), keys.digests[found].tobytes())
    return found


def _shares(streams: Mapping[str, Stream], digests: Bytes, terms: Round) -> Bytes:
    """This party's share at each of its keys.

    Shapes: (n, 16) to (n, 16).
    """
    order = list(terms.sizes)
    rows, shares = ByteStrings.rows(digests), np.zeros((len(digests), _VALUE), np.uint8)
    seeds = {party: random_bytes(_SEED) for party in order[order.index(terms.me) + 1 :]}
    for party, seed in seeds.items():
        streams[party].send(seed)
    for party in order[: order.index(terms.me)]:
        seeds[party] = bytes(streams[party].receive())
        if len(seeds[party]) != _SEED:
            raise PsiFrameInvalid(f"expected a seed from {party!r}, found another message", party=party)
    for seed in seeds.values():
        prefix = encode_parts(_TO_SHARE, seed)
        shares ^= kernels.sha512_each(rows.data, rows.offsets, width=_VALUE, prefix=prefix)
    return shares


def _told(stream: Stream, keys: Keys) -> NDArray[np.int64]:
    """What the leader found. Raises: PsiFrameInvalid for anything but keys of this party in ascending order."""
    message = stream.receive()
    count = int.from_bytes(message[:_SIZE], "little")
    if message.nbytes == _SIZE + DIGEST_BYTES * count and count <= len(keys):
        seed = int.from_bytes(random_bytes(8), "little")
        told = np.frombuffer(message[_SIZE:], np.uint8).reshape(count, DIGEST_BYTES)
        found, _ = kernels.match_rows(np.ascontiguousarray(told), keys.digests, seed=seed)
        if np.all(found >= 0) and np.all(np.diff(found) > 0):
            return np.asarray(found, np.int64)
    raise PsiFrameInvalid(f"expected keys that all have from {stream.peer!r}, found others", party=stream.peer)


def script(terms: Round, peer: str, n_common: int) -> Iterator[tuple[Step, int]]:
    """What this party does with one peer, in order, for so many common keys: see `PsiProtocol.script`."""
    order = list(terms.sizes)
    yield ("send" if order.index(terms.me) < order.index(peer) else "receive"), _SEED
    if terms.leader not in (terms.me, peer):
        return
    leads, other = terms.me == terms.leader, peer if terms.me == terms.leader else terms.me
    yield from FUNCTIONS[terms.protocol].script(terms.sizes[terms.leader], client=leads)
    yield ("receive" if leads else "send"), table_bytes(terms.sizes[other])
    if other in terms.learners:
        yield ("send" if leads else "receive"), _SIZE + DIGEST_BYTES * n_common


def leaks(parties: tuple[str, ...], learners: tuple[str, ...], *, counts: bool) -> tuple[Leak, ...]:
    """What each party learns; `counts` if they also tell each other how often they have each common key."""
    found = []
    for party in parties:
        others = ", ".join(other for other in parties if other != party)
        found.append(
            Leak(
                what=f"the number of distinct keys of {others}, and whether they are numbers, text or bytes",
                to=party,
                why="greetings and lengths of messages",
            )
        )
        if party in learners:
            found.append(
                Leak(what=f"which of its own keys all of {others} have", to=party, why="the result of the intersection")
            )
        if counts:
            found.append(
                Leak(
                    what=f"in how many rows each of {others} has each common key",
                    to=party,
                    why="duplicates multiply in a join",
                )
            )
    return tuple(found)
