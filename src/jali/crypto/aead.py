# SPDX-License-Identifier: Apache-2.0
"""Sealed frames: AES-256-GCM with a version byte and a counter that makes order part of what is authenticated.

AES-GCM and not ChaCha20-Poly1305, since the processors that jali runs on have AES instructions, and the nonces are
counters, so its weakness under repeated nonces has no occasion.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jali.core.errors import KeySpent, SealBroken, SealVersionUnknown
from jali.crypto.hashing import hkdf
from jali.crypto.secret import Secret

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["KEY_BYTES", "OVERHEAD_BYTES", "Opener", "Sealer", "sealing_pair"]

KEY_BYTES = 32
OVERHEAD_BYTES = 1 + 8 + 16  # version, counter, tag
_VERSION = 1
_MAX_BLOCKS = 2**34  # 256 GiB; TLS 1.3 allows 2^24.5 records of 2^14 bytes = 2^34.5 blocks (RFC 8446, section 5.5)


class Sealer(Secret):
    """Seals frames in one direction: the frame with counter `i` opens only as the `i`-th.

    Security: IND-CCA2 and order, for one key in one direction; length and number of the frames stay visible.
    A frame is version (1 byte) || counter (8, little-endian) || ciphertext || tag (16).
    References: NIST SP 800-38D; RFC 8446 sections 5.3 and 5.5.
    """

    __slots__ = ("_aead", "_blocks", "_counter", "_lock")

    def __init__(self, key: bytes) -> None:
        """Take a uniform key of 32 bytes that nothing else uses (see `sealing_pair`)."""
        self._aead = _aead(key)
        self._counter = self._blocks = 0
        self._lock = Lock()

    def seal(self, plaintext: Buffer, associated: bytes = b"") -> bytes:
        """One frame; `associated` is authenticated and not sent.

        Raises: KeySpent when the key has protected 256 GiB.
        """
        view = memoryview(plaintext).cast("B")
        with self._lock:
            self._blocks += -(-view.nbytes // 16) - (-len(associated) // 16) + 2
            if self._blocks > _MAX_BLOCKS:
                raise KeySpent("this sealing key has protected 256 GiB: agree on a new one")
            counter, self._counter = self._counter, self._counter + 1
        header = _header(counter)
        return header + self._aead.encrypt(_nonce(counter), view, header + associated)


class Opener(Secret):
    """Opens the frames of one `Sealer`, each once and in order; the other half of the key."""

    __slots__ = ("_aead", "_counter")

    def __init__(self, key: bytes) -> None:
        """Take the sealer's key."""
        self._aead = _aead(key)
        self._counter = 0

    def open(self, frame: Buffer, associated: bytes = b"") -> bytes:
        """The plaintext of the next frame.

        Raises: SealBroken if the frame was changed or is not the next; SealVersionUnknown for another format.
        """
        view = memoryview(frame).cast("B")
        if view.nbytes < OVERHEAD_BYTES:
            raise SealBroken(f"expected a sealed frame of at least {OVERHEAD_BYTES} bytes, found {view.nbytes}")
        if view[0] != _VERSION:
            raise SealVersionUnknown(f"expected a sealed frame of version {_VERSION}, found version {view[0]}")
        header = _header(self._counter)
        if view[:9] != header:
            found = int.from_bytes(view[1:9], "little")
            raise SealBroken(f"expected sealed frame {self._counter}, found {found}: one was lost, repeated or moved")
        try:
            plaintext = self._aead.decrypt(_nonce(self._counter), view[9:], header + associated)
        except InvalidTag:
            raise SealBroken(f"sealed frame {self._counter} was changed, or sealed under another key") from None
        self._counter += 1
        return plaintext


def sealing_pair(shared_key: bytes, *, me: str, peer: str) -> tuple[Sealer, Opener]:
    """What I send with and what I receive with, from one shared key: each direction has a key of its own.

    Raises: ValueError if both have one name, for the directions would share a key.
    """
    if me == peer:
        message = f"expected two different parties, found {me!r} twice"
        raise ValueError(message)
    keys = [hkdf(shared_key, "jali.crypto.aead.v1", *way, size_bytes=KEY_BYTES) for way in ((me, peer), (peer, me))]
    return Sealer(keys[0]), Opener(keys[1])


def _aead(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        message = f"expected a key of {KEY_BYTES} bytes, found {len(key)}"
        raise ValueError(message)
    return AESGCM(key)


def _header(counter: int) -> bytes:
    return bytes([_VERSION]) + counter.to_bytes(8, "little")


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "little")
