# SPDX-License-Identifier: Apache-2.0
"""Caches of masked keys: made once by who has many keys, given to those who will ask about few.

A file holds a header, a signature of it, and the tags of all keys in ascending order: hashes of their points times the
owner's secret scalar, without which nobody can make a tag of a guess. The scalar lies in a file beside it.
"""

from __future__ import annotations

import hashlib
import struct
import time
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from jali.core.errors import CacheInvalid, FileMissing
from jali.core.files import write_atomically
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import Scalar
from jali.crypto.elligator import hash_to_curve
from jali.crypto.hashing import digest, encode_parts
from jali.crypto.keyfile import key_at, own_key
from jali.kernels import sha512_each
from jali.transport.signature import sign, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from jali.psi.keys import Keys

    Bytes = NDArray[np.uint8]

__all__ = ["TAG_BYTES", "Cache", "Header", "build", "masked", "scalar_of", "tags_of"]

TAG_BYTES: Final = 12
"""96 bits: among 2^28 tags, one of 2^28 queries matches a wrong one with probability 2^-40."""

_MAGIC, _LENGTHS = b"jalipsi1", struct.Struct("<II")
_CHUNK = 1 << 16
_MOST_HEADER = 1 << 16
_TO_CURVE = b"jali.oprf.v1/curve25519_XMD:SHA-512_ELL2_NU_"
_TO_TAG, _PURPOSE = "jali.psi.oprf.tag.v1", "jali.psi.cache.v1"


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cache holds: whose keys, of what kind, how many, since when (seconds, Unix), and the hash of its tags."""

    party: str
    epoch: int
    kinds: tuple[str, ...]
    normalise: str
    n: int
    key_id: str
    body: str


_HEADERS = msgspec.json.Decoder(Header)


def build(
    keys: Keys,
    path: Path,
    *,
    party: str,
    certificate: Path,
    key: Path,
    progress: Callable[[float, str], None],
) -> Header:
    """Mask all keys and write the cache, with its secret beside it in `path`.key (made if there is none).

    A new secret, which is a new epoch for all who have the old cache, is had by deleting that file.
    Cost: a hash to the curve and a multiplication for each key; 12 bytes in the file.
    Raises: WriteFailed, SavedInvalid, CertificateMissing.
    """
    scalar = Scalar(own_key(_key_path(path)))
    tags = np.zeros((len(keys), TAG_BYTES), np.uint8)
    for start in range(0, len(keys), _CHUNK):
        progress(start / len(keys), "keys masked")
        part = keys.digests[start : start + _CHUNK]
        tags[start : start + _CHUNK] = tags_of(part, scalar.multiply(masked(part)))
    body = np.sort(tags.reshape(-1).view(f"S{TAG_BYTES}")).tobytes() if len(tags) else b""
    header = Header(
        party=party,
        epoch=int(time.time()),
        kinds=keys.kinds,
        normalise=keys.normalise,
        n=len(keys),
        key_id=_key_id(key_at(_key_path(path))),
        body=hashlib.sha256(body).hexdigest(),
    )
    packed = msgspec.json.encode(header)
    signed = msgspec.msgpack.encode([sign(packed, purpose=_PURPOSE, key=key), certificate.read_bytes()])

    write_atomically(path, iter((_MAGIC + _LENGTHS.pack(len(packed), len(signed)) + packed + signed, body)))
    return header


class Cache:
    """A cache that somebody gave; its tags are read from the file as they are needed."""

    def __init__(self, path: Path, *, authority: Path, party: str = "") -> None:
        """Open and check it all: form, signature, and the hash of the tags.

        `party`, if it is named, must be its owner.
        Raises: FileMissing; CacheInvalid for a truncated or changed file; CertificateWrong.
        """
        try:
            with path.open("rb") as file:
                start = file.read(len(_MAGIC) + _LENGTHS.size)
                if len(start) < len(_MAGIC) + _LENGTHS.size or not start.startswith(_MAGIC):
                    raise CacheInvalid(f"{str(path)!r} is no cache of masked keys")
                lengths = _LENGTHS.unpack(start[len(_MAGIC) :])
                if max(lengths) > _MOST_HEADER:
                    raise CacheInvalid(f"{str(path)!r} is damaged: its header is too long")
                packed, signed = (file.read(length) for length in lengths)
                offset = file.tell()
        except OSError as error:
            raise FileMissing(f"cannot read {str(path)!r}: {error.strerror or error}") from None
        try:
            self.header = _HEADERS.decode(packed)
            signature, certificate = _SIGNATURES.decode(signed)
        except msgspec.MsgspecError:
            raise CacheInvalid(f"{str(path)!r} is damaged: its header cannot be read") from None
        verify(
            packed,
            signature,
            purpose=_PURPOSE,
            party=party or self.header.party,
            certificate=certificate,
            authority=authority,
        )
        size = path.stat().st_size - offset
        if size != TAG_BYTES * self.header.n:
            raise CacheInvalid(
                f"{str(path)!r} is damaged: expected {TAG_BYTES * self.header.n} bytes of tags, found {size}"
            )
        shape = (self.header.n,)
        kind = f"S{TAG_BYTES}"
        self._tags = np.memmap(path, kind, "r", offset, shape) if self.header.n else np.zeros(0, kind)
        if _hash_of(self._tags) != self.header.body:
            raise CacheInvalid(f"{str(path)!r} is damaged: its tags are not those that were signed")

    def holds(self, tags: Bytes) -> NDArray[np.bool_]:
        """Whether each tag is among those of the cache.

        Shapes: (n, 12) to (n,).
        """
        if not len(self._tags):
            return np.zeros(len(tags), np.bool_)
        wanted = np.ascontiguousarray(tags).reshape(-1).view(f"S{TAG_BYTES}")
        places = np.minimum(np.searchsorted(self._tags, wanted), len(self._tags) - 1)
        return np.asarray(self._tags[places] == wanted)


def _hash_of(tags: NDArray[np.bytes_]) -> str:
    """In pieces, since the tags lie in a file."""
    state = hashlib.sha256()
    for start in range(0, len(tags), _CHUNK):
        state.update(tags[start : start + _CHUNK].view(f"V{TAG_BYTES}").tobytes())
    return state.hexdigest()


_SIGNATURES = msgspec.msgpack.Decoder(tuple[bytes, bytes])


def scalar_of(path: Path, header: Header) -> Scalar:
    """The secret of a cache, at its owner. Raises: SavedMissing, SavedInvalid; CacheInvalid if it is another's."""
    secret = key_at(_key_path(path))
    if _key_id(secret) != header.key_id:
        raise CacheInvalid(f"the key beside {str(path)!r} is not the one that the cache was made with")
    return Scalar(secret)


def masked(digests: Bytes) -> Bytes:
    """The points of keys, not yet multiplied.

    Shapes: (n, 16) to (n, 32).
    """
    return hash_to_curve(ByteStrings.rows(digests), domain=_TO_CURVE)


def tags_of(digests: Bytes, products: Bytes) -> Bytes:
    """Hashes of keys and their products with the secret scalar.

    Shapes: (n, 16) and (n, 32) to (n, 12).
    """
    rows = ByteStrings.rows(np.concatenate([digests, products], axis=1))
    return sha512_each(rows.data, rows.offsets, width=TAG_BYTES, prefix=encode_parts(_TO_TAG))


def _key_path(path: Path) -> Path:
    return path.with_name(path.name + ".key")


def _key_id(secret: bytes) -> str:
    return digest("jali.psi.cache.key.v1", secret).hex()[:16]
