# SPDX-License-Identifier: Apache-2.0
"""Randomness of the operating system."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.crypto import randomness
from jali.crypto.randomness import random_bytes, random_order, random_words

ONE_IN_A_MILLION = 1e-6


def test_words_are_uniform_bytes() -> None:
    words = random_words((512, 16))
    assert words.shape == (512, 16)
    assert words.flags.writeable
    assert chisquare(np.bincount(words.view(np.uint8).reshape(-1), minlength=256)).pvalue > ONE_IN_A_MILLION
    assert random_words(0).shape == (0,)
    assert len(random_bytes(5)) == 5


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_an_order_is_a_permutation(n: int) -> None:
    assert sorted(random_order(n).tolist()) == list(range(n))


def test_orders_are_uniform() -> None:
    codes = [int(a) * 9 + int(b) * 3 + int(c) for a, b, c in (random_order(3) for _ in range(6000))]
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 6
    assert chisquare(counts).pvalue > ONE_IN_A_MILLION


def test_equal_words_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = [np.array([7, 7, 1], np.uint64), np.array([3, 1, 2], np.uint64)]
    monkeypatch.setattr(randomness, "random_words", lambda n: draws.pop(0))
    assert random_order(3).tolist() == [1, 2, 0]
    assert draws == []
