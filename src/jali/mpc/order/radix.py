# SPDX-License-Identifier: Apache-2.0
"""Radix sort, written once over the contract: where each row belongs is computed, shuffled, and then opened.

Keys are cut into digits of three bits. Where a row belongs by one digit is a sum: rows with a 0 keep their order at the
front, rows with a 1 behind them, and so on. Such places are a permutation, so after a shuffle that no role knows they
are a uniformly random one and may be opened. Between digits, the highest last, no more is carried than a row's place so
far: it brings the next digit into the present order, and what is found there goes back to the order that everybody
knows.

References: Hamada, Ikarashi, Chida, Takahashi 2014, Oblivious radix sort (ePrint 2014/121); Asharov and others 2022,
Efficient secure three-party sorting (ePrint 2022/1595), on carrying permutations and on digits of several bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.functions.basis import loose, settled
from jali.mpc.order.sorting import known
from jali.mpc.rings import Ring
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, MpcProtocol
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]

__all__ = ["sort_by_digits"]

_DIGIT = 3  # bits


def sort_by_digits(
    protocol: MpcProtocol, columns: Sequence[Arithmetic], *, keys: int, bits: int = 0
) -> Generator[Round, Any, list[Arithmetic]]:
    """Columns of one shape (b, n), each row sorted upwards in all of them alike by the first `keys` columns; stable.

    Keys are 0 and 1, or with `bits` lie between -2^bits and 2^bits.

    Security: roles see the places of shuffled rows, uniformly random permutations that are independent of each other.
    Cost: with `bits`, a comparison and a conversion for each bit of a key; for each digit five products, and two
    shuffles of seven columns together (one of all columns for a single digit), whose places are opened.
    """
    shape = columns[0].shape
    if shape[-1] < 2 or not shape[0]:
        return list(columns)
    planes: list[Arithmetic] = []
    for key in reversed(columns[:keys]):
        planes += (yield from _bits_of(protocol, key, bits)) if bits else [key]
    digits = [planes[start : start + _DIGIT] for start in range(0, len(planes), _DIGIT)]
    place = yield from _places(protocol, digits[0])
    if len(digits) == 1:
        return (yield from _moved(protocol, place, columns))
    rows = protocol.public(np.ascontiguousarray(np.broadcast_to(np.arange(shape[-1], dtype=np.uint64), shape)))
    for digit in digits[1:-1]:
        *ordered, row = yield from _moved(protocol, place, [*digit, rows])
        step = yield from _places(protocol, ordered)
        (place,) = yield from _moved(protocol, row, [step])
    ordered = yield from _moved(protocol, place, [*digits[-1], *columns])
    step = yield from _places(protocol, ordered[: len(digits[-1])])
    return (yield from _moved(protocol, step, ordered[len(digits[-1]) :]))


def _moved(
    protocol: MpcProtocol, place: Arithmetic, columns: Sequence[Arithmetic]
) -> Generator[Round, Any, list[Arithmetic]]:
    """Each element at the place that belongs to it."""
    *shuffled, shuffled_place = yield from protocol.shuffle(*columns, place)
    order = yield from protocol.disclose(shuffled_place)

    def placed(a: Words) -> Words:
        result = np.empty_like(a)
        np.put_along_axis(result, known(order).view(np.int64), a, axis=1)
        return result

    return [protocol.linear(placed, x, shape=x.shape) for x in shuffled]


def _bits_of(protocol: MpcProtocol, key: Arithmetic, bits: int) -> Generator[Round, Any, list[Arithmetic]]:
    """The bits of key + 2^bits as numbers, the lowest first.

    Bit k is the top bit of the key times 2^(w - 1 - k) in Z_2^w, for the least w that has it.
    """
    side = loose(protocol)
    (raised,) = yield from settled(protocol, protocol.add_public(key, np.asarray(np.uint64(1 << bits))))
    groups = []
    for width, first in ((Ring.LANES_16, 0), (Ring.LANES_32, 16), (Ring.WORDS, 32)):
        if first > bits:
            break
        places = np.arange(first, min(bits + 1, width), dtype=np.uint64).reshape(-1, 1, 1)
        shifts, shape = np.uint64(width - 1) - places, (places.size, *key.shape)
        stacked = protocol.linear(lambda a, shifts=shifts: a << shifts, raised, shape=shape)
        groups.append(side.sign(stacked, bits=int(width)))
    signs = yield from parallel(*groups)
    numbers = yield from parallel(*map(protocol.to_arithmetic, signs))
    return [
        protocol.linear(lambda a, k=k: a[k], group, shape=key.shape) for group in numbers for k in range(group.shape[0])
    ]


def _places(protocol: MpcProtocol, digit: Sequence[Arithmetic]) -> Generator[Round, Any, Arithmetic]:
    """Where each row belongs by a digit of one to three bits, the lowest first.

    With e_v = 1 for rows of value v, c_v of them so far and s_v with lower values in all, the sum of
    e_v (s_v + c_v - 1) over all v, which is c_0 - 1 + the sum of e_v (s_v + c_v - c_0) over v > 0: one inner product.
    """
    shape = digit[0].shape
    ones = yield from _values(protocol, digit)
    count, size = ones.shape[0], math.prod(shape)
    so_far = np.ascontiguousarray(np.broadcast_to(np.arange(1, shape[-1] + 1, dtype=np.uint64), shape))
    # s_v + c_v - c_0 has n - (rows so far) in all, as c_0 is the rows so far without the others
    changes = protocol.add_public(protocol.linear(_changes, ones, shape=ones.shape), np.uint64(shape[-1]) - so_far)
    left = protocol.linear(lambda e: e.reshape(count, size).T[:, np.newaxis], ones, shape=(size, 1, count))
    right = protocol.linear(lambda a: a.reshape(count, size).T[:, :, np.newaxis], changes, shape=(size, count, 1))
    moved = yield from protocol.dot(left, right)
    kept = protocol.linear(
        lambda m, e: m.reshape(shape) - np.cumsum(np.add.reduce(e, axis=0), axis=-1), moved, ones, shape=shape
    )
    return protocol.add_public(kept, so_far - np.uint64(1))


def _values(protocol: MpcProtocol, digit: Sequence[Arithmetic]) -> Generator[Round, Any, Arithmetic]:
    """Whether rows have value v, for each v > 0.

    They follow from the products of all subsets of the bits: that of the bits of v, less those of more, plus ...
    Shapes: (2^d - 1, b, n) for d bits.
    """
    shape, bits = digit[0].shape, len(digit)
    known = dict(zip((1 << k for k in range(bits)), (yield from settled(protocol, *digit)), strict=True))
    for size in range(2, bits + 1):
        wanted = [v for v in range(1 << bits) if v.bit_count() == size]
        products = yield from parallel(*(protocol.mul(known[v & -v], known[v & (v - 1)]) for v in wanted))
        known |= dict(zip(wanted, (yield from settled(protocol, *products)), strict=True))

    def values(*products: Words) -> Words:
        found = dict(zip(known, products, strict=True))
        for k in range(bits):
            for v in sorted(found):
                if v and not v >> k & 1:
                    found[v] = found[v] - found[v | 1 << k]
        return np.stack([found[v] for v in range(1, 1 << bits)])

    return protocol.linear(values, *known.values(), shape=((1 << bits) - 1, *shape))


def _changes(e: Words) -> Words:
    """s_v + c_v - c_0 for v > 0, less what everybody knows of it.

    c_0 = (rows so far) - (the sum of all c_v), s_v = n - (the sum of all e_u with u >= v).
    """
    counts = np.cumsum(e, axis=-1)
    totals = counts[..., -1:]
    from_here = np.flip(np.cumsum(np.flip(totals, 0), axis=0), 0)
    return np.asarray(counts + np.add.reduce(counts, axis=0) - from_here)
