# SPDX-License-Identifier: Apache-2.0
"""Additive parts: fresh ones add up to the same, and say nothing of those before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import InternalError, MaskReuseError
from jali.crypto.prg import Prg
from jali.mpc.ir import ValueType
from jali.mpc.parts import added, refreshed, word_counts
from jali.mpc.plain import PlainProtocol

TYPES = [
    ValueType(shape=(3, 5), kind="fixed", fraction=18),
    ValueType(shape=(130,), kind="bool"),
    ValueType(shape=(), kind="int"),
    ValueType(shape=(0, 4), kind="int"),
]


def neighbours(count: int, *, seed: int = 0) -> list[tuple[Prg | None, Prg | None]]:
    """The generators that each of so many holders has with the next and with the one before."""
    keys = [bytes([seed, place]) + bytes(14) for place in range(count - 1)]
    after = [*(Prg(key) for key in keys), None]
    before = [None, *(Prg(key) for key in keys)]
    return list(zip(after, before, strict=True))


@given(count=st.integers(1, 4), seed=st.integers(0, 255))
def test_fresh_parts_add_up_to_the_same(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [[rng.integers(0, 2**64, shape, dtype=np.uint64) for shape in word_counts(TYPES)] for _ in range(count)]
    fresh = [
        refreshed(own, TYPES, after=after, before=before)
        for own, (after, before) in zip(parts, neighbours(count, seed=seed), strict=True)
    ]
    for index, kind in enumerate(TYPES):
        old, new = ([np.asarray(own[index]) for own in each] for each in (parts, fresh))
        total = np.bitwise_xor.reduce if kind.kind == "bool" else np.add.reduce
        np.testing.assert_array_equal(total(old), total(new))
        for a, b in zip(old, new, strict=True):
            assert a.shape == b.shape
            assert count == 1 or not a.size or not np.any(a == b)


def test_a_sharing_of_0_is_added_once() -> None:
    prg = Prg(bytes(16))
    parts = [np.zeros(shape, np.uint64) for shape in word_counts(TYPES)]
    refreshed(parts, TYPES, after=prg, before=None)
    with pytest.raises(MaskReuseError):
        refreshed(parts, TYPES, after=prg, before=None)


def test_a_secret_has_parts() -> None:
    side: Any = PlainProtocol()
    with pytest.raises(InternalError, match="without parts"):
        added(side, [], TYPES[:1])
