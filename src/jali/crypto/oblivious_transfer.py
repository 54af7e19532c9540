# SPDX-License-Identifier: Apache-2.0
"""Oblivious transfer of random keys: the sender gets pairs, the receiver one key of each and not the other.

The receiver draws a key pair of Diffie-Hellman for each choice and writes the public key as a uniform field element u,
which Elligator 2 takes to the point. u is what a *programmable-once public function* has at the choice: a two-round
Feistel network on (s, T) with random oracles, which anybody can evaluate at 0 and at 1, and whose owner could set one
of the two only. The sender evaluates it at both, and agrees on a key with both points.

References: McQuoid, Rosulek, Roy 2020 (ePrint 2020/1043), section 5, for the function; 2021 (ePrint 2021/682) for
batches, which number each transfer in the hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import KeySpent
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import POINT_BYTES, Scalar
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes
from jali.crypto.secret import Secret

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

__all__ = ["KEY_BYTES", "MESSAGE_BYTES", "OtReceiver", "OtSender"]

KEY_BYTES: Final = 16
MESSAGE_BYTES: Final = 64
"""What the receiver sends for each transfer; the sender sends one point of 32 bytes for all."""

_P = 2**255 - 19
_FIELD_BYTES = 48
_GENERATOR = (6).to_bytes(POINT_BYTES, "little")  # of the whole group, of order 8 times a prime
_TO_FIELD, _TO_BITS, _TO_KEY = "jali.ot.field.v1", "jali.ot.bits.v1", "jali.ot.key.v1"


class OtReceiver(Secret):
    """One side of n transfers: it has chosen one of each two keys.

    Security: the sender sees uniform strings, whatever the choices are. A receiver learns one key of each pair, also a
    malicious one, under computational Diffie-Hellman on Curve25519 with random oracles.
    """

    __slots__ = ("_choices", "_scalars", "message")

    def __init__(self, choices: NDArray[np.bool_]) -> None:
        """Draw a key pair for each choice.

        Shapes: choices (n,); `message` (n, 64).
        Cost: local, 2 multiplications and 2 roots each, since half of all points are no field element's.
        """
        self._choices = choices.astype(np.uint8)
        us, scalars = _points_with_field_elements(len(choices))
        self._scalars: Bytes | None = scalars
        s = _uniform(len(choices), POINT_BYTES)
        t = [(u - h) % _P for u, h in zip(us, _field(self._choices, s), strict=True)]
        written = _written(t, POINT_BYTES, "little")
        self.message = np.concatenate([s ^ _bits(self._choices, written), written], axis=1)

    def keys(self, public: bytes) -> Bytes:
        """The chosen keys, from the sender's point. Called once.

        Shapes: (n, 16).
        Raises: KeySpent at the second call.
        """
        if self._scalars is None:
            raise KeySpent("these transfers are done; draw new ones")
        points = np.broadcast_to(np.frombuffer(public, np.uint8), (len(self._scalars), POINT_BYTES))
        shared = kernels.curve_multiply_each(np.ascontiguousarray(points), self._scalars)
        self._scalars = None
        return _keys(public, self._choices, shared)


class OtSender(Secret):
    """The other side, with one Diffie-Hellman key for all transfers.

    Security: see `OtReceiver`; a malicious sender learns nothing of the choices.
    """

    __slots__ = ("_scalar", "public")

    def __init__(self) -> None:
        """Draw the key; `public` is what the receiver needs: 32 bytes."""
        self._scalar = Scalar()
        generator = np.frombuffer(_GENERATOR, np.uint8).reshape(1, POINT_BYTES)
        self.public = self._scalar.multiply(generator).tobytes()

    def keys(self, message: Bytes) -> Bytes:
        """Both keys of each transfer.

        Shapes: (n, 64) to (n, 2, 16).
        Cost: local, 2 multiplications and 2 maps to the curve each.
        Raises: LowOrderPointError for a message that nobody makes by chance.
        """
        s, t = np.ascontiguousarray(message[:, :POINT_BYTES]), np.ascontiguousarray(message[:, POINT_BYTES:])
        numbers = [int.from_bytes(row.tobytes(), "little") for row in t]
        pairs = []
        for choice in (0, 1):
            choices = np.full(len(message), choice, np.uint8)
            field = _field(choices, s ^ _bits(choices, t))
            us = [(number + h) % _P for number, h in zip(numbers, field, strict=True)]
            points = kernels.curve_map(_written(us, _FIELD_BYTES, "big"))
            pairs.append(_keys(self.public, choices, self._scalar.multiply(points)))
        return np.stack(pairs, axis=1)


def _points_with_field_elements(n: int) -> tuple[list[int], Bytes]:
    """n uniform field elements and the logarithms of the points that they map to.

    Of the points that are the image of any u, each is that of four, of which one is drawn.
    """
    us, scalars = np.zeros((0, POINT_BYTES), np.uint8), np.zeros((0, POINT_BYTES), np.uint8)
    while len(us) < n:
        wanted = 2 * (n - len(us)) + 16
        drawn, choices = _uniform(wanted, POINT_BYTES), _uniform(wanted, 1)[:, 0] % 4
        generators = np.frombuffer(_GENERATOR * wanted, np.uint8).reshape(wanted, POINT_BYTES)
        found, mapped = kernels.curve_unmap(kernels.curve_multiply_each(generators, drawn), choices.astype(np.uint8))
        us, scalars = np.concatenate([us, found[mapped]]), np.concatenate([scalars, drawn[mapped]])
    return [int.from_bytes(row.tobytes(), "little") for row in us[:n]], scalars[:n]


def _uniform(n: int, width: int) -> Bytes:
    return np.frombuffer(random_bytes(n * width), np.uint8).reshape(n, width)


def _written(numbers: list[int], width: int, order: str) -> Bytes:
    raw = b"".join(number.to_bytes(width, "little" if order == "little" else "big") for number in numbers)
    return np.frombuffer(raw, np.uint8).reshape(-1, width)


def _hashed(domain: str, choices: Bytes, rows: Bytes, width: int) -> Bytes:
    """Hashes of the number of each transfer, its choice and a row."""
    numbers = np.arange(len(rows), dtype="<u8").view(np.uint8).reshape(-1, 8)
    strings = ByteStrings.rows(np.concatenate([numbers, choices[:, None], rows], axis=1))
    return kernels.sha512_each(strings.data, strings.offsets, width=width, prefix=encode_parts(domain))


def _field(choices: Bytes, s: Bytes) -> list[int]:
    hashed = _hashed(_TO_FIELD, choices, s, _FIELD_BYTES)
    return [int.from_bytes(row.tobytes(), "big") % _P for row in hashed]


def _bits(choices: Bytes, t: Bytes) -> Bytes:
    return _hashed(_TO_BITS, choices, t, POINT_BYTES)


def _keys(public: bytes, choices: Bytes, shared: Bytes) -> Bytes:
    sender = np.broadcast_to(np.frombuffer(public, np.uint8), shared.shape)
    return _hashed(_TO_KEY, choices, np.concatenate([sender, shared], axis=1), KEY_BYTES)
