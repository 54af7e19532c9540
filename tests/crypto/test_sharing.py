# SPDX-License-Identifier: Apache-2.0
"""Additive, replicated and Shamir sharing: correct, linear, uniform, and loud about bad shares."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import chisquare

from jali.core.errors import SharesInvalid
from jali.crypto.prg import Prg
from jali.crypto.shamir import PRIME, reconstruct_shamir, share_shamir
from jali.crypto.sharing import reconstruct_additive, reconstruct_replicated, share_additive, share_replicated

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=5)
WORDS = arrays(np.uint64, SHAPES)
FIELD = arrays(np.uint64, SHAPES, elements=st.integers(0, PRIME - 1) | st.sampled_from([0, 1, PRIME - 1]))
ONE_IN_A_MILLION = 1e-6


def _looks_uniform(words: NDArray[np.uint64], bits: int = 64) -> bool:
    """Chi-square of the top and the lowest bytes."""
    ends = (words >> np.uint64(bits - 8), words & np.uint64(255))
    counts = (np.bincount(end.reshape(-1).astype(np.int64), minlength=256) for end in ends)
    return all(chisquare(count).pvalue > ONE_IN_A_MILLION for count in counts)


@given(WORDS, st.integers(2, 5))
def test_additive_shares_add_up(x: NDArray[np.uint64], parties: int) -> None:
    shares = share_additive(x, parties)
    assert len(shares) == parties
    assert all(share.shape == x.shape for share in shares)
    assert np.array_equal(reconstruct_additive(shares), x)


@given(st.data(), st.integers(0, 2**64 - 1))
def test_additive_shares_are_linear(data: st.DataObject, factor: int) -> None:
    x, y = (data.draw(arrays(np.uint64, 4)) for _ in range(2))
    c = np.array(factor, np.uint64)
    shares = [c * a + b for a, b in zip(share_additive(x, 3), share_additive(y, 3), strict=True)]
    assert np.array_equal(reconstruct_additive(shares), c * x + y)


@given(WORDS)
def test_replicated_shares_of_any_two_parties(x: NDArray[np.uint64]) -> None:
    shares = share_replicated(x)
    for parties in [(0, 1), (1, 2), (0, 2), (0, 1, 2)]:
        assert np.array_equal(reconstruct_replicated({party: shares[party] for party in parties}), x)


@given(st.data())
def test_replicated_shares_multiply_locally(data: st.DataObject) -> None:
    """The sum over parties of x_i y_i + x_i y_{i+1} + x_{i+1} y_i is x y."""
    x, y = (data.draw(arrays(np.uint64, 4)) for _ in range(2))
    pairs = zip(share_replicated(x), share_replicated(y), strict=True)
    products = [x0 * y0 + x0 * y1 + x1 * y0 for (x0, x1), (y0, y1) in pairs]
    assert np.array_equal(reconstruct_additive(products), x * y)


@given(FIELD, st.data())
def test_any_threshold_of_shamir_shares(x: NDArray[np.uint64], data: st.DataObject) -> None:
    parties = data.draw(st.integers(1, 6))
    threshold = data.draw(st.integers(1, parties))
    shares = share_shamir(x, parties, threshold=threshold)
    assert sorted(shares) == list(range(1, parties + 1))
    chosen = data.draw(st.lists(st.sampled_from(sorted(shares)), min_size=threshold, unique=True))
    found = reconstruct_shamir({i: shares[i] for i in chosen}, threshold=threshold)
    assert np.array_equal(found, x)


@given(st.lists(st.integers(0, PRIME - 1), min_size=3, max_size=3), st.integers(0, 2**20))
def test_shamir_shares_are_linear(values: list[int], factor: int) -> None:
    x, y = np.array(values, np.uint64), np.array(values[::-1], np.uint64)
    a, b = share_shamir(x, 4, threshold=3), share_shamir(y, 4, threshold=3)
    both = {
        i: np.array([(factor * int(u) + int(v)) % PRIME for u, v in zip(a[i], b[i], strict=True)], np.uint64) for i in a
    }
    expected = [(factor * int(u) + int(v)) % PRIME for u, v in zip(x, y, strict=True)]
    assert reconstruct_shamir(both, threshold=3).tolist() == expected


def test_shamir_agrees_with_whole_numbers() -> None:
    """Every share against the polynomial in Python's integers, at the corners of the field."""
    corners = [0, 1, 2**32 - 1, 2**32, 2**60, PRIME - 2, PRIME - 1]
    drawn = [np.full(7, c, np.uint64) << np.uint64(3) for c in (PRIME - 1, 2**60 + 12345)]
    a, b = (int(d[0]) >> 3 for d in drawn)
    shares = share_shamir(np.array(corners, np.uint64), 500, threshold=3, draw=lambda shape: drawn.pop(0))
    for i in (1, 2, 3, 77, 500):
        assert shares[i].tolist() == [(x + a * i + b * i * i) % PRIME for x in corners]


@pytest.mark.parametrize("secret", [0, 1, 2**61 - 2])
def test_each_share_is_uniform_whatever_the_secret(secret: int) -> None:
    x = np.full(20_000, secret, np.uint64)
    assert all(_looks_uniform(share) for share in share_additive(x, 3))
    assert all(_looks_uniform(part) for pair in share_replicated(x) for part in pair)
    assert all(_looks_uniform(share, bits=61) for share in share_shamir(x, 3, threshold=2).values())
    two_of_three = share_shamir(x, 3, threshold=3)
    assert _looks_uniform((two_of_three[1] + two_of_three[2]) % np.uint64(PRIME), bits=61)


def test_the_uniformity_test_can_fail() -> None:
    assert not _looks_uniform(np.arange(20_000, dtype=np.uint64))
    assert not _looks_uniform(np.full(20_000, 5, np.uint64))


def test_shares_can_come_from_a_generator() -> None:
    x = np.arange(6, dtype=np.uint64)
    ours, theirs = (share_additive(x, 2, draw=partial(Prg(bytes(16)).words, 1)) for _ in range(2))
    assert np.array_equal(ours[1], theirs[1])
    assert np.array_equal(ours[0], Prg(bytes(16)).words(1, 6))


def test_too_few_or_contradicting_shares() -> None:
    x = np.arange(3, dtype=np.uint64)
    shares = share_shamir(x, 5, threshold=3)
    for few in combinations(shares, 2):
        with pytest.raises(SharesInvalid, match="at least 3 shares, found 2"):
            reconstruct_shamir({i: shares[i] for i in few}, threshold=3)
    shares[4] = (shares[4] + np.uint64(1)) % np.uint64(PRIME)
    with pytest.raises(SharesInvalid, match="share 4 contradicts"):
        reconstruct_shamir(shares, threshold=3)
    pairs = share_replicated(x)
    with pytest.raises(SharesInvalid, match="2 or 3"):
        reconstruct_replicated({0: pairs[0]})
    with pytest.raises(SharesInvalid, match="2 or 3"):
        reconstruct_replicated({0: pairs[0], 3: pairs[1]})
    with pytest.raises(SharesInvalid, match=r"part 1 .* not equal"):
        reconstruct_replicated({0: pairs[0], 1: (pairs[1][0] + np.uint64(1), pairs[1][1])})
    with pytest.raises(SharesInvalid, match="found 1"):
        reconstruct_additive([x])


def test_shapes_numbers_and_elements_are_checked() -> None:
    x, y = np.zeros(3, np.uint64), np.zeros(2, np.uint64)
    with pytest.raises(SharesInvalid, match="one shape"):
        reconstruct_additive([x, y])
    with pytest.raises(SharesInvalid, match="one shape"):
        reconstruct_replicated({0: (x, x), 1: (x, y)})
    with pytest.raises(SharesInvalid, match="one shape"):
        reconstruct_shamir({1: x, 2: y}, threshold=2)
    with pytest.raises(SharesInvalid, match="below 2\\^61"):
        reconstruct_shamir({1: x, 2: x + np.uint64(PRIME)}, threshold=2)
    with pytest.raises(SharesInvalid, match="numbers from 1"):
        reconstruct_shamir({0: x, 1: x}, threshold=2)
    with pytest.raises(ValueError, match="below 2"):
        share_shamir(x + np.uint64(PRIME), 3, threshold=2)
    for parties, threshold in [(3, 4), (3, 0), (2**16, 2)]:
        with pytest.raises(ValueError, match="1 <= threshold <= parties"):
            share_shamir(x, parties, threshold=threshold)
    with pytest.raises(ValueError, match="at least 2 parties"):
        share_additive(x, 1)
