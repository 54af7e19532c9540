# SPDX-License-Identifier: Apache-2.0
"""Silent vector oblivious linear evaluation over GF(2^128): c = factor a + b for long vectors from short messages.

One party, the *owner* of a factor, ends up with b; the other with a and c. First both make such a vector for few
places: by bits of the factor and oblivious transfer. Then a sparse vector takes those values at secret places, one in
each of as many blocks, where trees of which the owner knows all leaves, and the other all but one, give both sides
the rest. Last, both multiply by the matrix of a public code, after which, so says the assumption, the sparse vector
looks random.

References: Boyle, Couteau, Gilboa, Ishai, Kohl, Scholl 2019 (ePrint 2019/1159), section 4, for the construction; Gilboa
1999 for products by bits; Raghuraman, Rindal, Tanguy 2023 (ePrint 2023/882) for the code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.crypto.hashing import digest
from jali.crypto.oblivious_transfer import MESSAGE_BYTES, OtReceiver, OtSender
from jali.crypto.punctured import choices_for, encrypted_sums, levels, punctured_leaves, total, tree_leaves
from jali.crypto.randomness import random_bytes, random_words
from jali.crypto.secret import Secret

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]

__all__ = ["BLOCKS", "PUBLIC_BYTES", "VoleOwner", "VolePeer", "block_size", "code_seed", "message_bytes"]

BLOCKS: Final = 400
"""Places of the sparse vector that are not 0. With a relative distance of 0.2, a linear test sees a bias of 0.8^400 =
2^-128."""

PUBLIC_BYTES: Final = 32
_BITS, _BYTES = 128, 16


def block_size(m: int) -> int:
    """How long a block is for vectors of m: the sparse one is twice as long."""
    return max(2, -(-2 * m // BLOCKS))


def message_bytes(m: int) -> dict[str, int]:
    """The bytes of each message: "owner transfers", "peer transfers", "owner sums", "peer products", "owner totals"."""
    depth = len(levels(block_size(m)))
    return {
        "owner transfers": MESSAGE_BYTES * _BITS,
        "peer transfers": MESSAGE_BYTES * BLOCKS * depth * 2,
        "owner sums": _BYTES * BLOCKS * depth * 8,
        "peer products": _BYTES * BLOCKS * _BITS,
        "owner totals": _BYTES * BLOCKS,
    }


class VoleOwner(Secret):
    """The party with the factor.

    Security: semi-honest. The peer learns nothing of the factor; the owner nothing of a, under the assumption that
    regular syndromes of the code look random, and the security of `OtReceiver`.
    """

    __slots__ = ("_choices", "_leaves", "_sender", "_transfers", "factor", "public", "transfers")

    def __init__(self) -> None:
        """Draw the factor, and what to send first: `public`, the point for transfers to the peer."""
        self.factor = random_bytes(_BYTES)
        self._choices = np.unpackbits(np.frombuffer(self.factor, np.uint8), bitorder="little").astype(np.bool_)
        self._transfers = OtReceiver(self._choices)
        self.transfers = self._transfers.message
        self._sender = OtSender()
        self.public = self._sender.public

    def grow(self, m: int, transfers: Bytes) -> Words:
        """The peer's choices of transfers, for vectors of m; to send: the encrypted sums of the trees."""
        size = block_size(m)
        keys = self._sender.keys(transfers).reshape(BLOCKS, len(levels(size)), 2, 2, _BYTES)
        seeds = np.frombuffer(random_bytes(BLOCKS * _BYTES), np.uint8).reshape(BLOCKS, _BYTES)
        self._leaves, sums = tree_leaves(seeds, size)
        return encrypted_sums(sums, keys)

    def totals(self, peer_public: bytes, products: Words) -> Words:
        """From the peer's products (128, blocks, 2), to send: what it lacks of each tree (blocks, 2)."""
        keys = self._transfers.keys(peer_public)
        streams = np.stack([kernels.prg_words(key.tobytes(), 0, 2 * BLOCKS) for key in keys]).reshape(products.shape)
        streams ^= products & (np.uint64(0) - self._choices.astype(np.uint64))[:, None, None]
        return total(self._leaves) ^ _by_bits(streams)

    def expand(self, m: int, seed: bytes) -> Words:
        """b, (m, 2)."""
        return kernels.expand_convolute(self._leaves.reshape(-1, 2), m, seed=seed)


class VolePeer(Secret):
    """The party without the factor. Security: see `VoleOwner`."""

    __slots__ = ("_holes", "_keys", "_sender", "_size", "_transfers", "_values", "public")

    def __init__(self) -> None:
        """`public`, the point for transfers to the owner, is sent first."""
        self._sender = OtSender()
        self.public = self._sender.public

    def choose(self, m: int) -> Bytes:
        """For vectors of m, draw the places and values of the sparse one; to send: transfers."""
        self._size = block_size(m)
        self._holes = _below(self._size, BLOCKS)
        self._values = random_words((BLOCKS, 2))
        self._transfers = OtReceiver(choices_for(self._holes, self._size).reshape(-1))
        return self._transfers.message

    def multiply(self, transfers: Bytes) -> Words:
        """The owner's choices of transfers; to send: what makes products of the values and its factor."""
        pairs = self._sender.keys(transfers)
        zero, one = (
            np.stack([kernels.prg_words(key.tobytes(), 0, 2 * BLOCKS) for key in pairs[:, i]]).reshape(_BITS, BLOCKS, 2)
            for i in (0, 1)
        )
        self._keys = _by_bits(zero)
        return zero ^ one ^ self._values

    def sparse(self) -> Words:
        """The sparse vector that becomes a; (blocks x size, 2)."""
        vector = np.zeros((BLOCKS, self._size, 2), np.uint64)
        vector[np.arange(BLOCKS), self._holes] = self._values
        return vector.reshape(-1, 2)

    def expand(self, m: int, seed: bytes) -> Words:
        """a, (m, 2), which needs nothing of the owner."""
        return kernels.expand_convolute(self.sparse(), m, seed=seed)

    def finish(self, m: int, seed: bytes, owner_public: bytes, encrypted: Words, totals: Words) -> Words:
        """c, (m, 2), from the owner's sums and totals."""
        depth = len(levels(self._size))
        keys = self._transfers.keys(owner_public).reshape(BLOCKS, depth, 2, _BYTES)
        leaves = punctured_leaves(self._holes, self._size, encrypted.reshape(BLOCKS, depth, 2, 4, 2), keys)
        leaves[np.arange(BLOCKS), self._holes] = totals ^ total(leaves) ^ self._keys
        return kernels.expand_convolute(leaves.reshape(-1, 2), m, seed=seed)


def code_seed(owner_public: bytes, peer_public: bytes) -> bytes:
    """The public seed of the code of one run, to which both contributed."""
    return digest("jali.vole.code.v1", owner_public, peer_public)[:_BYTES]


def _by_bits(streams: Words) -> Words:
    """The sum of X^k times row k.

    Shapes: (128, n, 2) to (n, 2).
    """
    result: Words = streams[-1].copy()
    for row in streams[-2::-1]:
        low, high = result[:, 0], result[:, 1]
        over = (np.uint64(0) - (high >> np.uint64(63))) & np.uint64(0x87)
        result = np.stack([low << np.uint64(1) ^ over, high << np.uint64(1) | low >> np.uint64(63)], axis=1) ^ row
    return result


def _below(limit: int, n: int) -> NDArray[np.int64]:
    """Uniform numbers below a limit: words modulo it, up to a bias of limit / 2^64."""
    if math.log2(limit) > 24:
        message = f"expected a limit to 2^24, found {limit}"
        raise ValueError(message)
    return (random_words(n) % np.uint64(limit)).astype(np.int64)
