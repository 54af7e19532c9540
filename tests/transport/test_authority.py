# SPDX-License-Identifier: Apache-2.0
"""A new federation: complete, separable, private where it must be, and never in the way of an old one."""

from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from jali.core import config
from jali.core.errors import (
    AddressInvalid,
    CertificateMissing,
    CertificateWrong,
    DuplicateName,
    FederationExists,
    InputError,
    PartyNameInvalid,
    UnknownName,
    WriteFailed,
)
from jali.transport.authority import Authority, create_federation, folder_of, free_ports, renew_certificate
from jali.transport.connect import connect_tls, credentials_of
from jali.transport.identity import load_certificate, party_of, party_uri
from jali.transport.session import Session
from tests.transport.parties import FAST, all_at_once

if TYPE_CHECKING:
    from pathlib import Path

PARTIES = ("bank", "client[0..1]", "dealer")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return create_federation(tmp_path / "credit", PARTIES)


def test_file_has_all_parties_roles_and_different_ports(made: Path) -> None:
    federation = config.load(made)
    assert list(federation.parties) == ["bank", "client[0]", "client[1]", "dealer"]
    assert federation.helpers == ("dealer",)
    assert federation.name == "credit"
    assert len({party.address for party in federation.parties.values()}) == 4
    for party in federation.parties:
        credentials_of(federation, party)


def test_folder_of_a_party_suffices_and_has_no_other_key(made: Path, tmp_path: Path) -> None:
    homes = {}
    for party in ("bank", "client[0]", "client[1]", "dealer"):
        homes[party] = tmp_path / "elsewhere" / folder_of(party)
        shutil.copytree(made.parent / folder_of(party), homes[party])
        assert len([path for path in homes[party].rglob("*") if b"PRIVATE KEY" in path.read_bytes()]) == 1
    shutil.rmtree(made.parent)
    federations = {party: config.load(home / "federation.toml") for party, home in homes.items()}
    assert len({federation.digest() for federation in federations.values()}) == 1
    calls = {
        party: (lambda party=party, federation=federation: connect_tls(federation, party, settings=FAST))
        for party, federation in federations.items()
    }
    sessions = all_at_once(calls)
    for session in sessions.values():
        assert isinstance(session, Session), session
    for closed in all_at_once({p: s.close for p, s in sessions.items() if isinstance(s, Session)}).values():  # type: ignore[misc]
        assert closed is None


def test_keys_are_readable_by_their_owner_only(made: Path) -> None:
    keys = [path for path in made.parent.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert len(keys) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_nothing_is_overwritten(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()}
    with pytest.raises(FederationExists, match="already there"):
        create_federation(made.parent, ("bank", "bureau"))
    assert {path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()} == before


def test_nothing_is_left_when_a_file_cannot_be_written(tmp_path: Path) -> None:
    place = tmp_path / "credit"
    place.mkdir()
    (place / "bureau").write_text("a file where a folder must be")
    with pytest.raises(WriteFailed):
        create_federation(place, ("bank", "bureau"))
    assert [path.name for path in place.rglob("*") if path.is_file()] == ["bureau"]


def test_addresses_and_ports_as_asked(tmp_path: Path) -> None:
    addresses = {"bank": "jali.bank.example:7101", "v6": "[::1]:7102"}
    federation = config.load(
        create_federation(tmp_path / "f", ("bank", "v6", "here", "there"), base_port=7300, addresses=addresses)
    )
    found = [party.address for party in federation.parties.values()]
    assert found == ["jali.bank.example:7101", "[::1]:7102", "127.0.0.1:7300", "127.0.0.1:7301"]
    with pytest.raises(AddressInvalid):
        create_federation(tmp_path / "g", ("a", "b"), addresses={"a": "nowhere"})
    assert not (tmp_path / "g").exists()


def test_bad_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(DuplicateName):
        create_federation(tmp_path / "f", ("a", "a"))
    with pytest.raises(InputError):
        create_federation(tmp_path / "f", ("../../etc",))
    with pytest.raises(PartyNameInvalid):
        create_federation(tmp_path / "f", ("a", "b"), name="two\nlines")
    with pytest.raises(PartyNameInvalid):
        Authority.new("x").issue("n" * 65)
    assert not (tmp_path / "f").exists()


def test_folders_of_different_parties_differ() -> None:
    names = ["client", "client[0]", "client[00]", "client0", "client-0", "client_0"]
    assert len({folder_of(name) for name in names}) == len(names)
    assert all("/" not in folder_of(name) and "[" not in folder_of(name) for name in names)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20))
def test_any_name_survives_in_a_certificate(name: str) -> None:
    assert party_uri(name).isascii()
    try:
        certificate, _ = AUTHORITY.issue(name)
    except ValueError:  # the certificate library refuses some texts as a common name
        return
    assert party_of(x509.load_pem_x509_certificate(certificate)) == name


AUTHORITY = Authority.new("tests")


def test_name_in_the_uri_goes_before_the_common_name(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_bytes(AUTHORITY.files()[0])
    assert party_of(load_certificate(path)) == "jali federation tests"
    with pytest.raises(CertificateWrong):
        _ = party_of(_nameless())


def _nameless() -> x509.Certificate:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    start, end = AUTHORITY.certificate.not_valid_before_utc, AUTHORITY.certificate.not_valid_after_utc
    builder = builder.public_key(key.public_key()).serial_number(1).not_valid_before(start).not_valid_after(end)
    return builder.sign(key, SHA256())


def test_renewed_certificate_is_accepted_and_the_others_are_untouched(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()}
    folder = renew_certificate(made.parent, "client[0]", days=2)
    changed = {path for path, content in before.items() if path.read_bytes() != content}
    assert changed == {folder / "certificate.pem", folder / "key.pem"}
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    credentials_of(config.load(made), "client[0]")
    with pytest.raises(UnknownName, match="did you mean 'bank'"):
        renew_certificate(made.parent, "bnak")
    (made.parent / "authority" / "authority.key").unlink()
    with pytest.raises(CertificateMissing, match="authority's key"):
        renew_certificate(made.parent, "bank")


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(50))) == 50
