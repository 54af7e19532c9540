# SPDX-License-Identifier: Apache-2.0
"""Signatures by the key of a party's certificate, for files that travel outside of a session."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from jali.core.errors import CertificateExpired, CertificateMissing, CertificateWrong
from jali.crypto.hashing import encode_parts
from jali.transport.identity import load_certificate, party_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sign", "verify"]


def sign(data: bytes, *, purpose: str, key: Path) -> bytes:
    """A signature of data for one purpose, by the key in a PEM file (ECDSA with SHA-256, or Ed25519).

    Raises: CertificateMissing, CertificateWrong for a key of another kind.
    """
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        raise CertificateMissing(f"cannot read the key {str(key)!r}") from None
    message = encode_parts(purpose, data)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(message, ec.ECDSA(hashes.SHA256()))
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    raise CertificateWrong(f"expected an elliptic-curve or Ed25519 key in {str(key)!r}, found {type(private).__name__}")


def verify(data: bytes, signature: bytes, *, purpose: str, party: str, certificate: bytes, authority: Path) -> None:
    """Check that `party` signed data, with a valid certificate (PEM) that the federation's authority issued.

    Raises: CertificateWrong; CertificateExpired.
    """
    try:
        theirs = x509.load_pem_x509_certificate(certificate)
        theirs.verify_directly_issued_by(load_certificate(authority))
        if party_of(theirs) != party:
            raise CertificateWrong(f"expected a signature by {party!r}, found one by {party_of(theirs)!r}", party=party)
        _require_valid(theirs, party)
        public, message = theirs.public_key(), encode_parts(purpose, data)
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
        else:
            raise CertificateWrong(f"expected an elliptic-curve or Ed25519 key of {party!r}", party=party)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise CertificateWrong(
            f"expected what {party!r} signed with a certificate of this federation, found something else: it was "
            "changed, or comes from somebody else",
            party=party,
        ) from None


def _require_valid(certificate: x509.Certificate, party: str) -> None:
    now = dt.datetime.now(dt.UTC)
    if now > certificate.not_valid_after_utc:
        raise CertificateExpired(
            f"the certificate with which {party!r} signed expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} "
            "UTC: ask for what is signed with a new one",
            party=party,
        )
    if now < certificate.not_valid_before_utc:
        raise CertificateWrong(
            f"the certificate with which {party!r} signed is valid from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC only; is the clock here right?",
            party=party,
        )
