# SPDX-License-Identifier: Apache-2.0
"""What a protocol promises, and what it lets anyone learn: data, so that tests can compare it with what happens."""

from __future__ import annotations

import math

import msgspec

__all__ = ["Cost", "Dealt", "Leak", "Threat"]


class Threat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The setting in which a protocol is secure.

    `parties` and `corrupt` count computing parties; `adversary` is "semi-honest" or "malicious"; `abort` says
    what an honest party sees when it is attacked; `assumptions` are in plain words; `paper` is author, year and
    ePrint or RFC number.
    """

    parties: int
    corrupt: int
    adversary: str
    abort: str
    assumptions: tuple[str, ...]
    paper: str


class Leak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that somebody learns beyond the declared output: `to` learns `what`, because of `why`."""

    what: str
    to: str
    why: str


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exact communication of an operation.

    `rounds` is the length of the longest chain of messages; `bytes_sent` is by role name, payload only (no frame
    headers, no TLS); `offline_bytes` is what a dealer or preprocessing sends.
    """

    rounds: int
    bytes_sent: dict[str, int]
    offline_bytes: int = 0


class Dealt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Correlated words that a dealer sends: `count` arrays of a shape in words, for operations of one kind."""

    kind: str
    shape: tuple[int, ...]
    count: int = 1

    @property
    def size_bytes(self) -> int:
        """What all of them take on the wire."""
        return 8 * self.count * math.prod(self.shape)

    def __str__(self) -> str:
        """For instance `12 mul[640]: 61,440 bytes`."""
        return f"{self.count:,} {self.kind}[{','.join(map(str, self.shape))}]: {self.size_bytes:,} bytes"
