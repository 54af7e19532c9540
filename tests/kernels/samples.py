# SPDX-License-Identifier: Apache-2.0
"""Words, bits and numbers to try kernels on: random ones mixed with those at the borders."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from jali.kernels import _native, reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["LEVELS", "SEEDS", "SIZES", "at_level", "sample_bits", "sample_numbers", "sample_words"]

LEVELS = _native.levels()

# Around the widths of vectors (2, 4, 8), of words (64), of a chunk of the key stream (16, 64), of eight blocks of bits.
SIZES = st.one_of(
    st.sampled_from([0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 511, 512, 513, 1025]), st.integers(0, 2000)
)
SEEDS = st.integers(0, 2**64 - 1)

_BORDERS = np.array([0, 1, 2, 2**32 - 1, 2**32, 2**52, 2**62, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)


def sample_words(seed: int, *shape: int, stream: int = 0) -> NDArray[np.uint64]:
    """Words of the given shape, about a quarter of them at the borders of the ring."""
    size = int(np.prod(shape, dtype=np.int64))
    raw = reference.prg_words(bytes([stream] * 16), seed, 2 * size)
    words, choice = raw[:size], raw[size:]
    borders = _BORDERS[(choice >> np.uint64(8)) % np.uint64(_BORDERS.size)]
    return np.where(choice % np.uint64(4) == 0, borders, words).reshape(shape)


def sample_numbers(seed: int, n: int, bits: int) -> NDArray[np.float64]:
    """Numbers that fixed point with `bits` fraction bits holds: any, halves of the last place, and the extremes."""
    limit = 2.0 ** (62 - bits)
    words = sample_words(seed, n)
    anything = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53 * limit
    ties = ((words % np.uint64(1 << 20)).astype(np.float64) + 0.5) * 2.0**-bits
    tiny = words.astype(np.float64) * 2.0**-1074
    extremes = np.full(n, np.nextafter(limit, 0))
    kind = sample_words(seed, n, stream=1) % np.uint64(5)
    numbers = np.select([kind == 0, kind == 1, kind == 2], [np.minimum(ties, extremes), extremes, tiny], anything)
    signs = np.where(sample_words(seed, n, stream=2) % np.uint64(2) == 0, 1.0, -1.0)
    return np.asarray(numbers * signs, np.float64)


def sample_bits(seed: int, n: int) -> NDArray[np.uint8]:
    """Bytes, about half of them zero."""
    words = sample_words(seed, n)
    return np.where(words % np.uint64(2) == 0, 0, words >> np.uint64(56)).astype(np.uint8)


@contextmanager
def at_level(level: str) -> Iterator[None]:
    """Run the native kernels at a level, then at the level before."""
    before = _native.level()
    _native.set_level(level)
    try:
        yield
    finally:
        _native.set_level(before)
