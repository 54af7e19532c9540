# SPDX-License-Identifier: Apache-2.0
"""Sorting, written once over the contract: shuffle, compare, disclose the order of what is shuffled, rearrange.

After a shuffle that no role knows, the order of distinct rows is a uniformly random one, whatever the data are. So the
results of comparisons may be opened, and a sort needs as few as one in clear. Rows are made distinct by their first
places, which are shuffled along and decide between equal keys: the sort is stable, and ties do not show.

Which rows are compared depends on what was opened, and a dealer must not hear it. So how many are compared when is
fixed by the shapes (`jali.mpc.order.schedule`), differences are opened under fresh masks, and where a role does not
know the order, the rows' numbers are None.

References: Hamada, Kikuchi, Ikarashi, Chida, Takahashi 2012, Practically efficient multi-party sorting protocols from
comparison sort algorithms (ICISC), on comparisons in clear after a shuffle.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jali.core.errors import InternalError, ProtocolAbort
from jali.mpc.functions.basis import check_domain
from jali.mpc.order.schedule import schedule
from jali.mpc.rings import smallest
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, Boolean, MpcProtocol
    from jali.mpc.order.schedule import Step
    from jali.mpc.rounds import Round

    Integers = NDArray[np.int64]
    Rows = Integers | None
    Part = tuple[Boolean, Boolean | None]

__all__ = ["known", "sort_columns"]

T = TypeVar("T")

_MOST_BITS = 62

_MOST_AT_ONCE = 1 << 21
"""Comparisons side by side: what they need of memory is some 300 B each."""


def sort_columns(
    protocol: MpcProtocol, columns: Sequence[Arithmetic], *, keys: int, bits: int = 62
) -> Generator[Round, Any, list[Arithmetic]]:
    """Columns of one shape (b, n), each row sorted upwards in all of them alike by the first `keys` columns; stable.

    Keys lie between -2^bits and 2^bits, at most 2^62, so that differences fit; `plain` refuses others. One key that
    leaves room for a place below it is compared together with it, which takes half.

    Security: what a role sees beside masked values is the order of the shuffled rows, uniformly random.
    Cost: a shuffle, then some 20 comparisons of all keys for each row in 40 levels for 1e5 rows, of 7 rounds at most.
    Raises: ProtocolAbort with a probability below 2^-40 for each of the schedule's steps, whatever the data are.
    """
    shape = columns[0].shape
    if shape[-1] < 2 or not shape[0]:
        return list(columns)
    places = np.ascontiguousarray(np.broadcast_to(np.arange(shape[-1], dtype=np.uint64), shape))
    for x in columns[:keys]:
        check_domain(protocol, x, low=-(2**bits), high=2**bits, what="a sort")
    *shuffled, place = yield from protocol.shuffle(*columns, protocol.public(places))
    room = shape[-1].bit_length()
    decisive, sizes = [*shuffled[:keys], place], [*[bits] * keys, room]
    if keys == 1 and bits + room <= _MOST_BITS:
        decisive = [protocol.linear(lambda a, p: (a << np.uint64(room)) + p, *decisive, shape=shape)]
        sizes = [bits + room]
    compare = _Comparison(protocol, decisive, [smallest(2.0 ** (size + 1)) for size in sizes])
    rows: Integers = np.arange(math.prod(shape)).reshape(shape)
    order = yield from _ordered(compare, rows, (shape[0], shape[1]))
    return [protocol.linear(lambda a: _taken(a, known(order)), x, shape=shape) for x in shuffled]


class _Comparison:
    """Whether rows come before others: by the first column, where it is equal by the second, and so on."""

    def __init__(self, protocol: MpcProtocol, columns: Sequence[Arithmetic], widths: Sequence[int]) -> None:
        self._protocol = protocol
        self._columns = columns
        self._widths = widths

    def __call__(self, first: Rows, second: Rows, shape: tuple[int, ...]) -> Generator[Round, Any, Any]:
        """Bits in clear, None at a role that does not know the order. All rows are distinct, or the same."""
        size = math.prod(shape)
        answers = []
        for start in range(0, size, _MOST_AT_ONCE):
            part = slice(start, min(size, start + _MOST_AT_ONCE))
            pair = _where(lambda *rows, part=part: [r.reshape(-1)[part] for r in rows], first, second)
            answers.append((yield from self._before(pair, part.stop - part.start)))
        return _where(lambda *bits: np.concatenate(bits).reshape(shape), *answers)

    def _before(self, pair: list[Integers] | None, size: int) -> Generator[Round, Any, NDArray[np.bool_] | None]:
        protocol = self._protocol

        def gap(a: NDArray[np.uint64]) -> NDArray[np.uint64]:
            first, second = known(pair)
            return _taken(a, first) - _taken(a, second)

        gaps = [protocol.linear(gap, x, shape=(size,)) for x in self._columns]
        upper = zip(gaps[:-1], self._widths[:-1], strict=True)
        *parts, last = yield from parallel(
            *(protocol.compare_with_zero(x, bits=width) for x, width in upper),
            protocol.sign(gaps[-1], bits=self._widths[-1]),
        )
        parts.append((last, None))
        while len(parts) > 1:
            odd = parts[-1:] if len(parts) % 2 else []
            joined = (_joined(protocol, *two) for two in zip(parts[::2], parts[1::2], strict=False))
            parts = [*(yield from parallel(*joined)), *odd]
        return (yield from protocol.disclose(parts[0][0]))


def _joined(protocol: MpcProtocol, upper: Part, lower: Part) -> Generator[Round, Any, Part]:
    """Below and equal in two columns: b_1 ^ e_1 b_2 and e_1 e_2. None stands for "never equal"."""
    (below, equal), (below_in_second, equal_in_second) = upper, lower
    if equal is None:
        raise InternalError("a column after the one that decides")
    both = [below_in_second] if equal_in_second is None else [below_in_second, equal_in_second]
    products = yield from parallel(*(protocol.conjunction(equal, other) for other in both))
    return protocol.xor(below, products[0]), (products[1] if len(products) > 1 else None)


# -- the schedule ---------------------------------------------------------------------------------------------------


def _ordered(compare: _Comparison, rows: Rows, shape: tuple[int, int]) -> Generator[Round, Any, Rows]:
    """Numbers of rows, (b, n), in the order of what they hold, for each of b arrays."""
    batch, count = shape
    if count < 2:
        return rows
    step = schedule(count, batch)
    if not step.sample:
        return (yield from _all_pairs(compare, rows, shape))
    split = step.sample
    sample = _where(lambda r: r[:, :split], rows)
    rest = _where(lambda r: r[:, split:], rows)
    pivots = yield from _ordered(compare, sample, (batch, split))
    places = yield from _searched(compare, pivots, rest, step=step, shape=(batch, count - split))
    pairs = _where(partial(_pairs, budget=step.pairs, gaps=split + 1), places)
    before = yield from compare(
        _where(lambda r, p: r.reshape(-1)[p[0]], rest, pairs),
        _where(lambda r, p: r.reshape(-1)[p[1]], rest, pairs),
        (step.pairs,),
    )
    return _where(_merged, pivots, rest, places, pairs, before)


def _all_pairs(compare: _Comparison, rows: Rows, shape: tuple[int, int]) -> Generator[Round, Any, Rows]:
    """A row's place is the number of rows that come before it."""
    batch, count = shape
    i, j = np.triu_indices(count, 1)
    before = yield from compare(
        _where(lambda r: r[:, i], rows), _where(lambda r: r[:, j], rows), (batch, count * (count - 1) // 2)
    )

    def order(r: Integers, bits: NDArray[np.bool_]) -> Integers:
        first = np.arange(batch)[:, np.newaxis] * count
        later = np.bincount((first + np.where(bits, j, i)).reshape(-1), minlength=batch * count)
        result = np.empty_like(r)
        np.put_along_axis(result, later.reshape(batch, count), r, axis=1)
        return result

    return _where(order, rows, before)


def _searched(
    compare: _Comparison, pivots: Rows, rest: Rows, *, step: Step, shape: tuple[int, int]
) -> Generator[Round, Any, Rows]:
    """How many of the pivots come before each row: one digit of that number a level, the highest first."""
    batch, count = shape
    places: Rows = _where(np.zeros_like, rest)
    for level in range(step.levels):
        width = step.radix ** (step.levels - 1 - level)
        offsets = width * np.arange(1, step.radix) - 1

        def against(sorted_: Integers, found: Integers, offsets: Integers = offsets) -> Integers:
            wanted = found[:, :, np.newaxis] + offsets
            return np.take_along_axis(sorted_, wanted.reshape(batch, -1), axis=1).reshape(wanted.shape)

        pivot = _where(against, pivots, places)
        row = _where(lambda r: np.repeat(r[:, :, np.newaxis], step.radix - 1, axis=2), rest)
        before = yield from compare(pivot, row, (batch, count, step.radix - 1))
        places = _where(lambda found, bits, width=width: found + width * bits.sum(axis=2), places, before)
    return places


def _pairs(places: Integers, *, budget: int, gaps: int) -> tuple[Integers, Integers]:
    """All pairs of rows in one gap between pivots, as numbers within the rest; filled up with pairs of one row.

    Raises: ProtocolAbort if there are too many.
    """
    bucket = (places + gaps * np.arange(places.shape[0])[:, np.newaxis]).reshape(-1)
    by_bucket = np.argsort(bucket, kind="stable")
    ordered = bucket[by_bucket]
    start = np.searchsorted(ordered, ordered, side="left")
    ahead = np.arange(bucket.size) - start  # rows of the same gap that are named before this one
    total = int(ahead.sum())
    if total > budget:
        raise ProtocolAbort(
            f"a sort met {total} pairs of rows to compare where it may compare {budget}, which happens to one in 2^40 "
            "sorts, whatever the data are: run the program again"
        )
    result = np.zeros((2, budget), np.int64)
    result[0, :total] = np.repeat(by_bucket, ahead)
    within = np.arange(total) - np.repeat(np.cumsum(ahead) - ahead, ahead)
    result[1, :total] = by_bucket[np.repeat(start, ahead) + within]
    return result[0], result[1]


def _merged(
    pivots: Integers, rest: Integers, places: Integers, pairs: tuple[Integers, Integers], before: NDArray[np.bool_]
) -> Integers:
    """All rows in order: each goes behind the pivots before it, the rest of earlier gaps, and rows of its own gap."""
    batch, gaps, count = pivots.shape[0], pivots.shape[1] + 1, rest.shape[1]
    bucket = (places + gaps * np.arange(batch)[:, np.newaxis]).reshape(-1)
    sizes = np.bincount(bucket, minlength=batch * gaps)
    until = np.cumsum(sizes)
    later = np.bincount(np.where(before, pairs[1], pairs[0]), minlength=bucket.size)
    later[0] -= int(np.count_nonzero(pairs[0] == pairs[1]))  # what the budget was filled up with
    first = np.arange(batch)[:, np.newaxis] * (gaps - 1)
    result = np.empty(rest.size + pivots.size, np.int64)
    result[(until - sizes)[bucket] + later + (first + places).reshape(-1)] = rest.reshape(-1)
    result[until.reshape(batch, gaps)[:, :-1] + first + np.arange(gaps - 1)] = pivots
    return result.reshape(batch, count + gaps - 1)


# -- what a role knows ----------------------------------------------------------------------------------------------


def _where(function: Callable[..., T], *known: Any) -> T | None:
    """The function of what this role knows; None if it does not."""
    return None if any(x is None for x in known) else function(*known)


def known(x: T | None) -> T:
    """What only roles ask for who know it.

    Raises: InternalError at others: `linear` evaluated a rearrangement where it must not.
    """
    if x is None:
        raise InternalError("a role that must not know the order of shuffled rows asked for it")
    return x


def _taken(a: NDArray[np.uint64], places: Integers) -> NDArray[np.uint64]:
    return a.reshape(-1)[places]
