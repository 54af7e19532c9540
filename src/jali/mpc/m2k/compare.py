# SPDX-License-Identifier: Apache-2.0
"""What a dealer computes for the comparison of an opened number with a shared mask.

The evaluators fold what is dealt (`jali.kernels.reference_trees` has the formulas): the monomials of the mask's bits
within each digit of four, then those of the masks under which the trees' levels are opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["leaf_monomials", "product_monomials", "top_bits", "tree_monomials"]

_ALL = np.uint64(2**64 - 1)


def leaf_monomials(r: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """All products of r's bits within each digit of four bits.

    Shapes: (64, w) planes -> (15, 16, w); entry S - 1 is the product of the bits in S.
    """
    digits = r.reshape(16, 4, -1)
    return _subsets([digits[:, j] for j in range(4)])[1:]


def _node_monomials(g: NDArray[np.uint64], p: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The products of the masks of four (g, p) that `borrow_nodes` needs.

    Shapes: (4 k, w) each -> (22, k, w).
    """
    g_, p_ = _fours(g), _fours(p)
    rest = _subsets([p_[:, 1], p_[:, 2], p_[:, 3]])
    heads = [rest[1::1] & g_[:, 0], rest[2::2] & g_[:, 1], rest[4::4] & g_[:, 2], rest[1:] & p_[:, 0]]
    return np.concatenate([rest[[3, 5, 6, 7]], *heads])


def product_monomials(p: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The products of two to four masks that `equal_nodes` needs.

    Shapes: (4 k, w) -> (11, k, w).
    """
    p_ = _fours(p)
    rest = _subsets([p_[:, 1], p_[:, 2], p_[:, 3]])
    return np.concatenate([rest[[3, 5, 6, 7]], rest[1:] & p_[:, 0]])


def tree_monomials(masks: NDArray[np.uint64], *, borrow: bool) -> NDArray[np.uint64]:
    """What a level of either tree needs: those of g and then p, or those of a product."""
    if not borrow:
        return product_monomials(masks)
    half = masks.shape[0] // 2
    return _node_monomials(masks[:half], masks[half:])


def top_bits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The top bit of each word, packed."""
    return kernels.pack_bits((words >> np.uint64(63)).astype(np.bool_).reshape(-1))


def _subsets(bits: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The products of all subsets, entry S of the bits j in S; entry 0 is 1."""
    result = np.empty((1 << len(bits), *bits[0].shape), np.uint64)
    result[0] = _ALL
    for j, bit in enumerate(bits):
        np.bitwise_and(result[: 1 << j], bit, out=result[1 << j : 2 << j])
    return result


def _fours(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return rows.reshape(rows.shape[0] // 4, 4, rows.shape[1])
