# SPDX-License-Identifier: Apache-2.0
"""The error tree: every failure a user can meet has a code, a docs page and an exit status.

::

    JaliError
    ├── InputError        J1xxx  exit 3   files, tables, configuration
    ├── ProgramError      J2xxx  exit 4   devices, moves, reveals, tracing
    ├── PeerError         J3xxx  exit 5   sessions, channels, certificates
    ├── ProtocolAbort     J4xxx  exit 6   cryptographic protocols, randomness
    ├── VersionError      J5xxx  exit 7   versions that do not fit together
    ├── OutputError       J6xxx  exit 8   results that could not be written
    └── InternalError     J9xxx  exit 70  a defect in jali

A message says what was expected, what was found (names, shapes, types, line numbers; never a value of the
data) and what to do. Messages may therefore be relayed to the other parties.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AddressInvalid",
    "BadRange",
    "CellTypeWrong",
    "CertificateExpired",
    "CertificateMissing",
    "CertificateWrong",
    "CodecVersionUnknown",
    "ColumnMissing",
    "ColumnTypeError",
    "ConfigInvalid",
    "DealerMissing",
    "DemoFailed",
    "DeviceInvalid",
    "DuplicateName",
    "ElementMissing",
    "EncodingWrong",
    "ExtraMissing",
    "FederationExists",
    "FederationMismatch",
    "FileEmpty",
    "FileMissing",
    "FixedPointRangeError",
    "FrameInvalid",
    "HandshakeFailed",
    "InputError",
    "InternalError",
    "JaliError",
    "JoinTooLarge",
    "KernelArgumentError",
    "KernelLevelError",
    "KeyInvalid",
    "KeySpent",
    "KeyTypeWrong",
    "LabelError",
    "LedgerBroken",
    "LedgerUnwritable",
    "LowOrderPointError",
    "MalformedMessage",
    "MaskReuseError",
    "MessageTooLarge",
    "ModeUnknown",
    "ModelParameterError",
    "NotRevealedHere",
    "NotTraceable",
    "OutputError",
    "PartyNameInvalid",
    "PartyStalled",
    "PeerClosed",
    "PeerError",
    "PeerLate",
    "PeerLost",
    "PeerMissing",
    "PlainCallFailed",
    "PortInUse",
    "ProgramError",
    "ProgramFailed",
    "ProgramMismatch",
    "ProtocolAbort",
    "ProtocolUseError",
    "PsiFrameInvalid",
    "PsiKeysDiffer",
    "RowRagged",
    "SealBroken",
    "SealVersionUnknown",
    "SecretControl",
    "SecretIndex",
    "SecretUse",
    "SessionClosed",
    "SharesInvalid",
    "StreamFlood",
    "TableInvalid",
    "TrainingRowsError",
    "TreeMismatch",
    "UnknownDevice",
    "UnknownKey",
    "UnknownName",
    "UnknownParty",
    "UnseenCategoryError",
    "UnsupportedOperation",
    "UnsupportedValue",
    "VersionError",
    "WireVersionMismatch",
    "WouldDisclose",
    "WriteFailed",
    "error_class",
]


class JaliError(Exception):
    """Root of the tree; `code` names the docs page, `exit_status` is what a command ends with."""

    code: ClassVar[str] = "J0000"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, message: str, *, party: str | None = None, node: str | None = None, source: str | None = None
    ) -> None:
        """Say what happened; `party`, `node` and `source` (file:line) say where."""
        super().__init__(message)
        self.message = message
        self.party = party
        self.node = node
        self.source = source

    def __str__(self) -> str:
        """The code, the message and the place, on one line."""
        places = [
            f"party {self.party!r}" if self.party else "",
            f"node {self.node}" if self.node else "",
            f"at {self.source}" if self.source else "",
        ]
        where = ", ".join(place for place in places if place)
        return f"{self.code} {self.message}" + (f" [{where}]" if where else "")


class InputError(JaliError):
    """A file, a table or a setting is not what was expected."""

    code = "J1000"
    exit_status = 3


class ProgramError(JaliError):
    """The program asks for something that devices cannot do or that would disclose data."""

    code = "J2000"
    exit_status = 4


class PeerError(JaliError):
    """Another party is missing, late, gone, or not who it should be."""

    code = "J3000"
    exit_status = 5


class ProtocolAbort(JaliError):
    """A cryptographic protocol stopped: a check failed or a message had the wrong form."""

    code = "J4000"
    exit_status = 6


class VersionError(JaliError):
    """Two parties or two files have no version in common."""

    code = "J5000"
    exit_status = 7


class OutputError(JaliError):
    """A result could not be written; nothing partial was left behind."""

    code = "J6000"
    exit_status = 8


class InternalError(JaliError):
    """A defect in jali; please report it."""

    code = "J9000"
    exit_status = 70


class ConfigInvalid(InputError):
    """The federation file is not valid TOML or a setting has the wrong form."""

    code = "J1010"


class UnknownKey(InputError):
    """The federation file has a key that no setting goes by."""

    code = "J1011"


class BadRange(InputError):
    """A template's range such as [0..3] cannot be expanded."""

    code = "J1012"


class DuplicateName(InputError):
    """Two entries of the federation file have the same name."""

    code = "J1013"


class UnknownName(InputError):
    """A name does not exist; the message lists near misses."""

    code = "J1014"


class DealerMissing(InputError):
    """A two-party mpc device has nobody to deal correlated randomness."""

    code = "J1015"


class ExtraMissing(InputError):
    """An optional library is needed and not installed."""

    code = "J1016"


class TableInvalid(InputError):
    """Columns do not make a table."""

    code = "J1020"


class ColumnMissing(InputError):
    """A table or file lacks a column that was asked for."""

    code = "J1021"


class FileMissing(InputError):
    """A file that should be read does not exist or cannot be opened."""

    code = "J1030"


class FileEmpty(InputError):
    """A data file has no header or no rows."""

    code = "J1031"


class CellTypeWrong(InputError):
    """A cell cannot be read as the type of its column."""

    code = "J1032"


class RowRagged(InputError):
    """A row of a CSV file has more or fewer cells than the header."""

    code = "J1033"


class KeyInvalid(InputError):
    """The identifiers of a table are empty or not unique."""

    code = "J1034"


class EncodingWrong(InputError):
    """A text file is not UTF-8."""

    code = "J1035"


class UnsupportedValue(ProgramError):
    """A value cannot be sent to another party."""

    code = "J2010"


class TreeMismatch(ProgramError):
    """Two nested containers should have the same structure and do not."""

    code = "J2011"


class MalformedMessage(ProtocolAbort):
    """A message does not follow the wire format."""

    code = "J4010"


class CodecVersionUnknown(VersionError):
    """A message or file was written in a wire format that this version does not know."""

    code = "J5010"


class WriteFailed(OutputError):
    """A file could not be written; what was there before is untouched."""

    code = "J6010"


class FixedPointRangeError(InputError):
    """A number is not finite, or too large for the fixed-point format."""

    code = "J1310"


class KernelLevelError(InputError):
    """JALI_KERNELS names a level that this build or processor does not have."""

    code = "J1311"


class KernelArgumentError(InternalError):
    """A kernel was called with arrays of the wrong shape or type."""

    code = "J9010"


class MaskReuseError(ProtocolAbort):
    """A nonce of a generator was asked for twice: one mask would hide two values."""

    code = "J4101"


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


class PsiFrameInvalid(ProtocolAbort):
    """A message of private set intersection has the wrong length, count or content."""

    code = "J4201"


class PsiKeysDiffer(ProtocolAbort):
    """Two parties intersect keys of different kinds, or normalised in different ways."""

    code = "J4202"


class JoinTooLarge(ProtocolAbort):
    """Duplicated keys at both sides would multiply to more rows than a join may have."""

    code = "J4203"


class KeyTypeWrong(InputError):
    """A column cannot be a key: only integers, text and bytes are compared exactly."""

    code = "J1040"


class SealVersionUnknown(VersionError):
    """A sealed frame has a format that this version does not know."""

    code = "J5101"


class ColumnTypeError(InputError):
    """A column holds another kind of values than the preparation needs."""

    code = "J1501"


class TrainingRowsError(InputError):
    """The training rows do not say enough to fit on."""

    code = "J1502"


class LabelError(InputError):
    """Labels are not 0 and 1, or there is another number of them than of rows."""

    code = "J1503"


class UnseenCategoryError(InputError):
    """A column has a category that the training rows did not show."""

    code = "J1504"


class ModelParameterError(InputError):
    """A parameter of a model or preparation step is out of its range, or its inputs do not fit together."""

    code = "J1505"


class DemoFailed(InternalError):
    """The demonstration ended without the results that it should have written."""

    code = "J9501"


class LedgerBroken(InputError):
    """An entry of a ledger was changed, removed, inserted or cut off."""

    code = "J1080"


class LedgerUnwritable(OutputError):
    """A ledger entry could not be written; the run stops, since what is not recorded must not happen."""

    code = "J6080"


class ProgramMismatch(ProgramError):
    """Two parties run different programs; the first node that differs is named with both source lines."""

    code = "J2080"


class PartyStalled(PeerError):
    """A party did not come to a joint node within the deadline."""

    code = "J3080"


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


class WireVersionMismatch(VersionError):
    """Two parties have no version of the wire format in common."""

    code = "J5020"


class FederationExists(InputError):
    """A federation would overwrite files that are already there."""

    code = "J1601"


class PartyNameInvalid(InputError):
    """A party's name cannot be used in a certificate or a file name."""

    code = "J1602"


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


def error_class(code: str) -> type[JaliError]:
    """The class of `code`, so that every party raises a relayed error under the same name.

    Unknown codes (a peer that is newer) give the nearest family.
    """
    families: list[type[JaliError]] = [JaliError]
    best: type[JaliError] = JaliError
    while families:
        cls = families.pop()
        families.extend(cls.__subclasses__())
        if cls.code == code:
            return cls
        if cls.code == f"{code[:2]}000":
            best = cls
    return best
