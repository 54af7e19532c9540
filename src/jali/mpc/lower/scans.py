# SPDX-License-Identifier: Apache-2.0
"""Rules: running results along an axis (cummax, cummin, cumprod, cumlogsumexp), for any associative combination.

References: Ladner, Fischer 1980, Parallel prefix computation; Hillis, Steele 1986, Data parallel algorithms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.mpc.lower.arithmetic import add, function, mul, neg, sub
from jali.mpc.lower.bits import choose, less
from jali.mpc.lower.builder import Builder, Operand, Secret, rule
from jali.mpc.lower.views import chosen_rows, joined, sliced, transpose

if TYPE_CHECKING:
    from collections.abc import Callable

    Combine = Callable[[Builder, Secret, Secret], Operand]

__all__: list[str] = []

_SHORT = 64
"""Up to so many elements each level combines all of them: half the levels for more combinations."""


@rule("cummax")
def _cummax(build: Builder, params: Any, x: Secret) -> Operand:
    return _running(build, params, x, _greater)


@rule("cummin")
def _cummin(build: Builder, params: Any, x: Secret) -> Operand:
    return neg(build, _running(build, params, neg(build, x), _greater))


@rule("cumprod")
def _cumprod(build: Builder, params: Any, x: Secret) -> Operand:
    return _running(build, params, x, mul)


@rule("cumlogsumexp")
def _cumlogsumexp(build: Builder, params: Any, x: Secret) -> Operand:
    return _running(build, params, x, _logaddexp)


def _greater(build: Builder, x: Secret, y: Secret) -> Operand:
    return choose(build, less(build, x, y), y, x)


def _logaddexp(build: Builder, x: Secret, y: Secret) -> Operand:
    """log(e^x + e^y) = x + softplus(y - x)."""
    return add(build, x, function(build, "softplus", build.shared(sub(build, y, x), x.type)))


def _running(build: Builder, params: Any, x: Secret, combine: Combine) -> Secret:
    """The combination of all elements up to each, along an axis.

    Cost: log2(n) levels of n combinations for few elements, else 2 log2(n) levels and 2 n combinations in all.
    """
    axis, backwards = int(params["axis"]), bool(params["reverse"])
    axes = (axis, *(k for k in range(len(x.shape)) if k != axis))
    pile = _turned(build, transpose(build, build.usual(x), axes), backwards=backwards)
    result = _turned(build, _prefixes(build, pile, combine), backwards=backwards)
    return transpose(build, result, tuple(int(k) for k in np.argsort(axes)))


def _turned(build: Builder, pile: Secret, *, backwards: bool) -> Secret:
    return build.emit("view", [pile], pile.type, how="reverse", axes=(0,)) if backwards else pile


def _prefixes(build: Builder, pile: Secret, combine: Combine) -> Secret:
    count = pile.shape[0]
    if count <= _SHORT:
        return _doubled(build, pile, combine)
    pairs = _combined(build, combine, _part(build, pile, 0, count - 1, 2), _part(build, pile, 1, count, 2))
    at_odd = _prefixes(build, pairs, combine)
    upto = _part(build, at_odd, 0, (count - 1) // 2, 1)
    at_even = _combined(build, combine, upto, _part(build, pile, 2, count, 2))
    together = joined(build, [_part(build, pile, 0, 1, 1), at_odd, at_even], axis=0)
    order = [0] * count
    order[1::2] = range(1, 1 + at_odd.shape[0])
    order[2::2] = range(1 + at_odd.shape[0], count)
    return chosen_rows(build, together, order)


def _doubled(build: Builder, pile: Secret, combine: Combine) -> Secret:
    """Each element takes in what ends one, two, four, ... places before it."""
    count, distance = pile.shape[0], 1
    while distance < count:
        upper = _combined(
            build, combine, _part(build, pile, 0, count - distance, 1), _part(build, pile, distance, count, 1)
        )
        pile = joined(build, [_part(build, pile, 0, distance, 1), upper], axis=0)
        distance *= 2
    return pile


def _combined(build: Builder, combine: Combine, x: Secret, y: Secret) -> Secret:
    return build.shared(combine(build, x, y), x.type)


def _part(build: Builder, x: Secret, start: int, stop: int, step: int) -> Secret:
    """Rows of the first axis."""
    rest = x.shape[1:]
    shape = (len(range(start, stop, step)), *rest)
    bounds = ((start, *(0 for _ in rest)), (stop, *rest), (step, *(1 for _ in rest)))
    return sliced(build, x, bounds, shape=shape)
