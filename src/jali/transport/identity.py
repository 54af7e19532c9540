# SPDX-License-Identifier: Apache-2.0
"""Who a certificate speaks for, and what is wrong with one: the same words for this party's own and for a peer's."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from jali.core.errors import CertificateExpired, CertificateMissing, CertificateWrong, HandshakeFailed, PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["check_own_certificate", "load_certificate", "party_of", "party_uri", "tls_problem"]

URI_PREFIX = "urn:jali:party:"
EXPIRED, NOT_YET_VALID = 10, 9
OTHER_AUTHORITY = {2, 18, 19, 20, 21}


def party_uri(party: str) -> str:
    """The subject alternative name that carries a party's name (any name: `client[0]` is no host name)."""
    return URI_PREFIX + quote(party, safe="")


def party_of(certificate: x509.Certificate) -> str:
    """The party that a certificate speaks for: its `urn:jali:party:` name, else its subject's common name.

    Raises: CertificateWrong when it has neither, or several.
    """
    try:
        names: Iterable[str] = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        names = ()
    parties = [unquote(name.removeprefix(URI_PREFIX)) for name in names if name.startswith(URI_PREFIX)]
    common = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    found = parties or common
    if len(found) != 1:
        raise CertificateWrong(f"a certificate names {len(found)} parties, expected one (subject's common name)")
    return found[0]


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file.

    Raises: CertificateMissing when the file is not there or holds none.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CertificateMissing(f"cannot read the certificate {str(path)!r}: {error.strerror}") from None
    except ValueError:
        raise CertificateMissing(f"{str(path)!r} is not a certificate in PEM form") from None


def check_own_certificate(party: str, certificate: Path, authority: Path) -> x509.Certificate:
    """Check this party's own certificate before anybody else has to: dates, name, authority.

    Raises: CertificateMissing, CertificateExpired, CertificateWrong.
    """
    mine, issuer = load_certificate(certificate), load_certificate(authority)
    now = dt.datetime.now(dt.UTC)
    where = f"this party's certificate {str(certificate)!r}"
    if now > mine.not_valid_after_utc:
        raise CertificateExpired(
            f"{where} expired on {mine.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; get a new one", party=party
        )
    if now < mine.not_valid_before_utc:
        raise CertificateWrong(
            f"{where} is valid from {mine.not_valid_before_utc:%Y-%m-%d %H:%M} UTC only; is the clock here right?",
            party=party,
        )
    if party_of(mine) != party:
        raise CertificateWrong(f"{where} belongs to party {party_of(mine)!r}, expected {party!r}", party=party)
    try:
        mine.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        # a chain through intermediates is for the TLS library to judge; issued by an unrelated authority is not
        if mine.issuer == issuer.subject or len(certificate.read_bytes().split(b"BEGIN CERTIFICATE")) == 2:
            raise CertificateWrong(
                f"{where} was not issued by the federation's authority {str(authority)!r}", party=party
            ) from None
    return mine


def tls_problem(error: OSError, peer: str) -> PeerError | None:
    """A TLS failure in our words, or None when it is only that the connection ended.

    `peer` says who is at the other end, as far as that is known: a party, or an address.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _bad_certificate(error, peer)
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None
    return _failure(error.reason or "", peer)


def _failure(reason: str, peer: str) -> PeerError:
    words = reason.rpartition("ALERT_")[2].lower().replace("_", " ") or "no reason given"
    if "ALERT" in reason and "EXPIRED" in reason:
        return CertificateExpired(f"{peer} refused this party's certificate: it has expired, by the clock there")
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return CertificateWrong(
            f"{peer} refused this party's certificate ({words}); "
            "do both federation files name the same authority, and are both clocks right?"
        )
    if "NO_CERTIFICATE" in reason or "PEER_DID_NOT_RETURN" in reason:
        return CertificateWrong(f"{peer} showed no certificate; expected one of the federation's authority")
    if "VERSION" in reason or "PROTOCOL" in reason or "HTTP" in reason:
        return HandshakeFailed(f"{peer} does not speak TLS 1.3 ({words})")
    return HandshakeFailed(f"TLS with {peer} failed ({words})")


def _bad_certificate(error: ssl.SSLCertVerificationError, peer: str) -> PeerError:
    if error.verify_code == EXPIRED:
        return CertificateExpired(
            f"the certificate of {peer} has expired; it needs a new one (or the clock here is wrong)"
        )
    if error.verify_code == NOT_YET_VALID:
        return CertificateWrong(f"the certificate of {peer} is not valid yet; compare the clocks of both machines")
    if error.verify_code in OTHER_AUTHORITY:
        return CertificateWrong(
            f"the certificate of {peer} was not issued by this federation's authority; "
            "do both federation files name the same authority?"
        )
    return CertificateWrong(f"the certificate of {peer} is not good: {error.verify_message}")
