# SPDX-License-Identifier: Apache-2.0
"""Private set intersection by an oblivious pseudo-random function F of many keys, see `jali.psi.vole_oprf`.

Of the two parties, the *encoder* has F at its keys x, and the *tagger* can evaluate it at its keys y.

1. The tagger sends F(y), a *tag*, of each of its keys in random order; the encoder finds its own among them.
2. If both learn, the encoder says which of the tags it found.

The encoder is the party that learns; if both do, that with fewer keys, or the first of the two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from jali import kernels
from jali.core.errors import CheckFailed, PsiFrameInvalid
from jali.core.threat import Threat
from jali.crypto.hashing import digest
from jali.crypto.randomness import random_bytes, random_order
from jali.crypto.vole import VoleOwner, VolePeer, code_seed
from jali.psi.contract import counted, least_leaks
from jali.psi.messages import receive_parts
from jali.psi.vole_oprf import (
    OprfClient,
    OprfServer,
    hashed_output,
    hashed_to_field,
    naming,
    oprf_script,
    table_places,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.core.threat import Cost, Leak
    from jali.psi.contract import Learns, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["VolePsi", "run", "script", "tag_bytes"]

_VALUE: Final = 16
_PACE_KEYS: Final = 1 << 16
_CERTAINTY_BITS = 40
_CLAIM: Final = 32
_TO_TAG, _TO_CLAIM = "jali.psi.vole.tag.v1", "jali.psi.vole.claim.v1"


class VolePsi:
    """Semi-honest two-party intersection from symmetric cryptography and few public-key operations.

    Security: that of `OprfClient` and `OprfServer`; the encoder sees F of keys that it has not, which looks random.
    Cost: 17.6 bytes for each key of the encoder, some 10 for each of the tagger, and about 1.5 MB.
    References: Raghuraman, Rindal 2022 (ePrint 2022/320), section 4.
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
        return run(stream, keys, n_theirs, learns=learns, first=first, progress=progress)

    def cost(self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True) -> Cost:
        """See `PsiProtocol.cost`."""
        return counted(self.script(n_mine, n_theirs, learns=learns, first=first))

    def script(
        self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True
    ) -> Iterator[tuple[Step, int]]:
        """See `PsiProtocol.script`."""
        return script(n_mine, n_theirs, learns=learns, first=first)

    def pace(self) -> dict[Step, float]:
        """See `PsiProtocol.pace`."""
        rows = np.frombuffer(random_bytes(_VALUE * _PACE_KEYS), np.uint8).reshape(-1, _VALUE)
        m = table_places(_PACE_KEYS)
        fill = np.frombuffer(random_bytes(_VALUE * m), np.uint8).reshape(-1, _VALUE)
        times = [time.perf_counter()]
        owner, peer = VoleOwner(), VolePeer()
        transfers = peer.choose(m)
        products = peer.multiply(owner.public, owner.transfers)
        seed = code_seed(owner.public, peer.public, products)
        times.append(time.perf_counter())
        kernels.okvs_encode(rows, hashed_to_field(rows), fill, seed=1)
        peer.expand(m, seed)
        times.append(time.perf_counter())
        sums = owner.grow(m, peer.public, transfers)
        totals = owner.totals(peer.public, products)
        owner.expand(m, seed)
        times.append(time.perf_counter())
        peer.complete(owner.public, sums, totals)
        peer.finish(m, seed)
        hashed_output(kernels.okvs_decode(rows, fill, seed=1), rows, _TO_TAG, _VALUE)
        times.append(time.perf_counter())
        hashed_output(kernels.okvs_decode(rows, fill, seed=1), hashed_to_field(rows), _TO_TAG, _VALUE)
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


def run(
    stream: Stream,
    keys: Keys,
    n_theirs: int,
    *,
    learns: Learns,
    first: bool,
    progress: Callable[[float, str], None],
    checked: bool = False,
) -> NDArray[np.int64] | None:
    """See `PsiProtocol.intersect`; `checked` against malicious parties."""
    part = _encode if _encodes(len(keys), n_theirs, learns=learns, first=first) else _tag
    return part(stream, keys, n_theirs, both=learns == "both", progress=progress, checked=checked)


def script(
    n_mine: int, n_theirs: int, *, learns: Learns, first: bool, checked: bool = False
) -> Iterator[tuple[Step, int]]:
    """See `PsiProtocol.script`."""
    encodes = _encodes(n_mine, n_theirs, learns=learns, first=first)
    n, n_tags = (n_mine, n_theirs) if encodes else (n_theirs, n_mine)
    yield from oprf_script(n, client=encodes, checked=checked)
    yield ("find", n) if encodes else ("tag", n_tags)
    yield ("receive" if encodes else "send"), _width(n, n_tags, checked=checked) * n_tags
    if learns == "both":
        yield ("send" if encodes else "receive"), -(-n_tags // 8) + (_CLAIM if checked else 0)


def _encode(
    stream: Stream,
    keys: Keys,
    n_theirs: int,
    *,
    both: bool,
    progress: Callable[[float, str], None],
    checked: bool,
) -> NDArray[np.int64]:
    """The encoder's part."""
    width = _width(len(keys), n_theirs, checked=checked)
    client = OprfClient(stream, keys.digests, progress, checked=checked)
    mine = _wide(client.outputs(domain=_TO_TAG, width=width))
    [tags] = receive_parts(stream, width * n_theirs)
    progress(0.9, "comparison")
    seed = int.from_bytes(random_bytes(8), "little")
    places, repeated = kernels.match_rows(mine, _wide(tags.reshape(-1, width)), seed=seed)
    if repeated:  # of all tags: whether the run ends for it does not depend on which of them are known here
        raise PsiFrameInvalid(
            f"expected different values from {stream.peer!r}, found a repeated one", party=stream.peer
        )
    hits = np.flatnonzero(places >= 0)
    if both:
        known = np.zeros(n_theirs, np.bool_)
        known[places[hits]] = True
        in_order = hits[np.argsort(places[hits])]
        claim = _claim(client.outputs(domain=_TO_CLAIM)[in_order]) if checked else b""
        stream.send(np.packbits(known).tobytes(), claim)
    return hits


def _tag(
    stream: Stream,
    keys: Keys,
    n_theirs: int,
    *,
    both: bool,
    progress: Callable[[float, str], None],
    checked: bool,
) -> NDArray[np.int64] | None:
    """The tagger's part."""
    server, order = OprfServer(stream, n_theirs, progress, checked=checked), random_order(len(keys))
    tags = server.outputs(keys.digests, domain=_TO_TAG, width=_width(n_theirs, len(keys), checked=checked))
    stream.send(tags[order].tobytes())
    if not both:
        return None
    bits, claim = receive_parts(stream, -(-len(keys) // 8), _CLAIM if checked else 0)
    found = order[np.unpackbits(bits)[: len(keys)] == 1]
    if checked and claim.tobytes() != _claim(server.outputs(keys.digests[found], domain=_TO_CLAIM)):
        with naming(stream):
            raise CheckFailed("keys are said to be in common, without a proof that the other party has them")
    return np.sort(found)


def _claim(outputs: Bytes) -> bytes:
    """What shows that a party has the function at all of some keys."""
    return digest(_TO_CLAIM, outputs.tobytes())


def _width(n: int, m: int, *, checked: bool) -> int:
    """Bytes of a tag: all of them where a malicious tagger's keys must follow from its tags."""
    return _VALUE if checked else tag_bytes(n, m)


def tag_bytes(n: int, m: int) -> int:
    """Bytes of the tags of m keys for who has n.

    Two different keys, one of either, have one tag with probability below 2^-40; and two of the m, which ends the run.
    """
    return min(_VALUE, -(-(_CERTAINTY_BITS + (m - 1).bit_length() + (max(n, m) - 1).bit_length()) // 8))


def _encodes(n_mine: int, n_theirs: int, *, learns: Learns, first: bool) -> bool:
    if learns != "both":
        return learns == "me"
    return n_mine < n_theirs or (n_mine == n_theirs and first)


def _wide(tags: Bytes) -> Bytes:
    rows = np.zeros((len(tags), _VALUE), np.uint8)
    rows[:, : tags.shape[1]] = tags
    return rows
