# SPDX-License-Identifier: Apache-2.0
"""What a party keeps of dealings for later: one file for a program, sealed, each execution of which is used once.

::

    0    "jalidealt"       magic
    9    version           one byte
    10   salt              16 random bytes
    26   header length     uint32, little-endian
    30   header            sealed: what the file is for (`Header`)
    ..   slots             one for each execution, sealed, or zeros once the execution is used; 128 bytes at a
                           multiple of 128, so that a disk writes a slot whole or not
    ..   messages          of the executions in turn: uint32 length, and the sealed message

A slot has the seed that the party shares with the dealer, where the execution's messages are, and the key that these
are sealed under. *Taking* an execution reads its slot, puts zeros in its place, and has that on the disk before anybody
sees what it held. So whenever a process dies, an execution is whole or gone: material may be lost, and is never used
twice. What was used cannot be read from the file again, even with the party's key.

A copy of the file has another inode than the one that is sealed in its header, and is refused: its executions may have
been used elsewhere. Several processes may take from one file: a lock orders them, and each gets executions of its own.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager, suppress
from secrets import token_bytes, token_hex
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from jali.core.errors import (
    DealingBroken,
    DealingCopied,
    DealingExhausted,
    DealingMissing,
    DealingSpent,
    InternalError,
    ProtocolAbort,
    WriteFailed,
)
from jali.core.files import write_atomically
from jali.crypto.aead import KEY_BYTES, OVERHEAD_BYTES, Opener, Sealer
from jali.crypto.hashing import hkdf
from jali.crypto.prg import Prg
from jali.transport.channel import Counters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from typing_extensions import Buffer

__all__ = ["SEED_BYTES", "Dealing", "Header", "Store", "StoreWriter", "store_path"]

SEED_BYTES = 16
MAGIC = b"jalidealt\x01"
SALT_BYTES = 16
_LABEL = "jali.mpc.store.v1"
_PRELUDE = struct.Struct(f"<{len(MAGIC)}s{SALT_BYTES}sI")
_SLOT = struct.Struct(f"<{SEED_BYTES}s{KEY_BYTES}sQI")
_SLOT_SIZE = _SLOT.size + OVERHEAD_BYTES
_STRIDE = 128
_LENGTH = struct.Struct("<I")
_MAX_HEADER_BYTES = 1 << 20
_USED: Final = bytes(_SLOT_SIZE)


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a store is for: a party's role in executions of one manifest, dealt at one time (`epoch`)."""

    federation: str
    party: str
    role: int
    evaluators: tuple[str, ...]
    protocol: str
    manifest: bytes
    program: str
    epoch: bytes
    count: int
    inode: int = 0


_HEADERS = msgspec.msgpack.Decoder(Header)


def store_path(folder: Path, party: str, manifest: bytes) -> Path:
    """Where a party keeps what was dealt for a manifest."""
    return folder / f"{party}-{manifest[:8].hex()}.dealt"


class StoreWriter:
    """Writes a store; it takes its name when it is whole (`commit`). Use it as a context manager."""

    def __init__(self, path: Path, header: Header) -> None:
        """Begin a file beside `path`. Raises: WriteFailed; DealingBroken if the party's key is none."""
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{token_hex(8)}.part")
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._key = _party_key(path.parent, header.party, create=True)
            self._file = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._salt = token_bytes(SALT_BYTES)
        header = msgspec.structs.replace(header, inode=os.fstat(self._file).st_ino)
        plain = msgspec.msgpack.encode(header)
        prelude = _PRELUDE.pack(MAGIC, self._salt, len(plain) + OVERHEAD_BYTES)
        self._head = prelude + Sealer(_subkey(self._key, self._salt, "header")).seal(plain, prelude)
        self._slots = _aligned(len(self._head))
        self._end = self._slots + header.count * _STRIDE

    def add(self, execution: int, seed: bytes, messages: Iterator[Buffer]) -> None:
        """Write one execution: its messages, and then the slot that makes them usable. Raises: WriteFailed."""
        key = token_bytes(KEY_BYTES)
        sealer = Sealer(key)
        start, count = self._end, 0
        for message in messages:
            sealed = sealer.seal(message)
            with self._writing():
                self._put(_LENGTH.pack(len(sealed)) + sealed, self._end)
            self._end += _LENGTH.size + len(sealed)
            count += 1
        slot = Sealer(_subkey(self._key, self._salt, "slot", execution)).seal(_SLOT.pack(seed, key, start, count))
        with self._writing():
            self._put(slot, self._slots + execution * _STRIDE)

    def commit(self) -> None:
        """Have all on the disk under its name, in place of an older store. Raises: WriteFailed."""
        with self._writing():
            self._put(self._head, 0)
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
            self._temporary.replace(self._path)
            _sync_folder(self._path.parent)

    def _put(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view.nbytes:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteFailed(
                f"cannot write {str(self._path)!r}: {error.strerror or error}; free space or choose another folder "
                "as store (what was there before is untouched)"
            ) from None

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what was not committed."""
        os.close(self._file)
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


class _Slot(NamedTuple):
    """What a slot has: seed, key of the messages, where they begin and how many they are."""

    seed: bytes
    key: bytes
    offset: int
    messages: int


class Store:
    """A party's store, open. Use it as a context manager."""

    def __init__(self, path: Path, party: str) -> None:
        """Open a store and read what it is for.

        Raises: DealingMissing if there is none; DealingBroken if it was changed or cut off, or the party's key is
        another; DealingCopied if it is a copy.
        """
        self.path = path
        self._depth = 0
        try:
            self._file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise DealingBroken(f"cannot open {str(path)!r}: {error.strerror or error}") from None
        try:
            self._key = _party_key(path.parent, party, create=False)
            self.header = self._read_header()
        except BaseException:
            os.close(self._file)
            raise

    def position(self) -> int:
        """The number after the last execution that is used: all from there on are whole."""
        with self._locked():
            used = self._used()
        return self.header.count - used[::-1].index(True) if True in used else 0

    @property
    def left(self) -> int:
        """How many executions are whole."""
        with self._locked():
            return self._used().count(False)

    def take(self, execution: int) -> Dealing:
        """Use an execution up; what it holds is given only when the disk shows that it is used.

        Raises: DealingExhausted if there are not so many; DealingSpent if it was used; DealingBroken.
        """
        with self._locked():
            return self._take(execution)

    def take_next(self, least: int) -> tuple[int, Dealing]:
        """Use up the first execution from this store's position on, and from `least` on; and its number."""
        with self._locked():
            execution = max(least, self.position())
            return execution, self._take(execution)

    def _take(self, execution: int) -> Dealing:
        header = self.header
        if execution >= header.count:
            raise DealingExhausted(
                f"all {header.count} executions of {header.program!r} that were dealt to {header.party!r} are used "
                f"({self.path.name}): run deal_ahead again, with a larger count"
            )
        offset = self._slots + execution * _STRIDE
        sealed = self._read(offset, _SLOT_SIZE)
        if sealed == _USED:
            raise DealingSpent(
                f"execution {execution} of {header.program!r} was used at {header.party!r} before, so the store of the "
                "other evaluator is an older state of its file; run deal_ahead again at all parties"
            )
        opener = Opener(_subkey(self._key, self._salt, "slot", execution))
        slot = _Slot(*_SLOT.unpack(self._opened(opener, sealed, what=f"the slot of execution {execution}")))
        try:
            os.pwrite(self._file, _USED, offset)
            os.fsync(self._file)
        except OSError as error:
            raise DealingBroken(
                f"execution {execution} in {str(self.path)!r} could not be marked as used: {error.strerror or error}; "
                "so it is not used"
            ) from None
        return Dealing(self, slot)

    def _used(self) -> list[bool]:
        """Of each execution, whether it is used."""
        table = self._read(self._slots, self.header.count * _STRIDE)
        starts = range(0, len(table), _STRIDE)
        return [table[start : start + _SLOT_SIZE] == _USED for start in starts]

    # -- reading ------------------------------------------------------------------------------------------------
    def _read_header(self) -> Header:
        prelude = self._read(0, _PRELUDE.size)
        magic, self._salt, size = _PRELUDE.unpack(prelude)
        if magic != MAGIC or size > _MAX_HEADER_BYTES:
            raise DealingBroken(f"{str(self.path)!r} is no store of dealt material of this version of jali")
        opener = Opener(_subkey(self._key, self._salt, "header"))
        plain = self._opened(opener, self._read(len(prelude), size), prelude, what="the header")
        self._slots = _aligned(len(prelude) + size)
        try:
            header = _HEADERS.decode(plain)
        except msgspec.MsgspecError:
            raise DealingBroken(f"{str(self.path)!r} was written by another version of jali; deal again") from None
        found = os.fstat(self._file).st_ino
        if found != header.inode:
            raise DealingCopied(
                f"{str(self.path)!r} is a copy of the file that was dealt: what it holds may have been used already, "
                "and a mask must not be used twice; run deal_ahead again"
            )
        return header

    def message(self, opener: Opener, offset: int) -> tuple[bytes, int]:
        """The message at an offset, and the offset of the next. Raises: DealingBroken."""
        (size,) = _LENGTH.unpack(self._read(offset, _LENGTH.size))
        start = offset + _LENGTH.size
        return self._opened(opener, self._read(start, size), what="a message"), start + size

    def _opened(self, opener: Opener, sealed: bytes, associated: bytes = b"", *, what: str) -> bytes:
        try:
            return opener.open(sealed, associated)
        except ProtocolAbort as error:
            raise DealingBroken(
                f"{what} of {str(self.path)!r} was changed, or sealed under another key than that of "
                f"{_key_path(self.path.parent, '')}; nothing of it is used; run deal_ahead again"
            ) from error

    def _read(self, offset: int, size: int) -> bytes:
        end = os.fstat(self._file).st_size
        try:
            data = b"" if offset + size > end else os.pread(self._file, size, offset)
        except OSError as error:
            raise DealingBroken(f"{str(self.path)!r} cannot be read: {error.strerror or error}") from None
        if len(data) != size:
            raise DealingBroken(
                f"{str(self.path)!r} is cut off: expected {offset + size} bytes or more, found {end}; "
                "nothing of it is used; run deal_ahead again"
            )
        return data

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the file: against other processes, and threads of this one, which have opened it themselves."""
        self._depth += 1
        if self._depth == 1:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._file)


class Dealing:
    """One execution that was taken: the generator shared with the dealer, and its messages as a stream from it."""

    def __init__(self, store: Store, slot: _Slot) -> None:
        """Made by `Store.take`; the store must stay open."""
        self.counters = Counters()
        self.peer = f"the store {store.path.name}"
        self.prg = Prg(slot.seed, label="dealt ahead")
        self._store = store
        self._opener = Opener(slot.key)
        self._offset = slot.offset
        self._left = slot.messages

    def receive(self) -> memoryview:
        """The next message; an empty one at the end. Raises: DealingBroken."""
        if not self._left:
            return memoryview(bytearray())
        message, self._offset = self._store.message(self._opener, self._offset)
        self._left -= 1
        self.counters.received(len(message))
        return memoryview(bytearray(message))

    def send(self, *parts: Buffer) -> None:
        """Refused: the dealer is not there."""
        raise InternalError(f"{len(parts)} buffers were sent to a dealer that dealt ahead of time")


def _missing(path: Path) -> DealingMissing:
    party = path.name.rpartition("-")[0]
    others = sum(other.name.rpartition("-")[0] == party for other in path.parent.glob("*.dealt"))
    found = f"{others} for other programs, shapes or versions of jali" if others else "nothing"
    return DealingMissing(
        f"nothing was dealt to {party!r} for this program and these shapes: expected {path.name} in "
        f"{str(path.parent)!r}, found {found}; run deal_ahead with the same function and shapes first"
    )


def _key_path(folder: Path, party: str) -> Path:
    return folder / f"{party or 'PARTY'}.key"


def _party_key(folder: Path, party: str, *, create: bool) -> bytes:
    """The party's own key of its stores, made when there is none."""
    path = _key_path(folder, party)
    if create and not path.exists():
        fresh = write_atomically(folder / f".{path.name}.{token_hex(8)}", token_bytes(KEY_BYTES), mode=0o600)
        with suppress(FileExistsError):  # whole or not at all, and never in place of another
            path.hardlink_to(fresh)
        fresh.unlink()
    try:
        key = path.read_bytes()
    except OSError as error:
        raise DealingBroken(f"cannot read the key of the stores of {party!r}, {path}: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise DealingBroken(f"expected a key of {KEY_BYTES} bytes in {path}, found {len(key)} bytes")
    return key


def _aligned(offset: int) -> int:
    return -(-offset // _STRIDE) * _STRIDE


def _subkey(key: bytes, salt: bytes, *purpose: str | int) -> bytes:
    return hkdf(key, _LABEL, *purpose, salt=salt, size_bytes=KEY_BYTES)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
