# SPDX-License-Identifier: Apache-2.0
"""The ledger: an append-only, hash-chained record of what a party disclosed, ran and agreed to (JSON lines)."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from jali.core.errors import LedgerBroken, LedgerUnwritable
from jali.crypto.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.core.config import Federation

__all__ = ["ENTRIES", "Entry", "Ledger", "ledger_of", "verify"]

GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line: `hash` covers everything else of it, and through `previous` everything before it."""

    number: int
    time: str
    party: str
    kind: str
    body: dict[str, Any]
    previous: str
    hash: str


ENTRIES = msgspec.json.Decoder(Entry)


class Ledger:
    """Appends entries in memory and, given a path, to a file.

    A durable entry is on the disk, with all before it, when `append` returns; the others are by `close`.
    """

    def __init__(self, party: str, path: Path | None = None) -> None:
        """Continue the chain of `path` if it exists; it is verified first.

        Raises: LedgerBroken if the existing file does not verify; LedgerUnwritable if it cannot be opened.
        """
        self.party = party
        self.path = path
        self.entries: list[Entry] = []
        self._lock = threading.Lock()
        self._number, self._head = 0, GENESIS
        if path is not None and path.is_file():
            self._number, self._head = verify(path)

    def append(self, kind: str, body: dict[str, Any], *, durable: bool = True) -> Entry:
        """Record one event and give its entry. Raises: LedgerUnwritable; the entry is then taken back whole."""
        with self._lock:
            now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
            fields = {
                "number": self._number,
                "time": now,
                "party": self.party,
                "kind": kind,
                "body": body,
                "previous": self._head,
            }
            entry = Entry(**fields, hash=_hash(fields))  # type: ignore[arg-type]
            if self.path is not None:
                self._write(entry, durable=durable)
            self.entries.append(entry)
            self._number, self._head = self._number + 1, entry.hash
            return entry

    def close(self) -> None:
        """Put everything on the disk."""
        if self.path is not None and self.path.is_file():
            with self.path.open("ab", buffering=0) as file:
                os.fsync(file.fileno())

    def _write(self, entry: Entry, *, durable: bool) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)  # type: ignore[union-attr]
            with self.path.open("ab", buffering=0) as file:  # type: ignore[union-attr]
                start = file.tell()
                try:
                    _write_whole(file.fileno(), line, durable=durable)
                except OSError:
                    file.truncate(start)
                    raise
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise LedgerUnwritable(
                f"the ledger {self.path} could not be written ({reason}); free the disk or name another "
                "directory under [ledger] in the federation file",
                party=self.party,
            ) from error


def ledger_of(settings: Federation, party: str) -> Ledger:
    """The party's ledger, in a file where the federation file names a folder. Raises: LedgerBroken."""
    directory = settings.ledger.directory
    return Ledger(party, Path(directory) / f"{party}.jsonl" if directory else None)


def verify(path: Path, *, containing: str | None = None) -> tuple[int, str]:
    """Check every link of a ledger file; give the number of entries and the last hash, its head.

    Entries that were removed at the end leave a chain that holds: name a head that was noted down before, in
    `containing`, to notice that.

    Raises: LedgerBroken naming the first line that does not follow from the one before, or the head that is missing.
    """
    number, head = 0, GENESIS
    found = containing in {None, GENESIS}
    for line in _lines(path):
        place = f"{path}: line {number + 1}"
        if not line.endswith(b"\n"):
            raise LedgerBroken(f"{place}, the last, is cut off")
        try:
            entry = ENTRIES.decode(line)
        except msgspec.DecodeError as error:
            raise LedgerBroken(f"{place} is not a ledger entry") from error
        fields = msgspec.structs.asdict(entry)
        claimed = fields.pop("hash")
        if entry.previous != head or entry.number != number:
            raise LedgerBroken(f"{place} does not follow from the line before: an entry was removed, inserted or moved")
        if _hash(fields) != claimed:
            raise LedgerBroken(f"{place} was changed after it was written")
        number, head = number + 1, claimed
        found = found or head == containing
    if not found:
        raise LedgerBroken(f"{path}: the head {containing} is not in the chain; entries were removed at its end")
    return number, head


def _write_whole(descriptor: int, line: bytes, *, durable: bool) -> None:
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if durable:
        os.fsync(descriptor)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise LedgerBroken(f"the ledger {path} cannot be read: {error.strerror}") from error


def _hash(fields: dict[str, Any]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return digest("graph.ledger", canonical.encode()).hex()
