# SPDX-License-Identifier: Apache-2.0
"""Large calls are cut among threads, and give what one thread gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from jali.kernels import _native, reference
from tests.kernels.samples import sample_words

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[2, 3, 64])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = _native.threads()
    _native.set_threads(request.param)
    yield request.param
    _native.set_threads(before)


def test_a_matrix_product_by_rows(threads: int) -> None:
    a, b, add = sample_words(threads, 97, 700), sample_words(1, 700, 1100), sample_words(2, 97, 1100)
    np.testing.assert_array_equal(_native.matmul(a, b, add=add), reference.matmul(a, b, add=add))


def test_elementwise_kernels(threads: int) -> None:
    x, y, g = (sample_words(i, 2_100_003) for i in (threads, 1, 2))
    one = _native.masked_truncate(x, y, g, 18, leader=True)
    np.testing.assert_array_equal(one, reference.masked_truncate(x, y, g, 18, leader=True))
    product = _native.replicated_product(x, y, g, x, y)
    np.testing.assert_array_equal(product, reference.replicated_product(x, y, g, x, y))


def test_trees_by_columns(threads: int) -> None:
    w = 6_601
    c, monomials = sample_words(threads, 64, w), sample_words(1, 15, 16, w)
    found = _native.borrow_leaves(c, monomials, leader=True)
    np.testing.assert_array_equal(found, reference.borrow_leaves(c, monomials, leader=True))


def test_tables_by_elements(threads: int) -> None:
    r, coefficients = sample_words(threads, 9_001), np.random.default_rng(1).normal(size=(9, 16))
    where = {"factor": 3, "low": 50, "steps": 24, "scale": 50}
    found = _native.pieces_dealt(r, coefficients, **where)
    np.testing.assert_array_equal(found, reference.pieces_dealt(r, coefficients, **where))


def test_points_and_hashes_by_rows(threads: int) -> None:
    rows = sample_words(threads, 40_000).view(np.uint8)
    points, uniform, ends = rows[: 32 * 600].reshape(-1, 32), rows[: 48 * 2100].reshape(-1, 48), np.arange(20_001)
    scalar, offsets = bytes(range(32)), (15 * ends).astype(np.uint64)
    np.testing.assert_array_equal(_native.curve_multiply(points, scalar), reference.curve_multiply(points, scalar))
    np.testing.assert_array_equal(_native.curve_map(uniform), reference.curve_map(uniform))
    hashed = _native.sha512_each(rows, offsets, width=16)
    np.testing.assert_array_equal(hashed, reference.sha512_each(rows, offsets, width=16))


def test_one_thread_is_the_least() -> None:
    before = _native.threads()
    _native.set_threads(0)
    assert _native.threads() == 1
    _native.set_threads(before)
