# SPDX-License-Identifier: Apache-2.0
"""Domain-separated hashing: no two tuples of parts are hashed alike."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from jali.crypto.hashing import digest, encode_parts, hkdf

PARTS = st.lists(st.one_of(st.text(max_size=4), st.binary(max_size=4), st.integers()), max_size=4)


@given(PARTS, PARTS)
def test_encoding_is_injective(a: list[str | bytes | int], b: list[str | bytes | int]) -> None:
    assert (encode_parts(*a) == encode_parts(*b)) == (a == b)


@given(PARTS)
def test_no_encoding_is_a_prefix_cut_differently(parts: list[str | bytes | int]) -> None:
    joined = b"".join(encode_parts(part) for part in parts)
    assert encode_parts(*parts) == joined
    assert encode_parts(joined) != joined


def test_digest_is_blake2b_of_the_encoding() -> None:
    encoded = b"s\3\0\0\0\0\0\0\0dom" + b"b\2\0\0\0\0\0\0\0xy" + b"i\2\0\0\0\0\0\0\0\x80\x00"
    assert digest("dom", b"xy", 128) == hashlib.blake2b(encoded, digest_size=32).digest()


def test_domains_are_apart() -> None:
    assert digest("a", "bc") != digest("ab", "c") != digest("abc")


def test_hkdf_is_extract_then_expand() -> None:
    """RFC 5869, sections 2.2 and 2.3, written out."""
    key = hmac.digest(b"salt", b"secret", "sha256")
    info = encode_parts("domain", 1)
    first = hmac.digest(key, info + b"\x01", "sha256")
    second = hmac.digest(key, first + info + b"\x02", "sha256")
    assert hkdf(b"secret", "domain", 1, salt=b"salt", size_bytes=48) == (first + second)[:48]
    assert hkdf(b"secret", "domain", 1) == hkdf(b"secret", "domain", 1, salt=bytes(32))
