# SPDX-License-Identifier: Apache-2.0
"""How many elements are compared when: fixed by the number of elements, so that it shows nothing and can be dealt for.

The first s of n shuffled rows are a random sample, which is sorted first. Each other row finds its place among them by
a search with L levels of R - 1 comparisons, s = R^L - 1; and all pairs of rows in one place are compared. Only the
number of those pairs is random. It stays within a budget but for a probability of 2^-40.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from jali.mpc.rings import smallest

__all__ = ["Step", "digits_are_cheaper", "network", "network_is_cheaper", "pair_budget", "schedule"]

_LEVEL = 20_000
"""A level of comparisons side by side is worth as much as so many comparisons: about 5 rounds against 30 bytes each."""

_BYTES, _ROUNDS = 30, 5
_MOST_BITS = 62

_RADICES = (2, 4, 8)
_FAILURE_BITS = 40
_LARGEST_NETWORK = 64


class Step(NamedTuple):
    """How to sort n rows: the first `sample` of them, then `levels` comparisons with radix - 1 pivots, then `pairs`.

    With `sample` 0 all pairs are compared at once.
    """

    sample: int
    radix: int
    levels: int
    pairs: int


def schedule(count: int, batch: int) -> Step:
    """The cheapest step for `count` rows in each of `batch` arrays."""
    return _best(count, batch)[1]


@cache
def network(count: int) -> list[list[tuple[int, int]]]:
    """The places that a sorting network compares and exchanges side by side, level by level (merge exchange).

    References: K. E. Batcher, Sorting networks and their applications, 1968; Knuth, volume 3, algorithm 5.2.2 M.
    """
    levels = []
    top = 1 << max((count - 1).bit_length() - 1, 0)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            level = [(i, i + d) for i in range(count - d) if i & p == r]
            if level:
                levels.append(level)
            d, q, r = q - p, q >> 1, p
            if q < p:
                break
        p >>= 1
    return levels


def network_is_cheaper(count: int, batch: int) -> bool:
    """Whether exchanges in secret, which need no shuffle, beat comparisons in clear: for very few elements.

    An exchange is a comparison of one column and a choice, 21 bytes and 4 rounds where a comparison in clear is 27
    bytes and 5 rounds; a shuffle is 2 rounds and 32 bytes for an element and its place.
    """
    if count > _LARGEST_NETWORK:
        return False
    levels = network(count)
    in_secret = 0.8 * (batch * sum(map(len, levels)) + _LEVEL * len(levels))
    return in_secret < _best(count, batch)[0] + 1.2 * batch * count + 0.4 * _LEVEL


def digits_are_cheaper(count: int, batch: int, *, keys: int, bits: int) -> bool:
    """Whether a radix sort beats comparisons, for keys between -2^bits and 2^bits: for few bits.

    A bit of a key is 140 bytes for each row, in 3.7 rounds. Comparisons are of keys and places in one ring, if there is
    room for both; they cost as many bytes as they have bits, or some less.
    """
    room = count.bit_length()
    together = keys == 1 and bits + room <= _MOST_BITS
    width = smallest(2.0 ** (bits + room + 1)) if together else keys * smallest(2.0 ** (bits + 1)) + smallest(count)
    pairs, levels = _best_parts(count, batch)
    by_comparisons = pairs * 0.85 * width + levels * _LEVEL * _BYTES
    by_digits = keys * (bits + 1) * (140 * batch * count + 3.7 * _LEVEL * _BYTES / _ROUNDS)
    return by_digits < by_comparisons


def _best_parts(count: int, batch: int) -> tuple[int, int]:
    """Comparisons and levels of the schedule."""
    if count < 2:
        return 0, 0
    step = schedule(count, batch)
    if not step.sample:
        return step.pairs, 1
    pairs, levels = _best_parts(step.sample, batch)
    rest = batch * (count - step.sample)
    return pairs + rest * (step.radix - 1) * step.levels + step.pairs, levels + step.levels + 1


@cache
def _best(count: int, batch: int) -> tuple[int, Step]:
    """The cost in comparisons, and the step."""
    at_once = batch * count * (count - 1) // 2
    best = (at_once + _LEVEL, Step(0, 0, 0, at_once))
    steps = [(radix, levels) for radix in _RADICES for levels in range(1, 64) if radix**levels - 1 < count / 2]
    for radix, levels in sorted(steps, key=lambda step: -(step[0] ** step[1])):
        sample = radix**levels - 1
        rest = count - sample
        cost = batch * rest * (radix - 1) * levels + (levels + 1) * _LEVEL
        if cost + batch * rest * (rest - 1) // (sample + 2) < best[0]:  # with the pairs to expect
            pairs = pair_budget(rest, sample, batch=batch)
            best = min(best, (cost + pairs + _best(sample, batch)[0], Step(sample, radix, levels, pairs)))
    return best


@cache
def pair_budget(rest: int, sample: int, *, batch: int = 1) -> int:
    """A number of pairs that rows in one place make up, exceeded with a probability below 2^-40.

    In a random order of m = `rest` and s = `sample` rows, the numbers b_j of rows between neighbours of the sample are
    uniform among those that add up to m, so P[b_j = k] = C(m - k + s - 1, s - 1) / C(m + s, s). Some b_j exceeds t with
    probability at most (s + 1) (m / (m + s))^(t + 1). They are independent geometric numbers given their sum, hence
    negatively associated, and Chernoff's bound holds as if they were independent. For f(b) = b (b - 1) / 2 and x > 0

        P[sum f(min(b_j, t)) > B] <= exp(-x B) E[exp(x f(min(b, t)))]^(s + 1)

    Rounded up to two digits, so that machines whose exp differs in the last bit agree.
    References: Joag-Dev, Proschan 1983, Negative association of random variables, theorem 2.8.
    """
    m, s, places = rest, sample, batch * (sample + 1)
    half = (_FAILURE_BITS + 1) * math.log(2)  # for either of two ways to fail
    rare = half + math.log(places)
    t = min(m, math.ceil(rare / math.log((m + s) / m)) - 1)
    k = np.arange(t + 1, dtype=np.float64)
    ratios = np.log((m - k[:-1]) / (m - k[:-1] + s - 1))
    log_chance = math.log(s / (m + s)) + np.concatenate([[0.0], np.cumsum(ratios)])
    pairs = k * (k - 1) / 2
    x = 2.0 ** -(np.arange(100) / 4)[:, np.newaxis]
    # The last term stands for all b above t.
    exponents = np.concatenate([log_chance + x * pairs, x * pairs[-1] - rare], axis=1)
    top = exponents.max(axis=1)
    log_moment = top + np.log(np.exp(exponents - top[:, np.newaxis]).sum(axis=1))
    bound = int(np.min((half + places * log_moment) / x[:, 0]))
    digit: int = 10 ** max(0, len(str(bound)) - 2)
    return min(batch * m * (m - 1) // 2, int(bound // digit + 1) * digit)
