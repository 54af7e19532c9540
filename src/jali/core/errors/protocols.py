# SPDX-License-Identifier: Apache-2.0
"""J4xxx: cryptographic protocols that stopped, and masks and keys that may not be used again."""

from __future__ import annotations

from jali.core.errors.tree import ProtocolAbort

__all__ = [
    "CheckFailed",
    "DealingSpent",
    "JoinTooLarge",
    "KeySpent",
    "LowOrderPointError",
    "MalformedMessage",
    "MaskReuseError",
    "PsiFrameInvalid",
    "PsiKeysDiffer",
    "SealBroken",
    "SharesInvalid",
]


class MalformedMessage(ProtocolAbort):
    """A message does not follow the wire format."""

    code = "J4010"


class MaskReuseError(ProtocolAbort):
    """A nonce of a generator was asked for twice: one mask would hide two values."""

    code = "J4101"


class DealingSpent(ProtocolAbort):
    """An execution that was dealt ahead of time was to be used a second time."""

    code = "J4106"


class LowOrderPointError(ProtocolAbort):
    """A peer sent a curve point of small order, or bytes that are no point."""

    code = "J4102"


class SealBroken(ProtocolAbort):
    """A sealed frame was changed, repeated, reordered or sealed under another key."""

    code = "J4103"


class KeySpent(ProtocolAbort):
    """A key has protected as much as it safely can, or a single-use key was used twice."""

    code = "J4104"


class SharesInvalid(ProtocolAbort):
    """Shares do not determine a secret: too few, repeated, of unequal shape or inconsistent."""

    code = "J4105"


class CheckFailed(ProtocolAbort):
    """A consistency check of a protocol against malicious parties failed: a peer did not follow the protocol."""

    code = "J4107"


class PsiFrameInvalid(ProtocolAbort):
    """A message of private set intersection has the wrong length, count or content."""

    code = "J4201"


class PsiKeysDiffer(ProtocolAbort):
    """Two parties intersect keys of different kinds, or normalised in different ways."""

    code = "J4202"


class JoinTooLarge(ProtocolAbort):
    """Duplicated keys at both sides would multiply to more rows than a join may have."""

    code = "J4203"
