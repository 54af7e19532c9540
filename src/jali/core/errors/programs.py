# SPDX-License-Identifier: Apache-2.0
"""J2xxx: programs that ask for what devices cannot do, or that would disclose data."""

from __future__ import annotations

from jali.core.errors.tree import ProgramError

__all__ = [
    "DeviceInvalid",
    "ElementMissing",
    "ModeUnknown",
    "NotRevealedHere",
    "NotTraceable",
    "PlainCallFailed",
    "ProgramFailed",
    "ProgramMismatch",
    "ProtocolUseError",
    "RangesUnsafe",
    "SaveNameInvalid",
    "SecretControl",
    "SecretIndex",
    "SecretUse",
    "TreeMismatch",
    "UnknownDevice",
    "UnknownParty",
    "UnsupportedOperation",
    "UnsupportedValue",
    "WouldDisclose",
]


class UnsupportedValue(ProgramError):
    """A value cannot be sent to another party."""

    code = "J2010"


class TreeMismatch(ProgramError):
    """Two nested containers should have the same structure and do not."""

    code = "J2011"


class ProgramMismatch(ProgramError):
    """Two parties run different programs; the first node that differs is named with both source lines."""

    code = "J2080"


class SecretUse(ProgramError):
    """A handle was used as if it were the value: branched on, compared, iterated or converted."""

    code = "J2081"


class NotRevealedHere(ProgramError):
    """A value that was revealed to other parties was used here."""

    code = "J2082"


class WouldDisclose(ProgramError):
    """A call would show a value to a party that may not see it; only a reveal may do that."""

    code = "J2083"


class UnknownParty(ProgramError):
    """A program names a party that the federation does not have."""

    code = "J2084"


class UnknownDevice(ProgramError):
    """A program names a device that the federation does not have."""

    code = "J2085"


class PlainCallFailed(ProgramError):
    """A function raised an exception at its party; others learn its type and place, not its message."""

    code = "J2086"


class ProgramFailed(ProgramError):
    """The program raised an exception of its own at a party, outside any device."""

    code = "J2087"


class DeviceInvalid(ProgramError):
    """A device was asked for with parties, a protocol or a dealer that do not fit together."""

    code = "J2088"


class ElementMissing(ProgramError):
    """A value on a device has no element of that name or number."""

    code = "J2089"


class ModeUnknown(ProgramError):
    """`jali.connect` does not know which party this process is."""

    code = "J2090"


class SaveNameInvalid(ProgramError):
    """A name to save a value under is not a plain name."""

    code = "J2091"


class ProtocolUseError(ProgramError):
    """An operation of an MPC protocol was called with roles, shapes or sizes that it does not take."""

    code = "J2401"


class UnsupportedOperation(ProgramError):
    """The program computes something on secrets that no rule covers."""

    code = "J2101"


class SecretControl(ProgramError):
    """The program would take another path depending on a secret."""

    code = "J2102"


class SecretIndex(ProgramError):
    """The program uses a secret as an index."""

    code = "J2103"


class NotTraceable(ProgramError):
    """The function cannot be turned into a program for secrets."""

    code = "J2104"


class RangesUnsafe(ProgramError):
    """The numbers of a program can leave the range of fixed point, or the domain of a function."""

    code = "J2105"
