# SPDX-License-Identifier: Apache-2.0
"""Punctured pseudo-random functions: trees whose owner knows all leaves, and another party all but one of each.

A node of 16 bytes has four children, its SHA-512 hash cut in four (Goldreich, Goldwasser, Micali 1986). The other party
learns, level by level, for three of four numbers of children the sum over all nodes, and so the children of the node
whose subtree it lacks, but for the one on the path to the hole. Which three are the ones is its choice: two oblivious
transfers a level, one for each bit of the number that it must not learn.

Every node that has children has four. Those beyond the leaves that are wanted count in the sums, and their own sum is
the *rest*: so also who chooses a hole beyond the leaves lacks something, namely a part of the rest.

Hashes have the salt of their run and the number of their level in front, so that a guess of a node serves for the trees
of one run only.

References: Boneh, Waters 2013 (ePrint 2013/352) for the function; Schoppmann, Gascon, Reichert, Raykova 2019 (ePrint
2019/1084), section 3, for the sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]

__all__ = ["CHILDREN", "choices_for", "encrypted_sums", "levels", "punctured_leaves", "total", "tree_leaves"]

CHILDREN: Final = 4
_NODE = 16
_TO_CHILDREN, _TO_PAD = "jali.tree.v1", "jali.tree.pad.v1"


def levels(leaves: int) -> list[int]:
    """How many nodes a tree of that many leaves has on each level below the root.

    Example:
        >>> levels(18)
        [2, 5, 18]
    """
    sizes = [leaves]
    while sizes[0] > CHILDREN:
        sizes.insert(0, -(-sizes[0] // CHILDREN))
    return sizes


def tree_leaves(seeds: Bytes, leaves: int, *, salt: bytes) -> tuple[Words, list[Words], Words]:
    """All leaves of trees, for each level the sums of the children of each number, and the rest.

    Shapes: seeds (trees, 16) to (trees, leaves, 2), for each level (trees, 4, 2), and (trees, 2).
    Cost: local, a hash for four leaves.
    """
    nodes, sums = seeds.view(np.uint64).reshape(len(seeds), 1, 2), []
    rest = np.zeros((len(seeds), 2), np.uint64)
    for level, size in enumerate(levels(leaves)):
        children = _children(nodes, salt, level)
        sums.append(_sums(children))
        nodes = _kept(children, size, rest)
    return nodes, sums, rest


def choices_for(holes: NDArray[np.int64], leaves: int) -> NDArray[np.bool_]:
    """What to choose in the transfers: the opposite of each bit of the numbers on the path to the holes.

    Shapes: holes (trees,) to (trees, levels, 2), the high bit of a number first.
    """
    numbers = _path(holes, leaves)
    return np.stack([numbers < CHILDREN // 2, numbers % 2 == 0], axis=-1)


def encrypted_sums(sums: list[Words], keys: Bytes, *, salt: bytes) -> Words:
    """The sums for who has half of the keys.

    Shapes: sums as of `tree_leaves` and keys (trees, levels, 2 bits, 2 keys, 16) to (trees, levels, 2, 4, 2).
    Security: a number's sum is under one key for each of its bits, so without both keys of the hole's number nothing
    shows of its sum, and with one key of each other number everything shows of theirs.
    """
    high, low = _pads(keys[:, :, 0], salt), _pads(keys[:, :, 1], salt)
    stacked = np.stack(sums, axis=1)
    numbers = np.arange(CHILDREN)
    return np.stack([stacked ^ high[:, :, numbers // 2, numbers], stacked ^ low[:, :, numbers % 2, numbers]], axis=2)


def punctured_leaves(
    holes: NDArray[np.int64], leaves: int, encrypted: Words, keys: Bytes, *, salt: bytes
) -> tuple[Words, Words]:
    """All leaves of the trees but one of each, which is 0, and the rest.

    Shapes: holes (trees,), encrypted as of `encrypted_sums`, keys (trees, levels, 2, 16); to (trees, leaves, 2) and
    (trees, 2).
    """
    trees, path = np.arange(len(holes)), _path(holes, leaves)
    pads = _pads(keys, salt)
    nodes = np.zeros((len(holes), 1, 2), np.uint64)
    rest = np.zeros((len(holes), 2), np.uint64)
    for level, size in enumerate(levels(leaves)):
        hole = path[:, level]
        parent = holes // CHILDREN ** (len(levels(leaves)) - level)
        children = _children(nodes, salt, level)
        children[trees, parent] = 0
        known = _sums(children)
        for number in range(CHILDREN):
            pick = np.where(hole // 2 == number // 2, 1, 0)  # a bit of the number that differs from the hole's
            wanted = (encrypted[:, level, :, number] ^ pads[:, level, :, number])[trees, pick]
            there = number != hole
            children[trees[there], parent[there], number] = wanted[there] ^ known[there, number]
        nodes = _kept(children, size, rest)
    return nodes, rest


def total(leaves: Words) -> Words:
    """The sum of each tree's leaves.

    Shapes: (trees, leaves, 2) to (trees, 2).
    """
    return np.asarray(np.bitwise_xor.reduce(leaves, axis=1))


def _children(nodes: Words, salt: bytes, level: int) -> Words:
    """Shapes: (trees, nodes, 2) to (trees, nodes, 4, 2)."""
    rows = ByteStrings.rows(np.ascontiguousarray(nodes).view(np.uint8).reshape(-1, _NODE))
    prefix = encode_parts(_TO_CHILDREN, salt, level)
    hashed = kernels.sha512_each(rows.data, rows.offsets, width=CHILDREN * _NODE, prefix=prefix)
    return hashed.view(np.uint64).reshape(*nodes.shape[:2], CHILDREN, 2)


def _sums(children: Words) -> Words:
    """Of the children of each number.

    Shapes: (trees, nodes, 4, 2) to (trees, 4, 2).
    """
    return np.asarray(np.bitwise_xor.reduce(children, axis=1))


def _kept(children: Words, size: int, rest: Words) -> Words:
    """The first children; what is beyond them is added to the rest.

    Shapes: (trees, nodes, 4, 2) to (trees, size, 2).
    """
    flat = children.reshape(len(children), -1, 2)
    rest ^= np.bitwise_xor.reduce(flat[:, size:], axis=1)
    return flat[:, :size]


def _path(holes: NDArray[np.int64], leaves: int) -> NDArray[np.int64]:
    """The number of the child on each level.

    Shapes: (trees,) to (trees, levels).
    """
    depth = len(levels(leaves))
    return holes[:, None] // CHILDREN ** np.arange(depth - 1, -1, -1) % CHILDREN


def _pads(keys: Bytes, salt: bytes) -> Words:
    """What hides sums, of each key with the number of its tree's level among all.

    Shapes: (trees, levels, 2, 16) to (trees, levels, 2, 4 numbers, 2).
    """
    flat = np.ascontiguousarray(keys).reshape(-1, _NODE)
    numbers = np.repeat(np.arange(len(flat) // 2, dtype="<u8"), 2).view(np.uint8).reshape(-1, 8)
    rows = ByteStrings.rows(np.concatenate([numbers, flat], axis=1))
    prefix = encode_parts(_TO_PAD, salt)
    hashed = kernels.sha512_each(rows.data, rows.offsets, width=CHILDREN * _NODE, prefix=prefix)
    return hashed.view(np.uint64).reshape(*keys.shape[:3], CHILDREN, 2)
