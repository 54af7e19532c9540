# SPDX-License-Identifier: Apache-2.0
"""Silent vector oblivious linear evaluation over GF(2^128): c = factor a + b for long vectors from short messages.

One party, the *owner* of a factor, ends up with b; the other with a and c. First both make such a vector for few
places: by bits of the factor and oblivious transfer. Then a sparse vector takes those values at secret places, one in
each of as many blocks, where trees of which the owner knows all leaves, and the other all but one, give both sides
the rest. Last, both multiply by the matrix of a public code, after which, so says the assumption, the sparse vector
looks random.

With `checked`, both parties are held to that: a random combination of the values and products, hidden by one more
value, shows a peer that takes another value for some bit of the factor; and a random combination of all leaves, chosen
by the peer when it has them, an owner whose trees are not what they should be. The owner sends a hash of its own, and
the peer compares: so the owner learns of the peer's only whether it is the same. Until then nothing may be sent that
depends on the sparse vector.

References: Boyle, Couteau, Gilboa, Ishai, Kohl, Scholl 2019 (ePrint 2019/1159), section 4, for the construction; Gilboa
1999 for products by bits; Raghuraman, Rindal, Tanguy 2023 (ePrint 2023/882) for the code; Weng, Yang, Katz, Wang 2021
(ePrint 2020/925), sections 5.1 and 5.2, for the checks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import CheckFailed
from jali.crypto.field import polynomial, times
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
_BITS, _BYTES, _HASH = 128, 16, 32
_TO_POINT, _TO_ANSWER = "jali.vole.products.v1", "jali.vole.trees.v1"
_TO_CODE, _TO_SALT = "jali.vole.code.v1", "jali.vole.salt.v1"


def block_size(m: int) -> int:
    """How long a block is for vectors of m: the sparse one is twice as long."""
    return max(2, -(-2 * m // BLOCKS))


def message_bytes(m: int, *, checked: bool = False) -> dict[str, int]:
    """The bytes of each message: "owner transfers", "peer transfers", "owner sums", "peer products", "owner totals".

    Of the checks: "peer proof", "peer challenge" and "owner answer".
    """
    depth = len(levels(block_size(m)))
    extra = {"peer proof": 2 * _BYTES, "peer challenge": 2 * _BYTES, "owner answer": _HASH}
    return {
        "owner transfers": MESSAGE_BYTES * _BITS,
        "peer transfers": MESSAGE_BYTES * BLOCKS * depth * 2,
        "owner sums": _BYTES * BLOCKS * depth * 8,
        "peer products": _BYTES * _values_of(checked=checked) * _BITS,
        "owner totals": _BYTES * BLOCKS,
        **(extra if checked else dict.fromkeys(extra, 0)),
    }


def _values_of(*, checked: bool) -> int:
    """How many values are multiplied: one for each block, and for the checks one that hides each of two sums."""
    return BLOCKS + (2 if checked else 0)


class VoleOwner(Secret):
    """The party with the factor.

    Security: the peer learns nothing of the factor; the owner nothing of a, under the assumption that regular syndromes
    of the code look random, and the security of `OtReceiver`. Semi-honest; `checked` malicious, and then a peer may
    guess bits of the factor, and an owner places of the sparse vector, but a wrong guess ends the run: who passes
    with probability 2^-k learns k bits.
    """

    __slots__ = (
        "_checked",
        "_choices",
        "_leaves",
        "_rest",
        "_sender",
        "_sums",
        "_transfers",
        "factor",
        "public",
        "transfers",
    )

    def __init__(self, *, checked: bool = False) -> None:
        """Draw the factor, and what to send first: `public`, the point for transfers to the peer."""
        self._checked = checked
        self.factor = random_bytes(_BYTES)
        self._choices = np.unpackbits(np.frombuffer(self.factor, np.uint8), bitorder="little").astype(np.bool_)
        self._transfers = OtReceiver(self._choices)
        self.transfers = self._transfers.message
        self._sender = OtSender()
        self.public = self._sender.public

    def grow(self, m: int, peer_public: bytes, transfers: Bytes) -> Words:
        """The peer's choices of transfers, for vectors of m; to send: the encrypted sums of the trees."""
        size = block_size(m)
        keys = self._sender.keys(transfers).reshape(BLOCKS, len(levels(size)), 2, 2, _BYTES)
        seeds = np.frombuffer(random_bytes(BLOCKS * _BYTES), np.uint8).reshape(BLOCKS, _BYTES)
        salt = _salt(self.public, peer_public)
        self._leaves, sums, self._rest = tree_leaves(seeds, size, salt=salt)
        return encrypted_sums(sums, keys, salt=salt)

    def totals(self, peer_public: bytes, products: Words, proof: bytes = b"") -> Words:
        """From the peer's products (128, values, 2), to send: what it lacks of each tree (blocks, 2).

        Raises: CheckFailed if the products are not those of one value each; at most with probability 401 / 2^128 it is
        not seen.
        """
        keys, n = self._transfers.keys(peer_public), 2 * _values_of(checked=self._checked)
        streams = np.stack([kernels.prg_words(key.tobytes(), 0, n) for key in keys]).reshape(products.shape)
        streams ^= products & (np.uint64(0) - self._choices.astype(np.uint64))[:, None, None]
        self._sums = _by_bits(streams)
        if self._checked:
            value, product = np.frombuffer(proof, np.uint64).reshape(2, 2)
            point = _point(self.public, peer_public, products)
            found = polynomial(self._sums, point) ^ product ^ times(value[None], self.factor)[0]
            if np.any(found):
                raise CheckFailed("the products that the peer sent are not those of one value each")
        return total(self._leaves) ^ self._rest ^ self._sums[:BLOCKS]

    def answer(self, challenge: bytes) -> bytes:
        """From the peer's challenge, to send: a hash of the combination of all leaves."""
        point, value = challenge[:_BYTES], np.frombuffer(challenge[_BYTES:], np.uint64)
        leaves = polynomial(self._leaves.reshape(-1, 2), point)
        return digest(_TO_ANSWER, (leaves ^ self._sums[-1] ^ times(value[None], self.factor)[0]).tobytes())

    def expand(self, m: int, seed: bytes) -> Words:
        """b, (m, 2)."""
        return kernels.expand_convolute(self._leaves.reshape(-1, 2), m, seed=seed)


class VolePeer(Secret):
    """The party without the factor. Security: see `VoleOwner`."""

    __slots__ = (
        "_checked",
        "_holes",
        "_keys",
        "_leaves",
        "_sender",
        "_size",
        "_sum",
        "_transfers",
        "_values",
        "proof",
        "public",
    )

    def __init__(self, *, checked: bool = False) -> None:
        """`public`, the point for transfers to the owner, is sent first."""
        self._checked = checked
        self.proof = b""
        self._sender = OtSender()
        self.public = self._sender.public

    def choose(self, m: int) -> Bytes:
        """For vectors of m, draw the places and values of the sparse one; to send: transfers."""
        self._size = block_size(m)
        self._holes = _below(self._size, BLOCKS)
        self._values = random_words((_values_of(checked=self._checked), 2))
        self._transfers = OtReceiver(choices_for(self._holes, self._size).reshape(-1))
        return self._transfers.message

    def multiply(self, owner_public: bytes, transfers: Bytes) -> Words:
        """The owner's choices of transfers; to send: what makes products of the values and its factor, and `proof`."""
        pairs, n = self._sender.keys(transfers), len(self._values)
        zero, one = (
            np.stack([kernels.prg_words(key.tobytes(), 0, 2 * n) for key in pairs[:, i]]).reshape(_BITS, n, 2)
            for i in (0, 1)
        )
        self._keys = _by_bits(zero)
        products: Words = zero ^ one ^ self._values
        if self._checked:
            point = _point(owner_public, self.public, products)
            parts = (polynomial(part, point) for part in (self._values, self._keys))
            self.proof = b"".join(part.tobytes() for part in parts)
        return products

    def sparse(self) -> Words:
        """The sparse vector that becomes a; (blocks x size, 2)."""
        vector = np.zeros((BLOCKS, self._size, 2), np.uint64)
        vector[np.arange(BLOCKS), self._holes] = self._values[:BLOCKS]
        return vector.reshape(-1, 2)

    def expand(self, m: int, seed: bytes) -> Words:
        """a, (m, 2), which needs nothing of the owner."""
        return kernels.expand_convolute(self.sparse(), m, seed=seed)

    def complete(self, owner_public: bytes, encrypted: Words, totals: Words) -> None:
        """Take the owner's sums and totals."""
        depth = len(levels(self._size))
        keys = self._transfers.keys(owner_public).reshape(BLOCKS, depth, 2, _BYTES)
        salt, shape = _salt(owner_public, self.public), (BLOCKS, depth, 2, 4, 2)
        leaves, rest = punctured_leaves(self._holes, self._size, encrypted.reshape(shape), keys, salt=salt)
        leaves[np.arange(BLOCKS), self._holes] = totals ^ total(leaves) ^ rest ^ self._keys[:BLOCKS]
        self._leaves = leaves.reshape(-1, 2)

    def challenge(self) -> bytes:
        """To send when everything has come: a random point, and the values' combination, hidden by one more value."""
        point = random_bytes(_BYTES)
        self._sum = polynomial(self._leaves, point) ^ self._keys[-1]
        return bytes(point + (polynomial(self.sparse(), point) ^ self._values[-1]).tobytes())

    def verify(self, answer: bytes) -> None:
        """Raises: CheckFailed if the owner's combination is another one."""
        if answer != digest(_TO_ANSWER, self._sum.tobytes()):
            raise CheckFailed("the owner's trees are not what its messages say")

    def finish(self, m: int, seed: bytes) -> Words:
        """c, (m, 2)."""
        return kernels.expand_convolute(self._leaves, m, seed=seed)


def _point(owner_public: bytes, peer_public: bytes, products: Words) -> bytes:
    """A random point that the peer cannot choose: it depends on all that it sends."""
    return digest(_TO_POINT, owner_public, peer_public, products.tobytes())[:_BYTES]


def _salt(owner_public: bytes, peer_public: bytes) -> bytes:
    """What makes the trees of a run differ from those of any other."""
    return digest(_TO_SALT, owner_public, peer_public)[:_BYTES]


def code_seed(owner_public: bytes, peer_public: bytes, products: Words) -> bytes:
    """The public seed of the code of one run, from what both sent.

    The peer, whose vector the code hides, sends its products last, so the owner cannot look for a code that is weak.
    """
    return digest(_TO_CODE, owner_public, peer_public, products.tobytes())[:_BYTES]


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
