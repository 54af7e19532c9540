# SPDX-License-Identifier: Apache-2.0
"""Signatures of files by a party's certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jali.core.config import load
from jali.core.errors import CertificateMissing, CertificateWrong
from jali.transport.authority import create_federation
from jali.transport.signature import sign, verify

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(create_federation(tmp_path_factory.mktemp("one"), ("alice", "bob"), helpers=()))


def check(federation: Any, data: bytes, signature: bytes, **changes: Any) -> None:
    certificate = Path(federation.parties["alice"].certificate).read_bytes()
    how = {"purpose": "test", "party": "alice", "certificate": certificate, "authority": Path(federation.authority)}
    verify(data, signature, **{**how, **changes})


def test_what_a_party_signed_is_accepted(federation: Any) -> None:
    check(federation, b"data", sign(b"data", purpose="test", key=Path(federation.parties["alice"].key)))


@pytest.mark.parametrize(
    ("data", "change"),
    [
        (b"datb", lambda f: {}),
        (b"data", lambda f: {"purpose": "other"}),
        (b"data", lambda f: {"party": "bob"}),
        (b"data", lambda f: {"certificate": Path(f.parties["bob"].certificate).read_bytes(), "party": "bob"}),
        (b"data", lambda f: {"certificate": b"none"}),
    ],
)
def test_anything_else_is_refused(federation: Any, data: bytes, change: Callable[[Any], dict[str, Any]]) -> None:
    signature = sign(b"data", purpose="test", key=Path(federation.parties["alice"].key))
    with pytest.raises(CertificateWrong, match=r"bob|alice"):
        check(federation, data, signature, **change(federation))


def test_a_certificate_of_another_authority_is_refused(federation: Any, tmp_path: Path) -> None:
    other = load(create_federation(tmp_path, ("alice",), helpers=()))
    signature = sign(b"data", purpose="test", key=Path(other.parties["alice"].key))
    certificate = Path(other.parties["alice"].certificate).read_bytes()
    with pytest.raises(CertificateWrong):
        check(federation, b"data", signature, certificate=certificate)


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "ed.pem").write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(*form))
    assert len(sign(b"data", purpose="test", key=tmp_path / "ed.pem")) == 64
    (tmp_path / "rsa.pem").write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(*form))
    with pytest.raises(CertificateWrong, match="RSA"):
        sign(b"data", purpose="test", key=tmp_path / "rsa.pem")
    with pytest.raises(CertificateMissing):
        sign(b"data", purpose="test", key=tmp_path / "none.pem")
