# SPDX-License-Identifier: Apache-2.0
"""The first message of every intersection: what is compared, how many distinct keys there are, and which way to go."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from jali.core.errors import ProtocolUseError, PsiFrameInvalid, PsiKeysDiffer
from jali.psi.keys import KINDS
from jali.psi.normalise import MARK_BYTES, mark_of, preset_of, spelled

if TYPE_CHECKING:
    from jali.psi.keys import Keys

__all__ = ["HELLO_BYTES", "MAX_KEYS", "Hello", "Speed", "read_hello", "write_hello"]

_NAME_BYTES = 16
_FORMAT = struct.Struct(f"<4sBBHQ{_NAME_BYTES}s2f{MARK_BYTES}s")
_MAGIC, _VERSION = b"jpsi", 4
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


def write_hello(keys: Keys, protocol: str, speed: Speed, *, resumable: bool, n: int | None = None) -> bytes:
    """Magic, version, kinds of the key's columns, their normalisation, number of distinct keys and the rest: 48 bytes.

    `n` is said instead of the number of keys by a party that fills them up with random ones.
    Raises: ProtocolUseError for a name that is too long.
    """
    if len(protocol.encode()) > _NAME_BYTES:
        raise ProtocolUseError(f"expected a name of up to {_NAME_BYTES} bytes for a protocol, found {protocol!r}")
    kinds = sum((KINDS.index(kind) + 1) << _KIND_BITS * i for i, kind in enumerate(keys.kinds))
    count, mark = len(keys) if n is None else n, mark_of(keys.normalise)
    return _FORMAT.pack(_MAGIC, _VERSION, resumable, kinds, count, protocol.encode(), *speed, mark)


def read_hello(message: memoryview, keys: Keys, *, peer: str) -> Hello:
    """What the peer says.

    Raises: PsiFrameInvalid for another format or more than 2^28 keys; PsiKeysDiffer if its keys are of another kind
    or normalised in another way. (With no keys at all, kinds are those of empty columns and say nothing.)
    """
    if message.nbytes != HELLO_BYTES:
        raise PsiFrameInvalid(f"expected a greeting of {HELLO_BYTES} bytes, found {message.nbytes}", party=peer)
    magic, version, resumable, kinds, count, protocol, point_s, key_s, mark = _FORMAT.unpack(message)
    named, protocol = _names(kinds), protocol.rstrip(b"\0")
    readable = protocol.isascii() and 0 <= point_s < 1 and 0 <= key_s < 1 and resumable <= 1
    if (magic, version) != (_MAGIC, _VERSION) or not named or not readable:
        raise PsiFrameInvalid(
            f"expected a greeting of version {_VERSION}, found another format: both parties need the same jali",
            party=peer,
        )
    if count > MAX_KEYS:
        raise PsiFrameInvalid(f"expected at most {MAX_KEYS} keys, but {peer!r} announces {count}", party=peer)
    ours = " and ".join(keys.kinds)
    if count and len(keys) and named != ours:
        raise PsiKeysDiffer(
            f"{peer!r} joins on keys that are {named}, this party on {ours}: they would never match; convert the "
            "column at one side",
            party=peer,
        )
    if mark != mark_of(keys.normalise):
        theirs = preset_of(mark)
        raise PsiKeysDiffer(
            f"{peer!r} normalises keys in another way{f' ({theirs!r})' if theirs else ''} than this party "
            f"({spelled(keys.normalise)}): equal ones might not match; give both the same steps in the same order",
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
