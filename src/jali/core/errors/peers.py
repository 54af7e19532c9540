# SPDX-License-Identifier: Apache-2.0
"""J3xxx: parties that are missing, late, gone, or not who they should be."""

from __future__ import annotations

from jali.core.errors.tree import PeerError

__all__ = [
    "AddressInvalid",
    "CertificateExpired",
    "CertificateMissing",
    "CertificateWrong",
    "FederationMismatch",
    "FrameInvalid",
    "HandshakeFailed",
    "MessageTooLarge",
    "PartyStalled",
    "PeerClosed",
    "PeerLate",
    "PeerLost",
    "PeerMissing",
    "PortInUse",
    "SessionClosed",
    "StreamFlood",
]


class PartyStalled(PeerError):
    """A party did not come to a joint node within the deadline."""

    code = "J3080"


class PeerMissing(PeerError):
    """A party did not come to the session within the deadline."""

    code = "J3001"


class PeerLost(PeerError):
    """A party was in the session and is gone: its process ended, or the network is cut."""

    code = "J3002"


class PeerLate(PeerError):
    """A party is there, but what was expected from it did not come within the deadline."""

    code = "J3003"


class PeerClosed(PeerError):
    """A party ended its session while something was still expected from it."""

    code = "J3004"


class SessionClosed(PeerError):
    """This party's session has been closed, and something still uses it."""

    code = "J3005"


class PortInUse(PeerError):
    """This party's port is taken by another program on this machine."""

    code = "J3010"


class AddressInvalid(PeerError):
    """A party's address is not host:port, or this machine cannot listen there."""

    code = "J3011"


class CertificateExpired(PeerError):
    """A certificate is past its last day."""

    code = "J3012"


class CertificateWrong(PeerError):
    """A certificate is of another authority, of another party, or not valid yet."""

    code = "J3013"


class CertificateMissing(PeerError):
    """A certificate or key file is missing or cannot be read."""

    code = "J3014"


class HandshakeFailed(PeerError):
    """Two parties could not agree on a session."""

    code = "J3015"


class FederationMismatch(PeerError):
    """Two parties hold different federation files."""

    code = "J3016"


class FrameInvalid(PeerError):
    """A peer sent bytes that are not a valid frame."""

    code = "J3020"


class StreamFlood(PeerError):
    """A peer sent too much on streams that nobody has opened."""

    code = "J3021"


class MessageTooLarge(PeerError):
    """One message is larger than the wire format allows."""

    code = "J3022"
