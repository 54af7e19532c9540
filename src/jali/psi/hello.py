# SPDX-License-Identifier: Apache-2.0
"""The first message of every intersection: what is compared, how many distinct keys there are, and which way to go."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from jali.core.errors import PsiFrameInvalid, PsiKeysDiffer
from jali.psi.keys import KINDS
from jali.psi.normalise import NORMALISATIONS

if TYPE_CHECKING:
    from jali.psi.keys import Keys

__all__ = ["HELLO_BYTES", "MAX_KEYS", "Hello", "Speed", "read_hello", "write_hello"]

_FORMAT = struct.Struct("<4sBBHQ16s2fB7x")
_MAGIC, _VERSION = b"jpsi", 3
_KIND_BITS = 2  # of each column; 0 where there is none
HELLO_BYTES = _FORMAT.size
MAX_KEYS = 2**28


class Speed(NamedTuple):
    """Seconds of a party for a multiplication on the curve, and for a key's part of symmetric cryptography."""

    point_s: float
    key_s: float


class Hello(NamedTuple):
    """What a party says of itself: the number of its distinct keys, the protocol or "auto", and its speed."""

    n: int
    protocol: str
    speed: Speed
    resumable: bool


def write_hello(keys: Keys, protocol: str, speed: Speed, *, resumable: bool) -> bytes:
    """Magic, version, normalisation, kinds of the key's columns, number of distinct keys and the rest: 48 bytes."""
    kinds = sum((KINDS.index(kind) + 1) << _KIND_BITS * i for i, kind in enumerate(keys.kinds))
    normalise = list(NORMALISATIONS).index(keys.normalise)
    return _FORMAT.pack(_MAGIC, _VERSION, normalise, kinds, len(keys), protocol.encode(), *speed, resumable)


def read_hello(message: memoryview, keys: Keys, *, peer: str) -> Hello:
    """What the peer says.

    Raises: PsiFrameInvalid for another format or more than 2^28 keys; PsiKeysDiffer if its keys are of another kind
    or normalised in another way. (With no keys at all, kinds are those of empty columns and say nothing.)
    """
    if message.nbytes != HELLO_BYTES:
        raise PsiFrameInvalid(f"expected a greeting of {HELLO_BYTES} bytes, found {message.nbytes}", party=peer)
    magic, version, normalise, kinds, count, protocol, point_s, key_s, resumable = _FORMAT.unpack(message)
    named, protocol = _names(kinds), protocol.rstrip(b"\0")
    readable = protocol.isascii() and 0 <= point_s < 1 and 0 <= key_s < 1
    if (magic, version) != (_MAGIC, _VERSION) or not named or normalise >= len(NORMALISATIONS) or not readable:
        raise PsiFrameInvalid(
            f"expected a greeting of version {_VERSION}, found another format: both parties need the same jali",
            party=peer,
        )
    if count > MAX_KEYS:
        raise PsiFrameInvalid(f"expected at most {MAX_KEYS} keys, but {peer!r} announces {count}", party=peer)
    columns = " and ".join(keys.kinds)
    theirs = (named if count else columns, list(NORMALISATIONS)[normalise])
    ours = (columns if len(keys) else theirs[0], keys.normalise)
    if theirs != ours:
        raise PsiKeysDiffer(
            f"{peer!r} joins on keys that are {theirs[0]} ({theirs[1]}), this party on {ours[0]} ({ours[1]}): "
            "they would never match; convert the column at one side, and give both the same `normalise`",
            party=peer,
        )
    return Hello(n=count, protocol=protocol.decode(), speed=Speed(point_s, key_s), resumable=bool(resumable))


def _names(kinds: int) -> str:
    """What the columns are, or nothing if that is no valid code."""
    names = []
    while kinds:
        code, kinds = kinds % (1 << _KIND_BITS), kinds >> _KIND_BITS
        if not code:
            return ""
        names.append(KINDS[code - 1])
    return " and ".join(names)
