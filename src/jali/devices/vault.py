# SPDX-License-Identifier: Apache-2.0
"""One party's saved shares on its disk: a folder for each name, a file for each time that it was saved.

A file is::

    0   "jalisave"      magic
    8   version         one byte; an unknown one is refused
    9   zeros           three bytes
    12  header length   uint32, little-endian
    16  salt            32 bytes
    48  header          msgpack of `Header`, in the clear: what it is, and nothing of the value
    ..  frames          sealed (`jali.crypto.aead`), one after the other: an empty one, then the words of each array,
                        little-endian, at most 64 MiB to a frame

The key of the frames is derived from the party's own key and the salt, so that each file has its own; all that stands
before them is authenticated with each, first with the empty one. Where the folder and the key lie is the party's
decision (the federation file's `[saved]`), and a name is a plain name: no program of others can choose a path.

Security: AES-256-GCM. Whoever reads the folder without the key learns names, shapes, types and times.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from jali.core.errors import (
    SavedInvalid,
    SavedMismatch,
    SavedMissing,
    SavedVersionUnknown,
    SaveNameInvalid,
    SealBroken,
    SealVersionUnknown,
    WriteFailed,
)
from jali.core.files import write_atomically
from jali.crypto.aead import OVERHEAD_BYTES, Opener, Sealer
from jali.crypto.hashing import digest, hkdf
from jali.crypto.keyfile import KEY_BYTES, key_at, own_key
from jali.crypto.randomness import random_bytes
from jali.mpc.ir import ValueType
from jali.mpc.parts import word_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from jali.core.config import Saved

    Words = NDArray[np.uint64]

__all__ = ["HEADERS", "Header", "Saving", "Vault", "require_name"]

MAGIC = b"jalisave"
FORMAT = 1
PREFIX_BYTES = 16
SALT_BYTES = 32
RUN_BYTES = 16
FRAME_BYTES = 64 << 20
MAX_HEADER_BYTES = 16 << 20
MAX_ARRAY_BYTES = 1 << 42
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
FILE = re.compile(r"(\d{8,19})-([0-9a-f]{32})\.share", re.ASCII)


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file says of itself; all but `holder` is the same at all parties that saved the value together.

    `number` counts the times that the name was saved and `run` tells this time from all others; `roles` are the parties
    in the protocol's order, `holder` is the role whose part this is; `tree` and `types` describe the value.
    """

    name: str
    number: int
    run: bytes
    protocol: str
    roles: tuple[str, ...]
    holder: int
    tree: list[object]
    types: tuple[ValueType, ...]

    def agreed(self) -> bytes:
        """What all parties have alike, as bytes."""
        return msgspec.msgpack.encode(msgspec.structs.replace(self, holder=-1), order="sorted")

    def digest(self) -> bytes:
        """32 bytes that stand for the value as it was saved that time, at every party."""
        return digest("devices.saved.v1", self.agreed())


HEADERS = msgspec.msgpack.Decoder(Header)


class Saving(NamedTuple):
    """One time that a name was saved: its number, and the identity that tells it from all others, in hexadecimal."""

    number: Annotated[int, Meta(ge=0, lt=2**62)]
    run: str


class Vault:
    """The saved shares of one party."""

    def __init__(self, settings: Saved, party: str) -> None:
        """Nothing is read or made yet. Raises: SavedMissing if the party saves nothing."""
        if not (settings.directory and settings.keys):
            raise SavedMissing(
                f"{party} keeps no saved shares: directory or keys is empty under [saved] in its federation file",
                party=party,
            )
        self._party = party
        self.directory = Path(settings.directory) / party
        self.key = Path(settings.keys) / f"{party}.key"

    def savings(self, name: str) -> list[Saving]:
        """The times that a name was saved and of which the file is still there, in order."""
        folder = self._folder(name)
        found = [FILE.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(Saving(int(match[1]), match[2]) for match in found if match)

    def write(self, header: Header, parts: Sequence[Words]) -> Path:
        """Write a file, whole or not at all, and give its path. Raises: WriteFailed."""
        path = self._path(header.name, Saving(header.number, header.run.hex()))
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise WriteFailed(f"cannot make the folder {str(path.parent)!r}: {error.strerror}") from None
        salt = random_bytes(SALT_BYTES)
        before = _preamble(msgspec.msgpack.encode(header), salt)
        sealer = Sealer(_file_key(own_key(self.key), salt))
        return write_atomically(path, _file(before, sealer, parts), mode=0o600)

    def read(self, name: str, saving: Saving) -> tuple[Header, list[Words]]:
        """What a file says of itself, and the parts in it.

        Raises: SavedMissing, SavedInvalid, SavedMismatch if it is another value's file; SavedVersionUnknown.
        """
        path = self._path(name, saving)
        try:
            with path.open("rb") as file:
                before, header, salt = _opening(file, path)
                if header.name != name or Saving(header.number, header.run.hex()) != saving:
                    raise SavedMismatch(
                        f"{str(path)!r} says that it is saving {header.number} of {header.name!r}: the file was moved; "
                        "put it back where it was"
                    )
                opener = Opener(_file_key(key_at(self.key), salt))
                return header, self._opened(file, path, opener, before, header)
        except OSError as error:
            raise SavedMissing(f"cannot read {str(path)!r}: {error.strerror or error}", party=self._party) from None

    def forget(self, name: str, *, before: int) -> None:
        """Delete the files of a name with lower numbers."""
        for saving in self.savings(name):
            if saving.number < before:
                self._path(name, saving).unlink(missing_ok=True)

    def _folder(self, name: str) -> Path:
        return self.directory / require_name(name)

    def _path(self, name: str, saving: Saving) -> Path:
        return self._folder(name) / f"{saving.number:08d}-{saving.run}.share"

    def _opened(self, file: BinaryIO, path: Path, opener: Opener, before: bytes, header: Header) -> list[Words]:
        shapes = word_counts(header.types)
        frames = [_frames(shape) for shape in shapes]
        expected = len(before) + OVERHEAD_BYTES + sum(size + OVERHEAD_BYTES for sizes in frames for size in sizes)
        found = os.fstat(file.fileno()).st_size
        if found != expected:
            raise SavedInvalid(f"{str(path)!r} should have {expected} bytes and has {found}: {_RESTORE}")

        def opened(size_bytes: int) -> bytes:
            try:
                return opener.open(file.read(size_bytes + OVERHEAD_BYTES), before)
            except (SealBroken, SealVersionUnknown):
                raise SavedInvalid(
                    f"{str(path)!r} was changed, or is encrypted under another key than the one in {str(self.key)!r}: "
                    f"{_RESTORE}"
                ) from None

        opened(0)
        return [_array([opened(size) for size in sizes], shape) for sizes, shape in zip(frames, shapes, strict=True)]


_RESTORE = "put the file back from a copy, or save the value again"


def require_name(name: str) -> str:
    """The name, if a value can be saved under it. Raises: SaveNameInvalid."""
    if not NAME.fullmatch(name):
        raise SaveNameInvalid(
            "expected a name of at most 100 letters, digits, '.', '-' and '_' that begins with a letter or digit, "
            f"found {name!r}; each party decides in its own federation file where saved shares lie"
        )
    return name


def _preamble(header: bytes, salt: bytes) -> bytes:
    return MAGIC + bytes((FORMAT, 0, 0, 0)) + len(header).to_bytes(4, "little") + salt + header


def _file(before: bytes, sealer: Sealer, parts: Sequence[Words]) -> Iterator[Buffer]:
    yield before
    yield sealer.seal(b"", before)
    for part in parts:
        octets = np.ascontiguousarray(part, "<u8").reshape(-1).data.cast("B")
        start = 0
        for size in _frames(part.shape):
            yield sealer.seal(octets[start : start + size], before)
            start += size


def _frames(shape: tuple[int, ...]) -> list[int]:
    """Sizes of the frames of one array of words."""
    whole, rest = divmod(8 * math.prod(shape), FRAME_BYTES)
    return [FRAME_BYTES] * whole + ([rest] if rest else [])


def _array(frames: Sequence[bytes], shape: tuple[int, ...]) -> Words:
    octets = bytearray().join(frames)
    return np.frombuffer(octets, "<u8").astype(np.uint64, copy=False).reshape(shape)


def _opening(file: BinaryIO, path: Path) -> tuple[bytes, Header, bytes]:
    prefix = file.read(PREFIX_BYTES + SALT_BYTES)
    if len(prefix) < PREFIX_BYTES + SALT_BYTES or not prefix.startswith(MAGIC):
        raise SavedInvalid(f"{str(path)!r} is no saved share, or was cut off: {_RESTORE}")
    if prefix[8] != FORMAT:
        raise SavedVersionUnknown(
            f"expected a saved share of format {FORMAT} in {str(path)!r}, found format {prefix[8]}: it was written by "
            "another version of jali; load it with that one"
        )
    size = int.from_bytes(prefix[12:PREFIX_BYTES], "little")
    text = file.read(min(size, MAX_HEADER_BYTES))
    try:
        header = HEADERS.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        header = None
    if header is None or len(text) != size or len(header.run) != RUN_BYTES or any(prefix[9:12]) or _huge(header):
        raise SavedInvalid(f"the header of {str(path)!r} was changed or cut off: {_RESTORE}")
    return prefix + text, header, prefix[PREFIX_BYTES:]


def _huge(header: Header) -> bool:
    """Whether the types that a header names cannot be those of a value: nothing is allocated for it then."""
    dims = [dim for kind in header.types for dim in (*kind.shape, 8 * math.prod(kind.shape))]
    return any(not 0 <= dim <= MAX_ARRAY_BYTES for dim in dims)


def _file_key(own: bytes, salt: bytes) -> bytes:
    return hkdf(own, "jali.devices.vault.v1", salt=salt, size_bytes=KEY_BYTES)
