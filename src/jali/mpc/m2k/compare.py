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

__all__ = [
    "joined",
    "leaf_monomials",
    "levels",
    "planes",
    "product_monomials",
    "shape_above",
    "shape_of_monomials",
    "top_bits",
    "tree_monomials",
]

_ALL = np.uint64(2**64 - 1)
_FAN_IN = 4
_PAIR = 2


def leaf_monomials(r: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """All products of r's bits within each digit of four bits.

    Shapes: (4 k, w) planes -> (15, k, w); entry S - 1 is the product of the bits in S.
    """
    digits = r.reshape(r.shape[0] // 4, 4, r.shape[1])
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


def levels(digits: int) -> list[int]:
    """How many digits there are below each level of a tree: 16 and 4, 8 and 2, or 4."""
    found = []
    while digits > 1:
        found.append(digits)
        digits //= min(digits, _FAN_IN)
    return found


def shape_of_monomials(shape: tuple[int, int], *, borrow: bool) -> tuple[int, int, int]:
    """The shape of what is dealt for a level of so many rows of masks: see `tree_monomials`."""
    rows, width = shape
    if _digits(rows, borrow=borrow) == _PAIR:
        return (2 if borrow else 1, 1, width)
    return (22, rows // 8, width) if borrow else (11, rows // 4, width)


def shape_above(shape: tuple[int, int], *, borrow: bool) -> tuple[int, int]:
    """The shape of the level above one of so many rows."""
    rows, width = shape
    return rows // min(_digits(rows, borrow=borrow), _FAN_IN), width


def tree_monomials(masks: NDArray[np.uint64], *, borrow: bool) -> NDArray[np.uint64]:
    """What a level of either tree needs: those of g and then p, or those of a product."""
    half = masks.shape[0] // 2
    if _digits(masks.shape[0], borrow=borrow) == _PAIR:
        below, upper = _pair(masks, borrow=borrow)
        return (below & upper)[:, np.newaxis]
    return _node_monomials(masks[:half], masks[half:]) if borrow else product_monomials(masks)


def joined(
    masked: NDArray[np.uint64], mask: NDArray[np.uint64], dealt: NDArray[np.uint64], *, leader: bool, borrow: bool
) -> NDArray[np.uint64]:
    """Shares of a level, from the opened one below and shares of its masks and of their monomials."""
    if _digits(masked.shape[0], borrow=borrow) != _PAIR:
        return (kernels.borrow_nodes if borrow else kernels.equal_nodes)(masked, mask, dealt, leader=leader)
    (da, db), (la, lb) = _pair(masked, borrow=borrow), _pair(mask, borrow=borrow)
    products = kernels.masked_and(da, db, la, lb, dealt[:, 0], leader=leader)
    if borrow:  # g_1 ^ p_1 g_0, and p_1 p_0
        products[0] ^= (masked[1] ^ mask[1]) if leader else mask[1]
    return products


def planes(words: NDArray[np.uint64], bits: int, *, shift: int = 0) -> NDArray[np.uint64]:
    """The low `bits` bits of each number times 2^shift, one plane for each, the lowest first.

    Shapes: any -> (bits, ceil(n / 64)).
    """
    if bits == 64 and not shift:
        return kernels.bit_planes(words.reshape(-1))
    return kernels.bit_planes((words << np.uint64(64 - bits + shift)).reshape(-1))[64 - bits :]


def top_bits(words: NDArray[np.uint64], bits: int = 64) -> NDArray[np.uint64]:
    """The highest of the low `bits` bits of each word, packed."""
    return kernels.pack_bits((words >> np.uint64(bits - 1) & np.uint64(1)).astype(np.bool_).reshape(-1))


def _digits(rows: int, *, borrow: bool) -> int:
    return rows // 2 if borrow else rows


def _pair(rows: NDArray[np.uint64], *, borrow: bool) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What is multiplied where two digits become one: p_0 or (g_0, p_0), by p_1."""
    if not borrow:
        return rows[:1], rows[1:]
    return rows[0::2].copy(), rows[[3, 3]]


def _subsets(bits: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The products of all subsets, entry S of the bits j in S; entry 0 is 1."""
    result = np.empty((1 << len(bits), *bits[0].shape), np.uint64)
    result[0] = _ALL
    for j, bit in enumerate(bits):
        np.bitwise_and(result[: 1 << j], bit, out=result[1 << j : 2 << j])
    return result


def _fours(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return rows.reshape(rows.shape[0] // 4, 4, rows.shape[1])
