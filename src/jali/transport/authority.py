# SPDX-License-Identifier: Apache-2.0
"""Make a federation: an authority, a certificate and key for each party, the federation file, a folder to hand to each.

::

    federation.toml            all parties; for running them all on one machine
    authority/authority.pem    the authority's certificate
    authority/authority.key    its key: whoever has it can admit parties; keep it offline
    bank/federation.toml       what party bank needs, to be sent to it as a whole, and nothing of the others
    bank/authority.pem
    bank/certificate.pem
    bank/key.pem               readable by its owner only
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jali.core import config
from jali.core.errors import CertificateMissing, FederationExists, JaliError, PartyNameInvalid, UnknownName, WriteFailed
from jali.core.files import write_atomically
from jali.core.nearmiss import suggest
from jali.core.templates import expand_names
from jali.transport.identity import load_certificate, party_uri
from jali.transport.tls import split_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FEDERATION_FILE", "Authority", "create_federation", "folder_of", "free_ports", "renew_certificate"]

FEDERATION_FILE = "federation.toml"
AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "authority/authority.pem", "authority/authority.key"
AUTHORITY_DAYS, PARTY_DAYS = 3650, 365
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
LOOPBACK = "127.0.0.1"


class Authority:
    """A certificate authority of its own for one federation (ECDSA on P-256)."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Made by `new` and `read`."""
        self.certificate = certificate
        self._key = key

    @classmethod
    def new(cls, name: str) -> Authority:
        """Draw a key and sign its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"jali federation {name}"[:64])])
        start = dt.datetime.now(dt.UTC) - HOUR
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + AUTHORITY_DAYS * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, directory: Path) -> Authority:
        """The authority of a federation that `create_federation` made in `directory`.

        Raises: CertificateMissing.
        """
        path = directory / AUTHORITY_KEY
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            raise CertificateMissing(f"cannot read the authority's key {str(path)!r}; who keeps it?") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateMissing(f"{str(path)!r} is not a key that 'jali federation new' made")
        return cls(load_certificate(directory / AUTHORITY_CERTIFICATE), key)

    def issue(
        self, party: str, *, host: str = LOOPBACK, start: dt.datetime | None = None, days: float = PARTY_DAYS
    ) -> tuple[bytes, bytes]:
        """A certificate and a new key for `party`, in PEM; valid for `days` from `start` (an hour ago by default)."""
        key = ec.generate_private_key(ec.SECP256R1())
        start = start or dt.datetime.now(dt.UTC) - HOUR
        if len(party) > 64:
            raise PartyNameInvalid(f"a party's name has at most 64 characters in a certificate, found {len(party)}")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party)]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + days * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(_names(party, host)), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )
        return certificate.public_bytes(Encoding.PEM), _pem(key)

    def files(self) -> tuple[bytes, bytes]:
        """The authority's certificate and key, in PEM."""
        return self.certificate.public_bytes(Encoding.PEM), _pem(self._key)


def create_federation(
    directory: str | Path,
    parties: Sequence[str],
    *,
    helpers: Sequence[str] = ("dealer",),
    base_port: int = 0,
    name: str = "",
    addresses: Mapping[str, str] | None = None,
) -> Path:
    """Make everything that `parties` need to talk to each other; give the path of the federation file for all.

    Those of `helpers` that are among the parties hold no data. A party's address is the one in `addresses`, else on
    loopback: at `base_port` and up, or at free ports when that is 0. Ranges such as client[0..2] are expanded.
    Raises: FederationExists when a file is already there (nothing is changed then); BadRange, DuplicateName,
    ConfigInvalid for bad names; WriteFailed.
    """
    place = Path(directory)
    names = expand_names(tuple(parties), where="the list of parties")
    assistants = set(expand_names(tuple(helpers), where="the list of helpers"))
    title = name or place.resolve().name
    where = _addresses(names, addresses or {}, base_port)
    authority = Authority.new(title)
    certificate, key = authority.files()
    files = {
        Path(FEDERATION_FILE): _toml(title, where, assistants, owner="", authority=AUTHORITY_CERTIFICATE).encode(),
        Path(AUTHORITY_CERTIFICATE): certificate,
        Path(AUTHORITY_KEY): key,
    }
    for party in names:
        folder = Path(folder_of(party))
        own_certificate, own_key = authority.issue(party, host=split_address(where[party])[0])
        files[folder / FEDERATION_FILE] = _toml(
            title, where, assistants, owner=party, authority="authority.pem"
        ).encode()
        files[folder / "authority.pem"] = certificate
        files[folder / "certificate.pem"] = own_certificate
        files[folder / "key.pem"] = own_key
    _write(place, files)
    return place / FEDERATION_FILE


def renew_certificate(directory: str | Path, party: str, *, days: float = PARTY_DAYS) -> Path:
    """Replace the certificate and key of `party` in a federation that `create_federation` made; give its folder.

    Raises: CertificateMissing when the authority's key is not there; UnknownName; WriteFailed.
    """
    place = Path(directory)
    federation = config.load(place / FEDERATION_FILE)
    if party not in federation.parties:
        raise UnknownName(f"there is no party {party!r} in the federation{suggest(party, federation.parties)}")
    host = split_address(federation.parties[party].address)[0]
    certificate, key = Authority.read(place).issue(party, host=host, days=days)
    folder = place / folder_of(party)
    write_atomically(folder / "key.pem", key, mode=0o600)
    write_atomically(folder / "certificate.pem", certificate)
    return folder


def folder_of(party: str) -> str:
    """The name of a party's folder: client[0] has `client.0`, which no other party can have."""
    return party.replace("[", ".").replace("]", "")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses at the moment."""
    with ExitStack() as stack:
        return [
            stack.enter_context(socket.create_server((LOOPBACK, 0))).getsockname()[1]  # all open at once: all different
            for _ in range(count)
        ]


def _addresses(names: Sequence[str], given: Mapping[str, str], base_port: int) -> dict[str, str]:
    for address in given.values():
        split_address(address)
    left = [name for name in names if name not in given]
    ports = list(range(base_port, base_port + len(left))) if base_port else free_ports(len(left))
    local = {name: f"{LOOPBACK}:{port}" for name, port in zip(left, ports, strict=True)}
    return {name: given.get(name) or local[name] for name in names}


def _write(place: Path, files: Mapping[Path, bytes]) -> None:
    there = [str(place / path) for path in files if (place / path).exists()]
    if there:
        raise FederationExists(
            f"{there[0]!r} is already there, and a new federation would replace its keys. "
            "Choose another directory, or move the old one away"
        )
    written: list[Path] = []
    try:
        for path, content in files.items():
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content, mode=0o600 if path.suffix == ".key" or path.name == "key.pem" else 0o644)
            written.append(target)
    except (OSError, JaliError) as error:
        for target in written:
            target.unlink(missing_ok=True)
        if isinstance(error, JaliError):
            raise
        raise WriteFailed(f"cannot write to {str(place)!r}: {error.strerror}") from None


def _toml(title: str, where: Mapping[str, str], helpers: set[str], *, owner: str, authority: str) -> str:
    lines = [f"name = {_quoted(title)}", f"authority = {_quoted(authority)}"]
    for party, address in where.items():
        lines += ["", f"[parties.{_quoted(party)}]", f"address = {_quoted(address)}"]
        if party in helpers:
            lines.append('role = "helper"')
        if owner in {"", party}:
            folder = "" if owner else folder_of(party) + "/"
            lines += [f'certificate = "{folder}certificate.pem"', f'key = "{folder}key.pem"']
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    if not text.isprintable():
        raise PartyNameInvalid(f"a name in a federation file must be printable, found {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _names(party: str, host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(party_uri(party))]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [*names, x509.DNSName(host)]
    return [*names, x509.IPAddress(address), *([x509.DNSName("localhost")] if address.is_loopback else [])]


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
