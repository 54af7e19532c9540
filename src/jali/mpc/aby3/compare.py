# SPDX-License-Identifier: Apache-2.0
"""Comparison in aby3: x = u + v, where role 0 knows u and the others v, added bit by bit as shares of bits.

Bits are sliced into planes, one row for each position, so that a level of a tree is one conjunction of
whole rows. Digit j of a sum makes a carry if g_j = u_j & v_j and hands one on if p_j = u_j ^ v_j; two neighbouring
digits become one by g = g_1 ^ p_1 g_0 and p = p_1 p_0.

References: Mohassel, Rindal 2018 (ePrint 2018/403), on decomposition into bits and on the extraction of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels
from jali.mpc.words import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.rep3.wires import Replicated, Share, Wires
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]

__all__ = ["at_least", "compare_with_zero", "is_zero", "sign"]


def sign(wires: Wires, x: Share, *, bits: int = 64) -> Generator[Round, Any, Replicated]:
    """The top bit of u + v: those of both, and the carry from the 63 bits below.

    Security: every message is an input or a conjunction of bits.
    Cost: 8 rounds, 22.9 B from each role and 8 B more from role 0; of 32 bits 7 rounds and half of that, of 16 bits 6
    rounds and a quarter.
    """
    u, v = yield from _planes(wires, x, of_v=np.positive, bits=bits)
    p = _on_rows(wires, np.bitwise_xor, u, v)
    g = yield from wires.conjunction(_on_rows(wires, _below_top, u), _on_rows(wires, _below_top, v))
    # Row j + 1 of g and row j of p belong to bit j; no carry comes in below.
    carry = yield from _carry(wires, g=_on_rows(wires, _after_a_zero, g), p=_on_rows(wires, _below_top, p))
    top = _on_rows(wires, lambda sums, carries: sums[-1:] ^ carries, p, carry)
    return wires.mapped(np.positive, (top,), x.shape, bits=True)


def at_least(wires: Wires, x: Share, thresholds: Sequence[int], *, bits: int = 64) -> Generator[Round, Any, Replicated]:
    """[x >= t] for all thresholds. Cost: one `sign` of K times the elements."""
    count = len(thresholds)
    (replicated,) = yield from wires.openings.open(x)
    stacked = wires.mapped(
        lambda a: np.repeat(a[np.newaxis], count, axis=0), (replicated,), (count, *x.shape), bits=False
    )
    table = np.array([-t for t in thresholds], np.int64).view(np.uint64).reshape(count, *(1,) * len(x.shape))
    below = yield from sign(wires, wires.with_part_0(stacked, lambda part: part + table), bits=bits)
    return wires.with_part_0(below, np.bitwise_not)


def compare_with_zero(
    wires: Wires, x: Share, *, bits: int = 64
) -> Generator[Round, Any, tuple[Replicated, Replicated]]:
    """The top bit of x, and whether x mod 2^63 = 0, from u + v = x - 1.

    All of the low 63 bits of a sum hand a carry on if it ends in ones only; x - 1 does if x ends in zeros. Then the top
    bits of x - 1 and of x differ; else they are the same.
    Security: as `sign`.
    Cost: 8 rounds, 23.6 B from each role and 8 B more from role 0.
    """
    (replicated,) = yield from wires.openings.open(x)
    one_less = wires.with_part_0(replicated, lambda part: part - np.uint64(1))
    u, v = yield from _planes(wires, one_less, of_v=np.positive, bits=bits)
    p = _on_rows(wires, np.bitwise_xor, u, v)
    g = yield from wires.conjunction(_on_rows(wires, _below_top, u), _on_rows(wires, _below_top, v))
    # The lowest digit comes twice, to make a power of two: once it makes no carry, and all hand on if they do without
    # it.
    handing = _on_rows(wires, lambda rows: np.concatenate([rows[:1], rows[:-1]]), p)
    carry, equal = yield from _carry_and_all(wires, g=_on_rows(wires, _after_a_zero, g), p=handing)
    top = _on_rows(wires, lambda sums, carries, same: sums[-1:] ^ carries ^ same, p, carry, equal)
    below, zero = (wires.mapped(np.positive, (bits,), x.shape, bits=True) for bits in (top, equal))
    return below, zero


def is_zero(wires: Wires, x: Share, *, bits: int = 64) -> Generator[Round, Any, Replicated]:
    """Whether u equals -v: the conjunction of all ~(u_j ^ v_j).

    Security: every message is an input or a conjunction of bits.
    Cost: 7 rounds, 7.9 B from each role and 8 B more from role 0.
    """
    u, v = yield from _planes(wires, x, of_v=np.negative, bits=bits)
    equal = wires.with_part_0(_on_rows(wires, np.bitwise_xor, u, v), np.bitwise_not)
    while equal.shape[0] > 1:
        middle = equal.shape[0] // 2
        lower = _on_rows(wires, lambda rows, end=middle: rows[:end], equal)
        upper = _on_rows(wires, lambda rows, start=middle: rows[start:], equal)
        equal = yield from wires.conjunction(lower, upper)
    return wires.mapped(np.positive, (equal,), x.shape, bits=True)


def _planes(
    wires: Wires, x: Share, *, of_v: Callable[[Words], Words], bits: int
) -> Generator[Round, Any, tuple[Replicated, Replicated]]:
    """Shares of the lowest bit planes of u and of of_v(v).

    Role 0 inputs u = x_0 + x_1; v = x_2 is known to roles 1 and 2, so it is shared already.
    Cost: 1 round, bits / 8 B from role 0.
    """
    (replicated,) = yield from wires.openings.open(x)
    shape = (bits, 64 * layout(x.shape, bits=True)[0])

    def sliced(words: Words) -> Words:
        return kernels.bit_planes(words.reshape(-1))[:bits].reshape(-1)

    u = yield from wires.sum_01(replicated, sliced, shape, bits=True)
    return u, wires.part_2(replicated, lambda words: sliced(of_v(words)), shape, bits=True)


def _carry(wires: Wires, *, g: Replicated, p: Replicated) -> Generator[Round, Any, Replicated]:
    """The carry out of n digits, n a power of two: g has a row for each, p for each but the lowest.

    Cost: log2(n) rounds.
    """
    while g.shape[0] > 1:
        half = g.shape[0] // 2
        # Both products of a level, the carries' and the pairs', in one conjunction.
        upper = _on_rows(wires, lambda own: np.concatenate([own[0::2], own[2::2]]), p)
        lower = _on_rows(wires, lambda made, own: np.concatenate([made[0::2], own[1::2]]), g, p)
        both = yield from wires.conjunction(upper, lower)
        g = _on_rows(wires, lambda made, handed, end=half: made[1::2] ^ handed[:end], g, both)
        p = _on_rows(wires, lambda pairs, start=half: pairs[start:], both)
    return g


def _carry_and_all(
    wires: Wires, *, g: Replicated, p: Replicated
) -> Generator[Round, Any, tuple[Replicated, Replicated]]:
    """The carry out of n digits, and whether all hand one on: g and p have a row for each. Cost: log2(n) rounds."""
    while g.shape[0] > 1:
        half = g.shape[0] // 2
        upper = _on_rows(wires, lambda own: np.concatenate([own[1::2], own[1::2]]), p)
        lower = _on_rows(wires, lambda made, own: np.concatenate([made[0::2], own[0::2]]), g, p)
        both = yield from wires.conjunction(upper, lower)
        g = _on_rows(wires, lambda made, handed, end=half: made[1::2] ^ handed[:end], g, both)
        p = _on_rows(wires, lambda pairs, start=half: pairs[start:], both)
    return g, p


def _below_top(rows: Words) -> Words:
    return rows[:-1]


def _after_a_zero(rows: Words) -> Words:
    return np.concatenate([np.zeros_like(rows[:1]), rows])


def _on_rows(wires: Wires, function: Callable[..., Words], *planes: Replicated) -> Replicated:
    """Apply a linear function of rows to shares of planes."""
    width = planes[0].shape[1] // 64
    # The function says how many rows come out: one column of words shows it.
    rows = function(*(np.zeros((own.shape[0], 1), np.uint64) for own in planes)).shape[0]

    def on_words(*words: Words) -> Words:
        given = [part.reshape(own.shape[0], width) for part, own in zip(words, planes, strict=True)]
        return np.ascontiguousarray(function(*given)).reshape(-1)

    return wires.mapped(on_words, planes, (rows, 64 * width), bits=True)
