# SPDX-License-Identifier: Apache-2.0
"""The roots of the error tree, and how a relayed error finds its class."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "InputError",
    "InternalError",
    "JaliError",
    "OutputError",
    "PeerError",
    "ProgramError",
    "ProtocolAbort",
    "VersionError",
    "error_class",
]


class JaliError(Exception):
    """Root of the tree; `code` names the docs page, `exit_status` is what a command ends with."""

    code: ClassVar[str] = "J0000"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, message: str, *, party: str | None = None, node: str | None = None, source: str | None = None
    ) -> None:
        """Say what happened; `party`, `node` and `source` (file:line) say where.

        `phase`, if whoever ran a protocol sets it, says during what.
        """
        super().__init__(message)
        self.message = message
        self.party = party
        self.node = node
        self.source = source
        self.phase: str | None = None

    def __str__(self) -> str:
        """The code, the message and the place, on one line."""
        places = [
            f"party {self.party!r}" if self.party else "",
            f"node {self.node}" if self.node else "",
            f"during {self.phase}" if self.phase else "",
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
