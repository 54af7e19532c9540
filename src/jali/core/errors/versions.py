# SPDX-License-Identifier: Apache-2.0
"""J5xxx: versions that do not fit together."""

from __future__ import annotations

from jali.core.errors.tree import VersionError

__all__ = [
    "CodecVersionUnknown",
    "SavedVersionUnknown",
    "SealVersionUnknown",
    "WireVersionMismatch",
]


class CodecVersionUnknown(VersionError):
    """A message or file was written in a wire format that this version does not know."""

    code = "J5010"


class SavedVersionUnknown(VersionError):
    """A saved share was written in a format that this version does not know."""

    code = "J5102"


class SealVersionUnknown(VersionError):
    """A sealed frame has a format that this version does not know."""

    code = "J5101"


class WireVersionMismatch(VersionError):
    """Two parties have no version of the wire format in common."""

    code = "J5020"
