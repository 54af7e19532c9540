# SPDX-License-Identifier: Apache-2.0
"""Who may join a session: certificates, names, versions, federation files. Both sides end with a named error."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from jali.core.config import Federation, Party
from jali.core.errors import (
    AddressInvalid,
    CertificateExpired,
    CertificateMissing,
    CertificateWrong,
    FederationMismatch,
    HandshakeFailed,
    JaliError,
    PeerMissing,
    PortInUse,
    UnknownName,
    WireVersionMismatch,
)
from jali.transport import connect, handshake
from jali.transport.authority import Authority, free_ports
from jali.transport.connect import connect_tls
from jali.transport.handshake import choose_version
from jali.transport.listener import Listener
from jali.transport.session import Session
from jali.transport.tls import dial_tls, split_address
from tests.transport.parties import FAST, STREAM, all_at_once, connected, federation_in

if TYPE_CHECKING:
    from pathlib import Path

BRIEF = msgspec.structs.replace(FAST, connect_s=1.0)
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


class Issued:
    """A federation of alice and bob whose certificates a test chooses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority.new("test")
        self.parties: dict[str, Party] = {}
        self.authority_file = self.write("authority.pem", self.authority.files()[0])
        self.ports = free_ports(2)

    def write(self, name: str, content: bytes) -> str:
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def party(
        self,
        party: str,
        *,
        authority: Authority | None = None,
        named: str | None = None,
        start: dt.datetime | None = None,
        days: float = 1,
    ) -> None:
        certificate, key = (authority or self.authority).issue(named or party, start=start, days=days)
        self.parties[party] = Party(
            name=party,
            address=f"127.0.0.1:{self.ports[len(self.parties)]}",
            certificate=self.write(f"{party}.pem", certificate),
            key=self.write(f"{party}.key", key),
        )

    def federation(self) -> Federation:
        return Federation(name="test", authority=self.authority_file, parties=self.parties)


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    return Issued(tmp_path)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A party that does not check its own certificate, as an attacker's would not."""
    monkeypatch.setattr(connect, "check_own_certificate", lambda *_: None)


def outcomes(federation: Federation, other: Federation | None = None) -> dict[str, JaliError]:
    """How alice and bob end; neither may succeed or end unnamed."""
    results = all_at_once(
        {
            "alice": lambda: connect_tls(federation, "alice", settings=BRIEF),
            "bob": lambda: connect_tls(other or federation, "bob", settings=BRIEF),
        }
    )
    errors = {}
    for party, result in results.items():
        if isinstance(result, Session):
            result.close()
        assert isinstance(result, JaliError), (party, result)
        errors[party] = result
    return errors


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("liar", ["alice", "bob"])
@pytest.mark.parametrize(
    ("start", "expected"),
    [(NOW - 3 * DAY, CertificateExpired), (NOW + 3 * DAY, CertificateWrong)],
    ids=["old", "early"],
)
def test_certificate_out_of_its_dates(issued: Issued, liar: str, start: dt.datetime, expected: type[JaliError]) -> None:
    for party in ("alice", "bob"):
        issued.party(party, start=start if party == liar else None)
    errors = outcomes(issued.federation())
    honest = "bob" if liar == "alice" else "alice"
    assert type(errors[honest]) is expected, errors
    assert isinstance(errors[liar], CertificateExpired | CertificateWrong), errors


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_certificate_of_another_authority(issued: Issued, liar: str) -> None:
    for party in ("alice", "bob"):
        issued.party(party, authority=Authority.new("elsewhere") if party == liar else None)
    errors = outcomes(issued.federation())
    assert {type(error) for error in errors.values()} == {CertificateWrong}
    assert "authority" in errors["alice"].message
    assert "authority" in errors["bob"].message


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_certificate_of_another_party(issued: Issued, liar: str) -> None:
    for party in ("alice", "bob"):
        issued.party(party, named="carol" if party == liar else None)
    errors = outcomes(issued.federation())
    for error in errors.values():
        assert "carol" in error.message
    assert isinstance(errors["bob" if liar == "alice" else "alice"], CertificateWrong)
    assert isinstance(errors[liar], CertificateWrong if liar == "alice" else PeerMissing)


@pytest.mark.usefixtures("unchecked")
def test_a_caller_that_turns_away_before_anybody_waits_for_it_is_heard(issued: Issued) -> None:
    issued.party("alice", named="carol")
    issued.party("bob")
    federation = issued.federation()
    address = federation.parties["alice"].address
    listener = Listener(connect.credentials_of(federation, "alice"), federation)
    try:
        with pytest.raises(CertificateWrong, match="carol"):
            dial_tls(connect.credentials_of(federation, "bob"), address, peer="alice", deadline=time.monotonic() + 10)
        for thread in tuple(listener._under_way):  # the caller has shaken hands, so its thread is there or done
            thread.join(10)
    finally:
        listener.close()
    (heard,) = listener.rejections
    assert isinstance(heard, CertificateWrong)
    assert "carol" in heard.message


@pytest.mark.parametrize(
    ("wrong", "expected", "said"),
    [
        ({"start": NOW - 3 * DAY}, CertificateExpired, "expired on"),
        ({"start": NOW + 3 * DAY}, CertificateWrong, "valid from"),
        ({"named": "carol"}, CertificateWrong, "belongs to party 'carol'"),
        ({"authority": Authority.new("elsewhere")}, CertificateWrong, "not issued by"),
    ],
)
def test_own_certificate_is_checked_before_anybody_waits(
    issued: Issued, wrong: dict[str, object], expected: type[JaliError], said: str
) -> None:
    issued.party("alice", **wrong)  # type: ignore[arg-type]
    issued.party("bob")
    with pytest.raises(expected, match=said):
        connect_tls(issued.federation(), "alice", settings=BRIEF)


def test_missing_or_unusable_files_are_named(issued: Issued, tmp_path: Path) -> None:
    issued.party("alice")
    issued.party("bob")
    good = issued.federation()
    with pytest.raises(UnknownName, match="carol"):
        connect_tls(good, "carol", settings=BRIEF)
    (tmp_path / "bob.key").write_bytes((tmp_path / "alice.key").read_bytes())
    with pytest.raises(CertificateMissing, match="bob"):
        connect_tls(good, "bob", settings=BRIEF)
    (tmp_path / "bob.pem").unlink()
    with pytest.raises(CertificateMissing, match=r"bob\.pem"):
        connect_tls(good, "bob", settings=BRIEF)
    bare = msgspec.structs.replace(good.parties["bob"], key="")
    with pytest.raises(CertificateMissing, match="names no key"):
        connect_tls(msgspec.structs.replace(good, parties=good.parties | {"bob": bare}), "bob", settings=BRIEF)


def test_tls_12_and_no_certificate_and_no_tls_are_turned_away(issued: Issued) -> None:
    issued.party("alice")
    issued.party("bob")
    federation = issued.federation()
    listener = Listener(connect.credentials_of(federation, "alice"), federation)
    try:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(federation.authority)
        old.load_cert_chain(federation.parties["bob"].certificate, federation.parties["bob"].key)
        old.check_hostname = False
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.load_verify_locations(federation.authority)
        nobody.check_hostname = False
        for context in (old, nobody):
            with socket.create_connection(split_address(federation.parties["alice"].address)) as raw:
                raw.settimeout(5)
                with pytest.raises(ssl.SSLError), context.wrap_socket(raw) as tls:
                    tls.recv(1)
        with socket.create_connection(split_address(federation.parties["alice"].address)) as raw:
            raw.settimeout(5)
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while raw.recv(4096):
                pass
    finally:
        listener.close()
    assert [type(error) for error in listener.rejections] == [HandshakeFailed, CertificateWrong, HandshakeFailed]
    assert "TLS 1.3" in listener.rejections[0].message
    assert "no certificate" in listener.rejections[1].message


def test_party_that_never_comes_is_named_by_all_that_wait(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    results = all_at_once(
        {
            "alice": lambda: connect_tls(federation, "alice", settings=BRIEF),
            "bob": lambda: connect_tls(federation, "bob", settings=BRIEF),
        }
    )
    for result in results.values():
        assert isinstance(result, PeerMissing)
        assert "carol" in result.message
        assert result.party == "carol"


def test_who_waits_longer_hears_at_once_from_who_gave_up(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    patient = msgspec.structs.replace(FAST, connect_s=30.0)
    started = time.monotonic()
    results = all_at_once(
        {
            "alice": lambda: connect_tls(federation, "alice", settings=patient),
            "bob": lambda: connect_tls(federation, "bob", settings=BRIEF),
        }
    )
    assert time.monotonic() - started < 5
    for result in results.values():
        assert isinstance(result, PeerMissing)
        assert result.party == "carol"


def test_missing_first_party_is_named_with_its_address(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    with pytest.raises(PeerMissing) as caught:
        connect_tls(federation, "carol", settings=BRIEF)
    party = caught.value.party
    assert party in {"alice", "bob"}
    assert federation.parties[party].address in caught.value.message


def test_port_in_use_is_named(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    with (
        socket.create_server(split_address(federation.parties["bob"].address)),
        pytest.raises(PortInUse, match=federation.parties["bob"].address),
    ):
        connect_tls(federation, "bob", settings=BRIEF)


@pytest.mark.parametrize("address", ["", "nowhere", "host:", ":1", "host:99999", "host:x", "host:-1"])
def test_bad_address_is_named(tmp_path: Path, address: str) -> None:
    federation = federation_in(tmp_path)
    moved = msgspec.structs.replace(federation.parties["alice"], address=address)
    with pytest.raises(AddressInvalid):
        connect_tls(
            msgspec.structs.replace(federation, parties=federation.parties | {"alice": moved}), "alice", settings=BRIEF
        )


def test_other_federation_file_is_refused_at_both(issued: Issued) -> None:
    issued.party("alice")
    issued.party("bob")
    mine = issued.federation()
    helper = msgspec.structs.replace(mine.parties["bob"], role="helper")
    theirs = msgspec.structs.replace(mine, parties=mine.parties | {"bob": helper})
    errors = outcomes(mine, theirs)
    assert {type(error) for error in errors.values()} == {FederationMismatch}


def test_versions_without_overlap_name_who_must_upgrade(issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_version((1, 3), (2, 5), mine="alice", theirs="bob") == 3
    with pytest.raises(WireVersionMismatch, match="upgrade jali at 'alice'"):
        choose_version((1, 1), (2, 3), mine="alice", theirs="bob")
    issued.party("alice")
    issued.party("bob")
    original = handshake.Proposal.hello

    def newer(self: handshake.Proposal, peer: str, *, token: bytes = b"") -> object:
        hello = original(self, peer, token=token)
        return msgspec.structs.replace(hello, versions=(7, 9)) if self.party == "bob" else hello

    monkeypatch.setattr(handshake.Proposal, "hello", newer)
    errors = outcomes(issued.federation())
    for error in errors.values():
        assert isinstance(error, WireVersionMismatch)
        assert "upgrade jali at 'alice'" in error.message


def test_party_that_runs_twice_is_refused_and_disturbs_nobody(tmp_path: Path) -> None:
    federation = federation_in(tmp_path, ("alice", "bob"))
    results = all_at_once(
        {party: lambda party=party: connect_tls(federation, party, settings=FAST) for party in ("alice", "bob")}  # type: ignore[misc]
    )
    alice, bob = results["alice"], results["bob"]
    assert isinstance(alice, Session)
    assert isinstance(bob, Session)
    elsewhere = msgspec.structs.replace(federation.parties["bob"], address=f"127.0.0.1:{free_ports(1)[0]}")
    again = msgspec.structs.replace(federation, parties=federation.parties | {"bob": elsewhere})
    with pytest.raises(HandshakeFailed, match="already in a session"):
        connect_tls(again, "bob", settings=BRIEF)
    alice.channel("bob").stream(STREAM).send(b"undisturbed")
    assert bytes(bob.channel("alice").stream(STREAM).receive()) == b"undisturbed"
    bob.close()
    alice.close()


def test_party_that_calls_too_early_is_no_stranger(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    listener = Listener(connect.credentials_of(federation, "alice"), federation)
    with pytest.raises(PeerMissing):  # bob calls before alice expects him
        connect_tls(federation, "bob", parties=("alice", "bob"), settings=BRIEF)
    for absent in ("bob", "carol"):
        with pytest.raises(PeerMissing, match=f"'{absent}' never came"):
            connect_tls(federation, "alice", parties=("alice", absent), settings=BRIEF, listener=listener)
    listener.close()


def test_idle_callers_hold_up_nobody(tmp_path: Path) -> None:
    federation = federation_in(tmp_path, ("alice", "bob"))
    listener = Listener(connect.credentials_of(federation, "alice"), federation)
    idle = [socket.create_connection(split_address(federation.parties["alice"].address)) for _ in range(20)]
    calls = {
        "alice": lambda: connect_tls(federation, "alice", settings=FAST, listener=listener),
        "bob": lambda: connect_tls(federation, "bob", settings=FAST),
    }
    results = all_at_once(calls)
    for result in reversed(list(results.values())):
        assert isinstance(result, Session)
        result.close()
    listener.close()
    for caller in idle:
        caller.close()


def test_session_keys_are_fresh_each_time(tmp_path: Path) -> None:
    keys = set()
    for number in range(2):
        with connected("tls", tmp_path / str(number), parties=("alice", "bob")) as sessions:
            keys |= {sessions["alice"].shared_key("bob"), sessions["alice"].id}
    assert len(keys) == 4
