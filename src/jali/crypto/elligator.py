# SPDX-License-Identifier: Apache-2.0
"""Hashing to Curve25519 by Elligator 2, as RFC 9380 has it: nobody knows a discrete logarithm of the result.

The suite is curve25519_XMD:SHA-512_ELL2_NU_, of which the x-coordinate is all that Diffie-Hellman needs. Taking a
hash value itself as x-coordinate would be no substitute: half of all values belong to the twist, and scalar
multiplication keeps a point on its curve, so the masked value would tell which half the identifier fell in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jali import kernels
from jali.crypto.bytestrings import ByteStrings

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

__all__ = ["expand_messages", "hash_to_curve"]

_BLOCK_BYTES = 128
_FIELD_BYTES = 48  # 255 bits and 128 more, so that the reduction mod p is uniform
_MOST_BYTES = 64  # what one hash gives


def hash_to_curve(messages: ByteStrings, *, domain: bytes) -> NDArray[uint8]:
    """The x-coordinates of the points that messages hash to, before the cofactor is cleared.

    Shapes: (n, 32), little-endian as in RFC 7748. Multiplication by a clamped scalar, a multiple of 8, clears the
    cofactor, and so yields a point of the prime-order group.
    Security: a random oracle to the points in the image of Elligator 2, about half of the curve. Proofs that program
    the oracle with r G go through: the map is invertible on its image, so r and a shift of low order are redrawn
    until the point has a preimage.
    Cost: local, about a microsecond a message with IFMA.
    References: RFC 9380 sections 5.2, 5.3.1, 6.7.1 and 8.5; Bernstein, Hamburg, Krasnova, Lange 2013 (ePrint 2013/325).
    """
    return kernels.curve_map(expand_messages(messages, domain=domain, size_bytes=_FIELD_BYTES))


def expand_messages(messages: ByteStrings, *, domain: bytes, size_bytes: int) -> NDArray[uint8]:
    """Uniform bytes from each message by SHA-512 (RFC 9380, section 5.3.1, expand_message_xmd).

    Shapes: (n, size_bytes).
    Raises: ValueError unless the domain has 16 to 255 bytes and the result at most 64, as many as one hash gives.
    """
    if not 16 <= len(domain) <= 255 or not 1 <= size_bytes <= _MOST_BYTES:
        text = f"expected a domain of 16 to 255 bytes and a size to 64, found {len(domain)} and {size_bytes}"
        raise ValueError(text)
    suffix = domain + bytes([len(domain)])
    b0 = kernels.sha512_each(
        messages.data,
        messages.offsets,
        width=_MOST_BYTES,
        prefix=bytes(_BLOCK_BYTES),
        suffix=size_bytes.to_bytes(2, "big") + b"\0" + suffix,
    )
    blocks = ByteStrings.rows(b0)
    return kernels.sha512_each(blocks.data, blocks.offsets, width=size_bytes, suffix=b"\x01" + suffix)
