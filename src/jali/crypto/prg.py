# SPDX-License-Identifier: Apache-2.0
"""The pseudo-random generator of all masks: AES-128 in counter mode, addressed by nonces that are spent once."""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING

from jali import kernels
from jali.core.errors import MaskReuseError
from jali.crypto.hashing import hkdf
from jali.crypto.secret import Secret

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["KEY_BYTES", "Prg", "derive_prg"]

KEY_BYTES = 16
_NONCES = 2**64


class Prg(Secret):
    """Uniform words of Z_2^64 from a 16-byte key; whoever holds the key draws the same words for the same nonce.

    Security: AES-128 as a pseudo-random function; block `i` of nonce `n` encrypts `n || i` (8 little-endian bytes
    each), so different nonces never share a block. A nonce is spent by its first use, whichever method uses it: the
    second raises, since two values under one mask would reveal their difference.
    Cost: local, 1 AES block for two words.
    References: NIST SP 800-38A section 6.5 (counter mode).
    """

    __slots__ = ("_key", "_lock", "_spent", "_spent_below", "label")

    def __init__(self, key: bytes, *, label: str = "") -> None:
        """Take a uniform key; `label` names the generator in messages, and is no part of the words.

        Raises: ValueError if the key has not 16 bytes.
        """
        if len(key) != KEY_BYTES:
            message = f"expected a key of {KEY_BYTES} bytes, found {len(key)}"
            raise ValueError(message)
        self.label = label
        self._key = bytes(key)
        self._spent_below = 0
        self._spent: set[int] = set()
        self._lock = Lock()

    def __repr__(self) -> str:
        """The label, never the key."""
        return f"<Prg {self.label!r}>"

    def words(self, nonce: int, shape: int | tuple[int, ...]) -> NDArray[np.uint64]:
        """Fresh uniform words.

        Shapes: the result has `shape`, filled in C order.
        Raises: MaskReuseError if the nonce was spent.
        """
        dims = (shape,) if isinstance(shape, int) else shape
        self._spend(nonce)
        return kernels.prg_words(self._key, nonce, math.prod(dims)).reshape(dims)

    def add(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        """x + words(nonce) over Z_2^64, the mask never in memory.

        Shapes: any; the result has that of x.
        Raises: MaskReuseError if the nonce was spent.
        """
        self._spend(nonce)
        return kernels.add_prg(x.reshape(-1), self._key, nonce).reshape(x.shape)

    def sub(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        """x - words(nonce) over Z_2^64; else like `add`."""
        self._spend(nonce)
        return kernels.sub_prg(x.reshape(-1), self._key, nonce).reshape(x.shape)

    def xor(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        """x XOR words(nonce), for packed bits; else like `add`."""
        self._spend(nonce)
        return kernels.xor_prg(x.reshape(-1), self._key, nonce).reshape(x.shape)

    def _spend(self, nonce: int) -> None:
        """Mark a nonce; runs of consecutive ones cost no memory."""
        if not 0 <= nonce < _NONCES:
            message = f"expected a nonce of 64 bits, found one of {int(nonce).bit_length()} bits (or negative)"
            raise ValueError(message)
        with self._lock:
            if nonce < self._spent_below or nonce in self._spent:
                raise MaskReuseError(
                    f"nonce {nonce} of the generator {self.label!r} was already spent: a mask is used once. "
                    "This is a defect of the protocol or a half-repeated node; run the whole node again."
                )
            if nonce != self._spent_below:
                self._spent.add(nonce)
                return
            self._spent_below += 1
            while self._spent_below in self._spent:
                self._spent.remove(self._spent_below)
                self._spent_below += 1


def derive_prg(shared_key: bytes, *info: str | bytes | int) -> Prg:
    """A generator for one purpose: its key is HKDF of the shared key and `info`.

    Security: other `info` (in value, type or division into parts) gives an independent key.
    References: RFC 5869.
    """
    key = hkdf(shared_key, "jali.crypto.prg.v1", *info, size_bytes=KEY_BYTES)
    return Prg(key, label="/".join(part if isinstance(part, str) else f"<{type(part).__name__}>" for part in info))
