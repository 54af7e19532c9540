# SPDX-License-Identifier: Apache-2.0
"""Twins of the kernels that compare an opened number with a shared mask, on bit planes.

A bit p = d ^ l has d known to both evaluators and l shared. A product of such bits is a polynomial in the l, whose
monomials the dealer shares:

    p_1 p_2 = d_1 d_2 ^ d_1 l_2 ^ d_2 l_1 ^ (l_1 l_2)

A *vector of monomials* of l_1 .. l_k has 2^k entries, entry S being a share of the product of the l_j with bit j - 1
of S set. Multiplying by p_1 and expanding in l_1 folds it to a vector of half the length for the rest of the l:
v'[S] = d_1 v[2 S] ^ v[2 S + 1]. Folding by all p_j in turn gives a share of the product, with no interaction.

To compare c < r, digit j generates a borrow if g_j = ~c_j & r_j and hands one on if p_j = ~(c_j ^ r_j). Four digits
become one by

    g = g_3 ^ p_3 (g_2 ^ p_2 (g_1 ^ p_1 g_0)),    p = p_3 p_2 p_1 p_0

so three such steps compare 64 bits: the first on public c and dealt monomials of r, the others on opened g and p.

References: Patra, Schneider, Suresh, Yalame 2021, ABY2.0 (ePrint 2020/1225), section 3.1.4 (products of many inputs).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jali.core.errors import KernelArgumentError

__all__ = ["borrow_leaves", "borrow_nodes", "equal_leaves", "equal_nodes"]

Words = NDArray[np.uint64]

_ALL = np.uint64(2**64 - 1)


def borrow_leaves(c: Words, monomials: Words, *, leader: bool) -> Words:
    """Shares of (g, p) of every digit of c < r, from public c and shared monomials of r.

    Shapes: (4 k, w) and (15, k, w), entry S - 1 being the product of the bits in S of each digit of four -> (2 k, w):
    k g, then k p, lowest digit first.
    """
    equal, rest, head = _leaf(c, monomials, leader=leader)
    g = [equal[0] & head, *(equal[j] & rest[1 << (j - 1) :: 1 << j] for j in (1, 2, 3))]
    return np.concatenate([_fold_borrow(g, equal), _fold((equal[0] & rest) ^ head, equal)])


def equal_leaves(c: Words, monomials: Words, *, leader: bool) -> Words:
    """Shares of whether each digit of c equals that of r.

    Shapes: (4 k, w) and (15, k, w) -> (k, w).
    """
    equal, rest, head = _leaf(c, monomials, leader=leader)
    return _fold((equal[0] & rest) ^ head, equal)


def borrow_nodes(masked: Words, mask: Words, monomials: Words, *, leader: bool) -> Words:
    """Shares of (g, p) of each four opened (g, p).

    Shapes: masked and mask (8 k, w), 4 k g and then 4 k p; monomials (22, k, w); the result (2 k, w).
    """
    _check("borrow_nodes", masked, mask, monomials, fan_in=8, products=22)
    half = masked.shape[0] // 2
    dg, dp, lg, lp = (_fours(part) for part in (masked[:half], masked[half:], mask[:half], mask[half:]))
    rest = _rest(lp, monomials[:4], leader=leader)
    heads = np.split(monomials[4:], [7, 10, 11])
    g = []
    for j, head in enumerate((heads[0], heads[1], heads[2], monomials[:0])):
        g.append((dg[:, j] & rest[:: 1 << j]) ^ np.concatenate([lg[None, :, j], head]))
    p = (dp[:, 0] & rest) ^ np.concatenate([lp[None, :, 0], heads[3]])
    digits = [dp[:, j] for j in range(4)]
    return np.concatenate([_fold_borrow(g, digits), _fold(p, digits)])


def equal_nodes(masked: Words, mask: Words, monomials: Words, *, leader: bool) -> Words:
    """Shares of the product of each four opened bits.

    Shapes: masked and mask (4 k, w); monomials (11, k, w); the result (k, w).
    """
    _check("equal_nodes", masked, mask, monomials, fan_in=4, products=11)
    d, l_ = _fours(masked), _fours(mask)
    rest = _rest(l_, monomials[:4], leader=leader)
    p = (d[:, 0] & rest) ^ np.concatenate([l_[None, :, 0], monomials[4:]])
    return _fold(p, [d[:, j] for j in range(4)])


def _leaf(c: Words, monomials: Words, *, leader: bool) -> tuple[list[Words], Words, Words]:
    """d_j = ~c_j; the vector of r_1 r_2 r_3; and the same times r_0."""
    if c.ndim != 2 or c.shape[0] % 4 or monomials.shape != (15, c.shape[0] // 4, c.shape[1]):
        raise KernelArgumentError(f"leaves: expected (4 k, w) and (15, k, w), found {c.shape} and {monomials.shape}")
    digits = ~c.reshape(c.shape[0] // 4, 4, c.shape[1])
    one = np.full((1, *monomials.shape[1:]), _ALL if leader else np.uint64(0))
    return [digits[:, j] for j in range(4)], np.concatenate([one, monomials[1::2]]), monomials[0::2]


def _rest(masks: Words, monomials: Words, *, leader: bool) -> Words:
    """The vector of l_1 l_2 l_3, from the masks' shares and the four shared products."""
    one = np.full(monomials.shape[1:], _ALL if leader else np.uint64(0))
    return np.stack(
        [one, masks[:, 1], masks[:, 2], monomials[0], masks[:, 3], monomials[1], monomials[2], monomials[3]]
    )


def _fold(vector: Words, d: list[Words]) -> Words:
    """Multiply by p_1, p_2 and p_3."""
    for j in (1, 2, 3):
        vector = (d[j] & vector[0::2]) ^ vector[1::2]
    result: Words = vector[0]
    return result


def _fold_borrow(g: list[Words], d: list[Words]) -> Words:
    """g_3 ^ p_3 (g_2 ^ p_2 (g_1 ^ p_1 g_0)), where g[j] is a vector of the l above j."""
    vector = g[0]
    for j in (1, 2, 3):
        vector = (d[j] & vector[0::2]) ^ vector[1::2] ^ g[j]
    result: Words = vector[0]
    return result


def _fours(rows: Words) -> Words:
    return rows.reshape(rows.shape[0] // 4, 4, rows.shape[1])


def _check(name: str, masked: Words, mask: Words, monomials: Words, *, fan_in: int, products: int) -> None:
    fits = masked.ndim == 2 and masked.shape[0] % fan_in == 0 and mask.shape == masked.shape
    if not fits or monomials.shape != (products, masked.shape[0] // fan_in, masked.shape[1]):
        raise KernelArgumentError(
            f"{name}: expected ({fan_in} k, w) twice and ({products}, k, w), found {masked.shape}, {mask.shape} and "
            f"{monomials.shape}"
        )
