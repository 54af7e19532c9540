# SPDX-License-Identifier: Apache-2.0
"""Connect one party with all others over TLS."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jali.core.errors import AddressInvalid, CertificateMissing, JaliError, UnknownName
from jali.transport.handshake import Proposal
from jali.transport.identity import check_own_certificate
from jali.transport.listener import Listener
from jali.transport.pairing import Accepting, Dialling, Side
from jali.transport.session import Session
from jali.transport.settings import Settings
from jali.transport.tls import Credentials
from jali.transport.wire import WireLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.core.config import Federation

__all__ = ["connect_tls", "credentials_of"]

CONFIRM_S = 5.0


def connect_tls(
    federation: Federation,
    me: str,
    *,
    program_digest: bytes = b"",
    parties: Sequence[str] = (),
    settings: Settings | None = None,
    listener: Listener | None = None,
    purpose: str = "run",
) -> Session:
    """A session of `me` with all parties of the federation (or with `parties`, in its order), once all have come.

    `listener` is used when given (several sessions may share one); else this party's port is opened for the
    session's life. `settings` default to the federation's. Sessions of different `purpose` do not mix.
    Security: TLS 1.3, mutual authentication by the federation's authority; fresh keys for each pair and session.
    Raises: PortInUse, AddressInvalid, CertificateMissing, CertificateExpired, CertificateWrong for this party's own;
    PeerMissing for who has not come after `connect_s`; WireVersionMismatch, FederationMismatch, HandshakeFailed.
    """
    settings = settings or Settings.of(federation.network)
    names = tuple(name for name in federation.parties if not parties or name in parties)
    credentials = credentials_of(federation, me)
    for name in names:
        if not federation.parties[name].address:
            raise AddressInvalid(f"party {name!r} has no address in the federation file", party=name)
    own = None if listener is not None else Listener(credentials, federation)
    proposal = Proposal(me, names, federation=federation.digest(), program=program_digest, purpose=purpose)
    session = Session(proposal, settings)
    try:
        joining = _Joining(session, proposal, federation, credentials, listener or own)
        if own is not None:
            session.at_close(own.close)
        joining.run(time.monotonic() + settings.connect_s)
    except BaseException as error:
        session.close(error if isinstance(error, JaliError) else None)
        if own is not None:
            own.close()
        raise
    return session


def credentials_of(federation: Federation, party: str) -> Credentials:
    """The party's own certificate and key, checked.

    Raises: UnknownName, CertificateMissing, CertificateExpired, CertificateWrong.
    """
    entry = federation.parties.get(party)
    if entry is None:
        raise UnknownName(f"there is no party {party!r} in the federation; it has {', '.join(federation.parties)}")
    for what, path in (
        ("certificate", entry.certificate),
        ("key", entry.key),
        ("authority of the federation", federation.authority),
    ):
        if not path:
            raise CertificateMissing(f"the federation file names no {what} for party {party!r}", party=party)
    certificate, authority = Path(entry.certificate), Path(federation.authority)
    credentials = Credentials.load(party, certificate=certificate, key=Path(entry.key), authority=authority)
    check_own_certificate(party, certificate, authority)
    return credentials


class _Joining:
    """Brings the links of a session about, one thread a peer."""

    def __init__(
        self,
        session: Session,
        proposal: Proposal,
        federation: Federation,
        credentials: Credentials,
        listener: Listener | None,
    ) -> None:
        self._session = session
        self._sides: dict[str, Side] = {}
        mine = proposal.parties.index(session.party)
        for index, peer in enumerate(proposal.parties):
            address = federation.parties[peer].address
            if index < mine:
                self._sides[peer] = Dialling(credentials, proposal, peer=peer, address=address)
            elif index > mine and listener is not None:
                here = federation.parties[session.party].address
                side = Accepting(
                    proposal, peer=peer, address=here, peer_address=address, rejections=partial(listener.rejected, peer)
                )
                self._sides[peer] = side
                listener.expect(peer, side.arrive)
                session.at_close(partial(listener.forget, peer))

    def run(self, deadline: float) -> None:
        """Wait until all links stand and all parties have confirmed the session."""
        self._session.at_failure(self._cancel)
        self._session.at_close(self._cancel)
        threads = [
            threading.Thread(
                target=self._join, args=(peer, deadline), name=f"jali-{self._session.party}-join-{peer}", daemon=True
            )
            for peer in self._sides
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        failure = self._session.failure
        if failure is not None:
            raise failure
        self._session.agree()
        self._session.confirm(max(deadline, time.monotonic() + CONFIRM_S))  # who came last needs a moment

    def _join(self, peer: str, deadline: float) -> None:
        session, side = self._session, self._sides[peer]
        try:
            introduction, pair = side.establish(deadline)
            for connection in pair[:2]:
                connection.limit(session.settings.silence_s)
            link = WireLink(
                peer,
                session.settings,
                heard=session.heard,
                lost=session.lost,
                side=side,
                pair=pair,
                party=session.party,
            )
            session.admit(link, introduction)
        except JaliError as error:
            session.fail(error)

    def _cancel(self) -> None:
        for side in self._sides.values():
            side.cancel()
