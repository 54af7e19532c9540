# SPDX-License-Identifier: Apache-2.0
"""Permutations of rows that several roles draw alike."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

__all__ = ["KEY_WORDS", "Permutation"]

KEY_WORDS = 2
"""Random words for each element: they are sorted, and the second decides where the first is the same."""


class Permutation:
    """A permutation of each row of arrays of shape (b, n), made when it is first used.

    Security: uniform words give one within n^2 / 2^129 of uniform.
    """

    def __init__(self, words: Callable[[], Words]) -> None:
        """`words` draws (KEY_WORDS, b, n) random words."""
        self._words = words

    def __call__(self, x: Words) -> Words:
        """x with its rows permuted."""
        return x.reshape(-1)[self._places].reshape(x.shape)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where in the flattened array each element comes from."""
        first, second = self._words()
        order = np.argsort(first, axis=-1)  # several times faster than a stable sort; equal words are seen next
        ordered = np.take_along_axis(first, order, -1)
        if bool(np.any(ordered[..., 1:] == ordered[..., :-1])):  # once in 2^31 times for 1e5 elements
            order = np.lexsort((second, first), axis=-1)
        rows, count = first.shape
        places: NDArray[np.int64] = (order + count * np.arange(rows)[:, np.newaxis]).reshape(-1)
        return places
