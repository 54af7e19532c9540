# SPDX-License-Identifier: Apache-2.0
"""Hashing to Curve25519 by Elligator 2, as RFC 9380 has it: nobody knows a discrete logarithm of the result.

The suite is curve25519_XMD:SHA-512_ELL2_NU_, of which the x-coordinate is all that Diffie-Hellman needs. Taking a
hash value itself as x-coordinate would be no substitute: half of all values belong to the twist, and scalar
multiplication keeps a point on its curve, so the masked value would tell which half the identifier fell in.
"""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["expand_message", "hash_to_curve", "hash_to_field", "map_to_curve", "on_curve", "on_twist"]

P = 2**255 - 19
J = 486662  # Curve25519: y^2 = x^3 + J x^2 + x
_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the subgroup; the curve has 8 times as many points
_TWIST_ORDER = 2 * P + 2 - 8 * _ORDER
_NEAR_TWIST_ORDER = X25519PrivateKey.from_private_bytes((_TWIST_ORDER - 4).to_bytes(32, "little"))
_HASH, _HASH_BYTES, _BLOCK_BYTES = hashlib.sha512, 64, 128
_FIELD_BYTES = 48  # 255 bits and 128 more, so that the reduction mod p is uniform


def hash_to_curve(messages: Iterable[bytes], *, domain: bytes) -> NDArray[np.uint8]:
    """The x-coordinates of the points that `messages` hash to, before the cofactor is cleared.

    Shapes: (n, 32), little-endian as in RFC 7748. Multiplication by a clamped scalar, a multiple of 8, clears the
    cofactor, and so yields a point of the prime-order group.
    Security: a random oracle to the points in the image of Elligator 2, about half of the curve. Proofs that program
    the oracle with r G go through: the map is invertible on its image, so r and a shift of low order are redrawn
    until the point has a preimage.
    Time depends on the message slightly (Python's integers): the messages are the caller's own, not the peer's.
    References: RFC 9380 sections 5.2, 5.3.1, 6.7.1 and 8.5; Bernstein, Hamburg, Krasnova, Lange 2013 (ePrint 2013/325).
    """
    xs = map_to_curve([hash_to_field(message, domain) for message in messages])
    raw = b"".join(x.to_bytes(32, "little") for x in xs)
    return np.frombuffer(raw, np.uint8).reshape(-1, 32)


def map_to_curve(us: Sequence[int]) -> list[int]:
    """Elligator 2 for field elements: x1 = -J / (1 + 2 u^2) if that lies on the curve, else x2 = -x1 - J.

    The denominator is never 0, since -1/2 is no square mod p. One inversion serves all elements.
    References: RFC 9380 section 6.7.1 with Z = 2.
    """
    xs = []
    for inverse in _invert([(1 + 2 * u * u) % P for u in us]):
        x1 = -J * inverse % P
        xs.append((-x1 - J) % P if on_twist(x1) else x1)
    return xs


def on_curve(x: int) -> bool:
    """Whether x^3 + J x^2 + x is a square: whether x belongs to the curve and not to its twist (Euler's criterion)."""
    return pow(((x + J) * x + 1) * x, (P - 1) // 2, P) != P - 1


def on_twist(x: int) -> bool:
    """The opposite of `on_curve`, three times as fast: by whether x obeys the order of the twist.

    With N the number of the twist's points, N Q = 0 for each of them, hence (N - 4) Q = -4 Q, and x(-4 Q) = x(4 Q).
    N - 4 is a clamped scalar (a multiple of 8 between 2^254 and 2^255), so X25519 gives the left side; two doublings
    in projective coordinates give the right. On the curve both sides differ. Points of low order make the left side
    0, which X25519 refuses; then Euler's criterion decides.
    References: RFC 7748 section 4.1 for the curve's order (the orders of curve and twist add up to 2 p + 2);
    Montgomery 1987, section 10.3.1.
    """
    X, Z = x, 1
    for _ in range(2):  # x(2 Q) = (X^2 - Z^2)^2 / (4 X Z (X^2 + J X Z + Z^2))
        XX, ZZ, XZ = X * X % P, Z * Z % P, X * Z % P
        X, Z = (XX - ZZ) ** 2 % P, 4 * XZ * (XX + J * XZ + ZZ) % P
    try:
        product = _NEAR_TWIST_ORDER.exchange(X25519PublicKey.from_public_bytes(x.to_bytes(32, "little")))
    except ValueError:
        return not on_curve(x)
    return (int.from_bytes(product, "little") * Z - X) % P == 0


def hash_to_field(message: bytes, domain: bytes) -> int:
    """One field element from a message (RFC 9380, section 5.2, with count 1)."""
    return int.from_bytes(expand_message(message, domain, size_bytes=_FIELD_BYTES), "big") % P


def expand_message(message: bytes, domain: bytes, *, size_bytes: int) -> bytes:
    """Uniform bytes from a message by SHA-512 (RFC 9380, section 5.3.1, expand_message_xmd).

    Raises: ValueError unless the domain has 16 to 255 bytes and the result at most 255 blocks of 64.
    """
    blocks = -(-size_bytes // _HASH_BYTES)
    if not 16 <= len(domain) <= 255 or not 1 <= blocks <= 255:
        text = f"expected a domain of 16 to 255 bytes and a size to 16320, found {len(domain)} and {size_bytes}"
        raise ValueError(text)
    suffix = domain + bytes([len(domain)])
    b0 = _HASH(bytes(_BLOCK_BYTES) + message + size_bytes.to_bytes(2, "big") + b"\0" + suffix).digest()
    block = _HASH(b0 + b"\x01" + suffix).digest()
    uniform = block
    for i in range(2, blocks + 1):
        mixed = bytes(a ^ b for a, b in zip(b0, block, strict=True))
        block = _HASH(mixed + bytes([i]) + suffix).digest()
        uniform += block
    return uniform[:size_bytes]


def _invert(values: list[int]) -> list[int]:
    """Inverses mod p of non-zero values with one exponentiation (Montgomery 1987, section 10.3.1)."""
    products = list(accumulate(values, lambda a, b: a * b % P, initial=1))
    rest = pow(products[-1], -1, P)
    inverses = []
    for value, before in zip(reversed(values), reversed(products[:-1]), strict=True):
        inverses.append(rest * before % P)
        rest = rest * value % P
    return inverses[::-1]
