# SPDX-License-Identifier: Apache-2.0
"""Hashing with a domain: what is hashed for one purpose never collides with what is hashed for another.

Two functions, and why these: `digest` is BLAKE2b-256, since it is in the standard library, has no length extension
and is the fastest secure hash in plain software; `hkdf` is HKDF-SHA-256, since key derivation is reviewed and
standardised over SHA-2. (Hashing to the curve uses SHA-512, which its RFC prescribes.)
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["DIGEST_BYTES", "digest", "encode_parts", "hkdf"]

DIGEST_BYTES = 32


def encode_parts(*parts: str | bytes | int) -> bytes:
    """One byte string for a tuple of parts, different for different tuples.

    Each part is a type letter, its length in 8 little-endian bytes, and its content: bytes as they are, text as
    UTF-8, integers of any size in little-endian two's complement.

    Example:
        >>> encode_parts("ab", b"c") != encode_parts("a", b"bc")
        True
    """
    pieces = []
    for part in parts:
        kind, content = _content(part)
        pieces += [kind, len(content).to_bytes(8, "little"), content]
    return b"".join(pieces)


def digest(domain: str, *parts: str | bytes | int) -> bytes:
    """32 bytes that stand for `parts` in `domain`.

    Security: collision resistance of BLAKE2b (128 bits); domain and parts are encoded without ambiguity.
    References: RFC 7693.

    Example:
        >>> digest("jali.example.v1", "one").hex()[:8] == digest("jali.other.v1", "one").hex()[:8]
        False
    """
    return hashlib.blake2b(encode_parts(domain, *parts), digest_size=DIGEST_BYTES).digest()


def hkdf(secret: bytes, *info: str | bytes | int, salt: bytes = b"", size_bytes: int = DIGEST_BYTES) -> bytes:
    """Key material of `size_bytes` from a secret that has enough entropy but need not be uniform.

    Security: `info` (first a domain label) separates purposes; `salt` is public.
    References: RFC 5869.
    """
    return HKDF(algorithm=SHA256(), length=size_bytes, salt=salt or None, info=encode_parts(*info)).derive(secret)


def _content(part: str | bytes | int) -> tuple[bytes, bytes]:
    if isinstance(part, str):
        return b"s", part.encode()
    if isinstance(part, int):
        return b"i", part.to_bytes(part.bit_length() // 8 + 1, "little", signed=True)
    return b"b", bytes(part)
