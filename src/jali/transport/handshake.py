# SPDX-License-Identifier: Apache-2.0
"""What two parties agree on before they talk: versions, names, the federation, keys, the session. No input or output.

Every party draws a nonce. The session's identity is a hash over all parties' names and nonces, so that no party
chooses it alone and every party can compare it; the key of a pair comes from one ephemeral X25519 agreement bound to
that identity and both names. The memory and TLS channels run exactly this.
"""

from __future__ import annotations

import os
import time
from functools import cache
from importlib import metadata
from typing import NamedTuple

from jali.core.errors import CertificateWrong, FederationMismatch, HandshakeFailed, PeerMissing, WireVersionMismatch
from jali.crypto.agreement import EphemeralKey
from jali.crypto.hashing import digest, encode_parts
from jali.transport.frames import WIRE_VERSION
from jali.transport.messages import Hello

__all__ = ["VERSIONS", "Introduction", "Proposal", "check_hello", "choose_version", "software_version"]

VERSIONS = (WIRE_VERSION, WIRE_VERSION)


class Introduction(NamedTuple):
    """What a peer said of itself, and by how many seconds its clock is ahead."""

    hello: Hello
    clock_skew_s: float


class Proposal:
    """One party's side of the agreement, for the life of one session."""

    def __init__(
        self, party: str, parties: tuple[str, ...], *, federation: bytes, program: bytes, purpose: str = "run"
    ) -> None:
        """`federation` and `program` are digests; `parties` are those of the session, in the federation's order.

        Sessions of different `purpose` do not mix.
        """
        self.party = party
        self.parties = parties
        self.federation = federation
        self.program = program
        self.purpose = purpose
        self.nonce = os.urandom(32)
        self._keys = {peer: EphemeralKey() for peer in parties if peer != party}

    def hello(self, peer: str, *, token: bytes = b"") -> Hello:
        """The first message to `peer`."""
        return Hello(
            versions=VERSIONS,
            software=software_version(),
            party=self.party,
            to=peer,
            parties=self.parties,
            purpose=self.purpose,
            federation=self.federation,
            program=self.program,
            nonce=self.nonce,
            key=self._keys[peer].public,
            clock=time.time(),
            token=token,
        )

    def session(self, hellos: dict[str, Hello]) -> bytes:
        """The session's identity, once all have said hello."""
        nonces = {peer: hello.nonce for peer, hello in hellos.items()} | {self.party: self.nonce}
        return digest("jali.session.v1", *(part for name in self.parties for part in (name, nonces[name])))

    def pair_key(self, session: bytes, hello: Hello) -> bytes:
        """The 32 bytes that only this party and the one that said `hello` know.

        Security: ephemeral X25519 inside an authenticated channel, bound to the session and both names.
        Raises: LowOrderPointError, ProtocolAbort for a peer's key that is not one.
        """
        names = sorted((self.party, hello.party))
        return self._keys[hello.party].agree(hello.key, transcript=encode_parts("jali.pair.v1", session, *names))


def check_hello(mine: Proposal, theirs: Hello, *, peer: str, sent: float | None = None) -> Introduction:
    """Judge the first message of `peer`, the party that its certificate names; `sent` is when we had spoken.

    Raises: WireVersionMismatch, CertificateWrong, HandshakeFailed, FederationMismatch; PeerMissing when it is there
    for another purpose, and may come back.
    """
    now = time.time()
    choose_version(VERSIONS, theirs.versions, mine=mine.party, theirs=peer)
    if theirs.party != peer:
        raise CertificateWrong(f"a party that says it is {theirs.party!r} has the certificate of {peer!r}", party=peer)
    if theirs.to != mine.party:
        raise HandshakeFailed(f"party {peer!r} wants to talk to {theirs.to!r}, this is {mine.party!r}", party=peer)
    if theirs.purpose != mine.purpose:
        raise PeerMissing(
            f"{mine.party!r} waits in 'jali {mine.purpose}', {peer!r} in 'jali {theirs.purpose}'", party=peer
        )
    if theirs.parties != mine.parties or theirs.federation != mine.federation:
        raise FederationMismatch(_difference(mine, theirs), party=peer)
    return Introduction(theirs, theirs.clock - (now if sent is None else (sent + now) / 2))


def choose_version(offered: tuple[int, int], found: tuple[int, int], *, mine: str, theirs: str) -> int:
    """The highest version in both ranges.

    Raises: WireVersionMismatch, which names the party that must upgrade.
    """
    version = min(offered[1], found[1])
    if version < max(offered[0], found[0]):
        older = mine if offered[1] < found[1] else theirs
        raise WireVersionMismatch(
            f"{mine!r} speaks wire versions {offered[0]} to {offered[1]}, {theirs!r} {found[0]} to {found[1]}: "
            f"upgrade jali at {older!r}",
            party=older,
        )
    return version


@cache
def software_version() -> str:
    """The version of jali that runs here."""
    try:
        return metadata.version("jali")
    except metadata.PackageNotFoundError:
        return "not installed"


def _difference(mine: Proposal, theirs: Hello) -> str:
    if theirs.parties != mine.parties:
        return (
            f"{mine.party!r} expects the parties {', '.join(mine.parties)}; "
            f"{theirs.party!r} expects {', '.join(theirs.parties)}. Both need the same federation file"
        )
    return (
        f"the federation files of {mine.party!r} and {theirs.party!r} differ in devices, roles or protocols "
        f"(digests {mine.federation.hex()[:12]} and {theirs.federation.hex()[:12]}); both need the same file"
    )
