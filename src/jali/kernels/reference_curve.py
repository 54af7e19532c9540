# SPDX-License-Identifier: Apache-2.0
"""Twins of the kernels on Curve25519, y^2 = x^3 + J x^2 + x mod p, and of hashing messages and finding the hashes.

Points are x-coordinates, rows of 32 little-endian bytes as in RFC 7748.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from numpy.typing import NDArray

from jali.core.errors import KernelArgumentError

__all__ = [
    "J",
    "P",
    "curve_map",
    "curve_multiply",
    "curve_multiply_each",
    "curve_unmap",
    "match_rows",
    "on_curve",
    "sha512_each",
]

Bytes = NDArray[np.uint8]

P = 2**255 - 19
J = 486662
_POINT, _UNIFORM, _DIGEST, _ROW = 32, 48, 64, 16


def curve_multiply(points: Bytes, scalar: bytes) -> Bytes:
    """The products of all points with one clamped scalar; zeros for a point of low order.

    Shapes: (n, 32) to (n, 32). Bit 255 of a row does not count.
    Security: constant time in the scalar. Points may be of the twist; the scalar is clamped here.
    References: RFC 7748 section 5.
    """
    if points.dtype != np.uint8 or points.ndim != 2 or points.shape[1] != _POINT or len(scalar) != _POINT:
        raise KernelArgumentError(
            f"curve_multiply: expected rows of 32 bytes and a scalar of 32 bytes, found {points.dtype} of shape "
            f"{list(points.shape)} and {len(scalar)} bytes"
        )
    key, raw = X25519PrivateKey.from_private_bytes(scalar), points.tobytes()
    products = [_product(key, raw[at : at + _POINT]) for at in range(0, len(raw), _POINT)]
    return np.frombuffer(bytearray().join(products), np.uint8).reshape(-1, _POINT)


def _product(key: X25519PrivateKey, point: bytes) -> bytes:
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(point))
    except ValueError:  # zero, which OpenSSL refuses
        return bytes(_POINT)


def curve_multiply_each(points: Bytes, scalars: Bytes) -> Bytes:
    """The products of points with scalars of their own, of 255 bits, as they are: not clamped.

    Shapes: (n, 32) and (n, 32) to (n, 32); zeros where a product is the neutral element.
    Security: the kernel is constant time in scalars and points; this twin is not.
    """
    for rows in (points, scalars):
        if rows.dtype != np.uint8 or rows.shape != (len(points), _POINT):
            raise KernelArgumentError("curve_multiply_each: expected as many scalars as points, rows of 32 bytes")
    products = [
        _ladder(int.from_bytes(x.tobytes(), "little") % 2**255, int.from_bytes(k.tobytes(), "little") % 2**255)
        for x, k in zip(points, scalars, strict=True)
    ]
    return np.frombuffer(bytearray().join(x.to_bytes(_POINT, "little") for x in products), np.uint8).reshape(-1, _POINT)


def _ladder(x: int, scalar: int) -> int:
    """The x-coordinate of the product (RFC 7748, section 5, without its clamping)."""
    now, next_ = (1, 0), (x, 1)
    for bit in range(254, -1, -1):
        chosen = scalar >> bit & 1
        if chosen:
            now, next_ = next_, now
        (x2, z2), (x3, z3) = now, next_
        plus, minus = (x2 + z2) ** 2 % P, (x2 - z2) ** 2 % P
        da, cb = (x3 - z3) * (x2 + z2), (x3 + z3) * (x2 - z2)
        e = plus - minus
        now = plus * minus % P, e * (plus + (J - 2) // 4 * e) % P
        next_ = (da + cb) ** 2 % P, x * (da - cb) ** 2 % P
        if chosen:
            now, next_ = next_, now
    return now[0] * pow(now[1], P - 2, P) % P


def curve_unmap(points: Bytes, choices: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
    """One of the four u that `curve_map` takes to each point, if there are any, as bits 0 and 1 of the choice say.

    They are the even and the odd root (bit 1) of -(J + x) / 2x (bit 0 is 0) and of -x / 2(J + x).
    Shapes: (n, 32) and (n,) to (n, 32), little-endian, and (n,), where there is one: for half of the curve.
    References: Bernstein, Hamburg, Krasnova, Lange 2013 (ePrint 2013/325), section 5.3.
    """
    if points.dtype != np.uint8 or choices.dtype != np.uint8 or points.shape != (len(choices), _POINT):
        raise KernelArgumentError("curve_unmap: expected rows of 32 bytes, and a choice for each")
    us, found = [], []
    for row, choice in zip(points, choices.tolist(), strict=True):
        x = int.from_bytes(row.tobytes(), "little") % 2**255
        top, half = (-x, x + J) if choice & 1 else (-x - J, x)
        root, exact = _root(top % P, 2 * half % P)
        us.append(P - root if root and (root ^ choice >> 1) & 1 else root)
        found.append(exact)
    raw = bytearray().join(u.to_bytes(_POINT, "little") for u in us)
    return np.frombuffer(raw, np.uint8).reshape(-1, _POINT), np.array(found, np.bool_)


def _root(n: int, d: int) -> tuple[int, bool]:
    """A root of n / d and whether it is one (RFC 8032, section 5.1.3)."""
    c = n * d**3 % P * pow(n * d**7, (P - 5) // 8, P) % P
    if d * c * c % P == -n % P:
        c = c * pow(2, (P - 1) // 4, P) % P
    return c, d * c * c % P == n


def curve_map(uniform: Bytes) -> Bytes:
    """Elligator 2 for field elements u: x1 = -J / (1 + 2 u^2) if that lies on the curve, else -x1 - J.

    The denominator is never 0, since -1/2 is no square mod p.
    Shapes: (n, 48), big-endian numbers that are reduced mod p, to (n, 32).
    References: RFC 9380 section 6.7.1 with Z = 2; Bernstein, Hamburg, Krasnova, Lange 2013 (ePrint 2013/325).
    """
    if uniform.dtype != np.uint8 or uniform.ndim != 2 or uniform.shape[1] != _UNIFORM:
        raise KernelArgumentError(
            f"curve_map: expected rows of 48 bytes, found {uniform.dtype} of shape {list(uniform.shape)}"
        )
    raw = uniform.tobytes()
    xs = [_mapped(int.from_bytes(raw[at : at + _UNIFORM], "big")) for at in range(0, len(raw), _UNIFORM)]
    return np.frombuffer(bytearray().join(x.to_bytes(_POINT, "little") for x in xs), np.uint8).reshape(-1, _POINT)


def _mapped(u: int) -> int:
    x = -J * pow(1 + 2 * u * u, -1, P) % P
    return x if on_curve(x) else (-x - J) % P


def on_curve(x: int) -> bool:
    """Whether x^3 + J x^2 + x is a square: whether x belongs to the curve and not to its twist (Euler's criterion)."""
    return pow(((x + J) * x + 1) * x, (P - 1) // 2, P) != P - 1


def sha512_each(
    data: Bytes, offsets: NDArray[np.uint64], *, width: int, prefix: bytes = b"", suffix: bytes = b""
) -> Bytes:
    """The first `width` bytes of SHA-512 of prefix, message i = data[offsets[i] : offsets[i + 1]] and suffix.

    Shapes: (bytes,) and (n + 1,) to (n, width). Time depends on the lengths of messages.
    References: FIPS 180-4.
    """
    if data.dtype != np.uint8 or data.ndim != 1 or offsets.dtype != np.uint64 or offsets.ndim != 1:
        raise KernelArgumentError("sha512_each: expected bytes and offsets, each of one axis")
    ends = offsets.tolist()
    if not 1 <= width <= _DIGEST or not ends or ends[-1] > len(data) or ends != sorted(ends):
        raise KernelArgumentError("sha512_each: expected 1 to 64 bytes of width, and ascending offsets within the data")
    start, raw = hashlib.sha512(prefix), data.tobytes()
    result = bytearray()
    for begin, end in pairwise(ends):
        state = start.copy()
        state.update(raw[begin:end] + suffix)
        result += state.digest()[:width]
    return np.frombuffer(result, np.uint8).reshape(-1, width)


def match_rows(needles: Bytes, haystack: Bytes, *, seed: int) -> tuple[NDArray[np.int64], int]:
    """For each needle the first equal row of the haystack, or -1; and how many of its rows equal an earlier one.

    Shapes: (n, 16) and (m, 16), m below 2^31, to (n,).
    Security: a random `seed` keeps who chose the rows from choosing how long it takes. Time depends on the rows.
    """
    for rows in (needles, haystack):
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _ROW:
            raise KernelArgumentError(
                f"match_rows: expected rows of 16 bytes, found {rows.dtype} of shape {list(rows.shape)}"
            )
    if not 0 <= seed < 2**64 or len(haystack) >= 2**31:
        raise KernelArgumentError("match_rows: expected a seed of 64 bits and fewer than 2^31 rows")
    first: dict[bytes, int] = {}
    for place, row in enumerate(haystack):
        first.setdefault(row.tobytes(), place)
    found = [first.get(row.tobytes(), -1) for row in needles]
    return np.array(found, np.int64), len(haystack) - len(first)
