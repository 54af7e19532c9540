# SPDX-License-Identifier: Apache-2.0
"""Cuckoo tables: every key has one of its places, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest

from jali.core.errors import InternalError
from jali.crypto.randomness import random_words
from jali.psi import cuckoo
from jali.psi.cuckoo import TABLES, arrange, places, queries, size_for


def _digests(n: int) -> np.ndarray:
    return random_words((n, 2)).view(np.uint8).reshape(n, 16)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 255, 256, 1000, 20_000, 300_000])
def test_each_key_is_in_one_of_its_places(n: int) -> None:
    size = size_for(n)
    where = places(_digests(n), size)
    assert where.shape == (n, TABLES)
    assert np.array_equal(where // (size // TABLES), np.broadcast_to(np.arange(TABLES), (n, TABLES)))
    holder = arrange(where, size)
    taken = np.flatnonzero(holder >= 0)
    assert np.array_equal(np.sort(holder[taken]), np.arange(n))
    assert np.all(np.any(where[holder[taken]] == taken[:, None], axis=1))


def test_few_keys_fit_in_thousands_of_runs() -> None:
    """With far fewer places than `size_for` says, some runs fail; with these, none of thousands."""
    for n in (4, 8, 16):
        for _ in range(1000):
            arrange(places(_digests(n), size_for(n)), size_for(n))


def test_keys_that_cannot_have_places_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuckoo, "_MOST_STEPS", 50)
    where = np.broadcast_to(np.arange(3) * 5, (4, 3))
    with pytest.raises(InternalError, match="4 keys"):
        arrange(where, 15)


@pytest.mark.parametrize(("n", "size"), [(1, 51), (1000, 1458), (2**20, 1_613_196)])
def test_sizes(n: int, size: int) -> None:
    assert size_for(n) == size


def test_a_key_has_another_query_in_each_table() -> None:
    digests = _digests(100)
    rows = np.concatenate([queries(digests, table) for table in range(TABLES)])
    assert len(np.unique(rows, axis=0)) == 300
    mixed = queries(digests, np.arange(100) % TABLES)
    assert np.array_equal(mixed[1::3], rows[100:200][1::3])
