# SPDX-License-Identifier: Apache-2.0
"""Checks of a machine, of a party's files and port, and of the network to the other parties."""

from __future__ import annotations

import datetime as dt
import platform
import ssl
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from jali import kernels
from jali.core.errors import JaliError, PeerMissing
from jali.transport.connect import connect_tls, credentials_of
from jali.transport.handshake import software_version
from jali.transport.identity import load_certificate, party_of
from jali.transport.listener import Listener
from jali.transport.measure import measure
from jali.transport.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.core.config import Federation
    from jali.transport.session import Session

__all__ = ["Check", "check_files", "check_machine", "check_network"]

Status = Literal["ok", "warn", "fail"]

SOON = dt.timedelta(days=30)
SKEW_WARN_S, SKEW_FAIL_S = 2.0, 60.0
SLOW_ROUND_TRIP_S, SLOW_BYTES_PER_S = 0.1, 1e6
PURPOSE = "doctor"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: what was looked at, how it is, what was found, and what to do unless it is ok."""

    subject: str
    status: Status
    found: str
    advice: str = ""


def check_machine() -> Iterator[Check]:
    """Versions and processor features."""
    yield Check(subject="jali", status="ok", found=f"{software_version()}, Python {platform.python_version()}")
    if ssl.HAS_TLSv1_3:
        yield Check(subject="TLS", status="ok", found=ssl.OPENSSL_VERSION)
    else:
        advice = "install a Python that was built with OpenSSL 1.1.1 or newer"
        yield Check(subject="TLS", status="fail", found=f"{ssl.OPENSSL_VERSION} lacks TLS 1.3", advice=advice)
    report = kernels.report()
    found = f"{report['machine']}, level {report['level']}"
    if report["native"]:
        yield Check(subject="kernels", status="ok", found=found)
    else:
        advice = "build the native kernels (make, a C++ compiler): everything works without, but slowly"
        yield Check(subject="kernels", status="warn", found=f"{found}, numpy only", advice=advice)


def check_files(federation: Federation, party: str, *, own: bool = True) -> Iterator[Check]:
    """The party's certificate, key and authority; `own` when they must be here."""
    entry = federation.parties[party]
    if not own and not (entry.certificate and Path(entry.certificate).is_file()):
        return
    subject = f"certificate of {party}"
    try:
        credentials_of(federation, party)
        certificate = load_certificate(Path(entry.certificate))
    except JaliError as error:
        yield _failed(subject, error)
        return
    end = certificate.not_valid_after_utc
    found = f"speaks for {party_of(certificate)!r} until {end:%Y-%m-%d}"
    if end - dt.datetime.now(dt.UTC) < SOON:
        yield Check(
            subject=subject,
            status="warn",
            found=found,
            advice=f"get a new one in time: jali federation renew --party {party}",
        )
    else:
        yield Check(subject=subject, status="ok", found=found)
    mode = stat.S_IMODE(Path(entry.key).stat().st_mode)
    if mode & 0o077:
        advice = f"chmod 600 {entry.key}"
        yield Check(subject=f"key of {party}", status="warn", found=f"others may read it ({mode:04o})", advice=advice)
    else:
        yield Check(subject=f"key of {party}", status="ok", found="only its owner may read it")


def check_network(federation: Federation, party: str, *, wait_s: float) -> Iterator[Check]:
    """This party's port, and for each other party whose doctor runs: clock, version, latency, bandwidth."""
    address = federation.parties[party].address
    try:
        listener = Listener(credentials_of(federation, party), federation)
    except JaliError as error:
        yield _failed("port", error)
        return
    try:
        yield Check(subject="port", status="ok", found=f"{party} can listen at {address}")
        peers = [peer for peer in federation.parties if peer != party]
        if peers:
            with ThreadPoolExecutor(len(peers), thread_name_prefix="jali-doctor") as pool:
                for found in pool.map(lambda peer: _checked(federation, party, peer, wait_s, listener), peers):
                    yield from found
    finally:
        listener.close()


def _checked(federation: Federation, party: str, peer: str, wait_s: float, listener: Listener) -> list[Check]:
    settings = msgspec.structs.replace(
        Settings.of(federation.network), connect_s=wait_s, wait_s=max(30.0, wait_s), linger_s=2.0
    )
    try:
        with connect_tls(
            federation, party, parties=(party, peer), settings=settings, listener=listener, purpose=PURPOSE
        ) as session:
            return list(_talked(session, peer))
    except PeerMissing as error:
        advice = f"start 'jali doctor --as {peer}' there at the same time; if it runs, see address and firewall"
        return [Check(subject=peer, status="warn", found=error.message.partition(". Is it")[0], advice=advice)]
    except JaliError as error:
        return [_failed(peer, error)]


def _talked(session: Session, peer: str) -> Iterator[Check]:
    begin = time.monotonic()
    speed = measure(session, peer)
    seconds = time.monotonic() - begin
    yield Check(subject=peer, status="ok", found=f"connected, identity proven, measured in {seconds:.1f} s")
    skew = session.clock_skew_s[peer]
    status: Status = "ok" if abs(skew) < SKEW_WARN_S else "warn" if abs(skew) < SKEW_FAIL_S else "fail"
    found = f"{abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    advice = "" if status == "ok" else "set the clocks of both machines by NTP: certificates depend on them"
    yield Check(subject=f"{peer}: clock", status=status, found=found, advice=advice)
    here, there = software_version(), session.peer_software(peer)
    if here == there:
        yield Check(subject=f"{peer}: version", status="ok", found=there)
    else:
        advice = "the wire format fits, but run the same version of jali at all parties"
        yield Check(subject=f"{peer}: version", status="warn", found=f"{there}, here {here}", advice=advice)
    slow = speed.round_trip_s > SLOW_ROUND_TRIP_S
    advice = "programs of many rounds will be slow; 'explain' shows the rounds" if slow else ""
    found = f"{_seconds(speed.round_trip_s)} round trip"
    yield Check(subject=f"{peer}: latency", status="warn" if slow else "ok", found=found, advice=advice)
    slow = min(speed.out_bytes_per_s, speed.in_bytes_per_s) < SLOW_BYTES_PER_S
    found = f"{_rate(speed.out_bytes_per_s)} out, {_rate(speed.in_bytes_per_s)} in"
    advice = "moves of large data will be slow; 'explain' shows the bytes" if slow else ""
    yield Check(subject=f"{peer}: bandwidth", status="warn" if slow else "ok", found=found, advice=advice)


def _failed(subject: str, error: JaliError) -> Check:
    advice = f"see jali error {error.code}"
    return Check(subject=subject, status="fail", found=f"{error.code} {error.message}", advice=advice)


def _seconds(value: float) -> str:
    return f"{value * 1e6:.0f} µs" if value < 1e-3 else f"{value * 1e3:.1f} ms"


def _rate(value: float) -> str:
    return f"{value / 1e9:.2f} GB/s" if value >= 1e9 else f"{value / 1e6:.1f} MB/s"
