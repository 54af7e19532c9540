# SPDX-License-Identifier: Apache-2.0
"""Products of masked bits, and the radix-4 carry tree that compares an opened number with a shared mask.

A bit p = d ^ l has d known to both evaluators and l shared. A product of such bits is a polynomial in the l, whose
monomials the dealer shares:

    p_1 p_2 = d_1 d_2 ^ d_1 l_2 ^ d_2 l_1 ^ (l_1 l_2)

A *vector of monomials* of l_1 .. l_k has 2^k entries, entry S being a share of the product of the l_j with bit j - 1
of S set. Multiplying by p_1 and expanding in l_1 folds it to a vector of half the length for the rest of the l:
v'[S] = d_1 v[2 S] ^ v[2 S + 1]. Folding by all p_j in turn gives a share of the product, with no interaction.

To compare c < r, digit j generates a borrow if g_j = ~c_j & r_j and hands one on if p_j = ~(c_j ^ r_j). Four digits
become one by

    g = g_3 ^ p_3 (g_2 ^ p_2 (g_1 ^ p_1 g_0)),    p = p_3 p_2 p_1 p_0

and three such steps compare 64 bits: the first on public c and dealt monomials of r, the others on opened g and p.

References: Patra, Schneider, Suresh, Yalame 2021, ABY2.0 (ePrint 2020/1225), section 3.1.4 (products of many inputs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali import kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "LEAF_MONOMIALS",
    "NODE_MONOMIALS",
    "PRODUCT_MONOMIALS",
    "in_blocks",
    "leaf_borrow",
    "leaf_equal",
    "leaf_monomials",
    "node_borrow",
    "node_monomials",
    "product",
    "product_monomials",
    "top_bits",
    "tree_monomials",
]

LEAF_MONOMIALS = 15
"""Of four mask bits: all products of one to four of them."""

NODE_MONOMIALS = 22
"""Of four (g, p): the products that the formula needs."""

PRODUCT_MONOMIALS = 11
"""Of four bits: all products of two to four of them."""

_ALL = np.uint64(2**64 - 1)
_BLOCK_WORDS = 256

Words = "NDArray[np.uint64]"


# -- the dealer's part ----------------------------------------------------------------------------------------------
def leaf_monomials(r: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """All products of r's bits within each digit of four bits.

    Shapes: (64, w) planes -> (15, 16, w); entry S - 1 is the product of the bits in S.
    """
    digits = r.reshape(16, 4, -1)
    return _subsets([digits[:, j] for j in range(4)])[1:]


def node_monomials(g: NDArray[np.uint64], p: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The products of the masks of four (g, p) that `node_borrow` needs.

    Shapes: (4 k, w) each -> (22, k, w).
    """
    g_, p_ = _fours(g), _fours(p)
    rest = _subsets([p_[:, 1], p_[:, 2], p_[:, 3]])
    heads = [rest[1::1] & g_[:, 0], rest[2::2] & g_[:, 1], rest[4::4] & g_[:, 2], rest[1:] & p_[:, 0]]
    return np.concatenate([rest[[3, 5, 6, 7]], *heads])


def product_monomials(p: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The products of two to four masks that `product` needs.

    Shapes: (4 k, w) -> (11, k, w).
    """
    p_ = _fours(p)
    rest = _subsets([p_[:, 1], p_[:, 2], p_[:, 3]])
    return np.concatenate([rest[[3, 5, 6, 7]], rest[1:] & p_[:, 0]])


def tree_monomials(masks: NDArray[np.uint64], *, borrow: bool) -> NDArray[np.uint64]:
    """What a level of either tree needs: `node_monomials` of g and then p, or `product_monomials`."""
    if not borrow:
        return product_monomials(masks)
    half = masks.shape[0] // 2
    return node_monomials(masks[:half], masks[half:])


# -- the evaluators' part -------------------------------------------------------------------------------------------
def leaf_borrow(c: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool) -> NDArray[np.uint64]:
    """Shares of (g, p) of every digit of c < r, from public c and the dealt monomials of r.

    Shapes: (64, w) and (15, 16, w) -> (32, w): 16 g, then 16 p, lowest digit first.
    """
    equal, rest, head = _leaf(c, dealt, leader=leader)
    g = [equal[0] & head, *(equal[j] & rest[1 << (j - 1) :: 1 << j] for j in (1, 2, 3))]
    p = (equal[0] & rest) ^ head
    return np.concatenate([_fold_borrow(g, equal), _fold(p, equal)])


def leaf_equal(c: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool) -> NDArray[np.uint64]:
    """Shares of whether each digit of c equals that of r.

    Shapes: (64, w) and (15, 16, w) -> (16, w).
    """
    equal, rest, head = _leaf(c, dealt, leader=leader)
    return _fold((equal[0] & rest) ^ head, equal)


def node_borrow(
    masked: NDArray[np.uint64], mask: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool
) -> NDArray[np.uint64]:
    """Shares of (g, p) of each four opened (g, p).

    Shapes: masked and mask (8 k, w), 4 k g and then 4 k p; dealt (22, k, w); the result (2 k, w).
    """
    half = masked.shape[0] // 2
    dg, dp, lg, lp = (_fours(part) for part in (masked[:half], masked[half:], mask[:half], mask[half:]))
    rest = _rest(lp, dealt[:4], leader=leader)
    heads = np.split(dealt[4:], [7, 10, 11])
    g = []
    for j, head in enumerate((heads[0], heads[1], heads[2], dealt[:0])):
        g.append((dg[:, j] & rest[:: 1 << j]) ^ np.concatenate([lg[None, :, j], head]))
    p = (dp[:, 0] & rest) ^ np.concatenate([lp[None, :, 0], heads[3]])
    digits = [dp[:, j] for j in range(4)]
    return np.concatenate([_fold_borrow(g, digits), _fold(p, digits)])


def product(
    masked: NDArray[np.uint64], mask: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool
) -> NDArray[np.uint64]:
    """Shares of the product of each four opened bits.

    Shapes: masked and mask (4 k, w); dealt (11, k, w); the result (k, w).
    """
    d, l_ = _fours(masked), _fours(mask)
    rest = _rest(l_, dealt[:4], leader=leader)
    p = (d[:, 0] & rest) ^ np.concatenate([l_[None, :, 0], dealt[4:]])
    return _fold(p, [d[:, j] for j in range(4)])


def in_blocks(formula: Callable[..., NDArray[np.uint64]], rows: int, *arrays: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply a formula that treats columns alike to a few columns at a time, so that its vectors stay in the cache.

    Shapes: arrays (..., w); the result (rows, w).
    """
    width = arrays[0].shape[-1]
    if width <= _BLOCK_WORDS:
        return formula(*arrays)
    result = np.empty((rows, width), np.uint64)
    for start in range(0, width, _BLOCK_WORDS):
        block = slice(start, start + _BLOCK_WORDS)
        result[:, block] = formula(*(array[..., block] for array in arrays))
    return result


def top_bits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The top bit of each word, packed."""
    return kernels.pack_bits((words >> np.uint64(63)).astype(np.bool_).reshape(-1))


# -- vectors of monomials -------------------------------------------------------------------------------------------
def _leaf(
    c: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool
) -> tuple[list[NDArray[np.uint64]], NDArray[np.uint64], NDArray[np.uint64]]:
    """d_j = ~c_j; the vector of r_1 r_2 r_3; and the same times r_0."""
    digits = ~c.reshape(16, 4, -1)
    one = np.full((1, *dealt.shape[1:]), _ALL if leader else np.uint64(0))
    return [digits[:, j] for j in range(4)], np.concatenate([one, dealt[1::2]]), dealt[0::2]


def _rest(masks: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool) -> NDArray[np.uint64]:
    """The vector of l_1 l_2 l_3, from the masks' shares and the four dealt products."""
    one = np.full(dealt.shape[1:], _ALL if leader else np.uint64(0))
    return np.stack([one, masks[:, 1], masks[:, 2], dealt[0], masks[:, 3], dealt[1], dealt[2], dealt[3]])


def _fold(vector: NDArray[np.uint64], d: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Multiply by p_1, p_2 and p_3."""
    for j in (1, 2, 3):
        vector = (d[j] & vector[0::2]) ^ vector[1::2]
    result: NDArray[np.uint64] = vector[0]
    return result


def _fold_borrow(g: list[NDArray[np.uint64]], d: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """g_3 ^ p_3 (g_2 ^ p_2 (g_1 ^ p_1 g_0)), where g[j] is a vector of the l above j."""
    vector = g[0]
    for j in (1, 2, 3):
        vector = (d[j] & vector[0::2]) ^ vector[1::2] ^ g[j]
    result: NDArray[np.uint64] = vector[0]
    return result


def _subsets(bits: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The products of all subsets, entry S of the bits j in S; entry 0 is 1."""
    result = np.empty((1 << len(bits), *bits[0].shape), np.uint64)
    result[0] = _ALL
    for j, bit in enumerate(bits):
        np.bitwise_and(result[: 1 << j], bit, out=result[1 << j : 2 << j])
    return result


def _fours(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return rows.reshape(rows.shape[0] // 4, 4, rows.shape[1])
