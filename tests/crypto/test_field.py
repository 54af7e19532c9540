# SPDX-License-Identifier: Apache-2.0
"""Polynomials over the field with 2^128 elements, against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jali.crypto.field import polynomial, times
from jali.crypto.randomness import random_bytes, random_words

MODULUS = (1 << 128) | 0b10000111


def by_hand(x: int, y: int) -> int:
    result = 0
    for bit in range(128):
        if y >> bit & 1:
            result ^= x << bit
    for bit in range(254, 127, -1):
        if result >> bit & 1:
            result ^= MODULUS << bit - 128
    return result


def number(words: np.ndarray) -> int:
    return int.from_bytes(words.tobytes(), "little")


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 33])
def test_polynomials(n: int) -> None:
    coefficients, point = random_words((n, 2)), random_bytes(16)
    expected, power = 0, 1
    for row in coefficients:
        expected ^= by_hand(number(row), power)
        power = by_hand(power, int.from_bytes(point, "little"))
    before = coefficients.copy()
    assert number(polynomial(coefficients, point)) == expected
    assert np.array_equal(coefficients, before)
    assert [number(row) for row in times(coefficients, point)] == [
        by_hand(number(row), int.from_bytes(point, "little")) for row in coefficients
    ]
