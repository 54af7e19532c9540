# SPDX-License-Identifier: Apache-2.0
"""Declared ranges travel with an array, and with nothing that is computed from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jali.core.errors import FixedPointRangeError
from jali.mpc.bounds import bound_of, bounded, largest_of
from jali.mpc.engine import type_of


@pytest.mark.parametrize("value", [np.array([1.5, -2.0]), np.array([[3], [-8]]), 2.5, -7, [0.0, 8.0]])
def test_an_array_keeps_its_numbers_and_its_range(value: Any) -> None:
    array = bounded(value, 8.0)
    np.testing.assert_array_equal(array, value)
    assert bound_of(array) == (-8.0, 8.0)
    assert type_of(array).bound == (-8.0, 8.0)
    assert "within -8..8" in str(type_of(array))


def test_what_is_computed_from_it_has_no_declared_range() -> None:
    array = bounded(np.array([1.0, 2.0]), 2.0, low=1.0)
    assert bound_of(array) == (1.0, 2.0)
    for other in (array + array, array[:1], array.sum(), np.exp(array), np.asarray(array)):
        assert bound_of(other) is None


def test_the_original_is_not_touched() -> None:
    original = np.array([1.0, 2.0])
    bounded(original, 3.0)[0] = 7.0
    assert original[0] == 1.0


def test_numbers_outside_are_counted_and_not_shown() -> None:
    with pytest.raises(FixedPointRangeError, match=r"2 of 3 numbers lie outside 0\.\.1") as caught:
        bounded(np.array([-0.125, 1.0, 77.0]), 1.0, low=0.0)
    assert "77" not in str(caught.value)
    with pytest.raises(FixedPointRangeError, match="1 of 1"):
        bounded(np.nan, 1.0)
    with pytest.raises(FixedPointRangeError, match="lower end first"):
        bounded(np.array([0.5]), 1.0, low=2.0)


def test_booleans_have_no_size() -> None:
    bits = bounded(np.array([True, False]), 0.0)
    assert type_of(bits).bound is None
    assert largest_of(np.asarray(bits)) is None
    assert largest_of(np.zeros((0, 3))) is None
    assert largest_of(np.array([3, -9])) == 9.0
