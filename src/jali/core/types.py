# SPDX-License-Identifier: Apache-2.0
"""Small types that every layer shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Spec"]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape and type of an array, without its values: what an owner announces.

    `dtype` is numpy's name ("float64", "int64", "bool", "<U12"); `bound` the range that its owner declares, if any.
    """

    shape: tuple[int, ...]
    dtype: str = "float64"
    bound: tuple[float, float] | None = None

    @classmethod
    def of(cls, array: NDArray[Any]) -> Spec:
        """The spec of an array (numpy's, or anything with a shape and a dtype)."""
        return cls(tuple(int(size) for size in array.shape), str(array.dtype))

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    def __str__(self) -> str:
        """Like float64[10, 3]."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
