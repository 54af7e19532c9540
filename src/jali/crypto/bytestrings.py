# SPDX-License-Identifier: Apache-2.0
"""Many byte strings, end to end in one array: what kernels take, at a fraction of the memory of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ByteStrings"]

_CHUNK = 65536  # strings, so that indices of bytes stay small


class ByteStrings:
    """String i is `data[offsets[i] : offsets[i + 1]]`.

    Shapes: data (bytes,) uint8, offsets (n + 1,) uint64.
    Security: may hold identifiers; `repr` gives numbers only.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.uint64]) -> None:
        """Take arrays that fit each other."""
        self.data, self.offsets = data, offsets

    @classmethod
    def of(cls, strings: Sequence[bytes]) -> ByteStrings:
        """Copy a sequence."""
        offsets = np.zeros(len(strings) + 1, np.uint64)
        np.cumsum(np.fromiter(map(len, strings), np.uint64, len(strings)), out=offsets[1:])
        return cls(np.frombuffer(b"".join(strings), np.uint8), offsets)

    @classmethod
    def rows(cls, rows: NDArray[np.uint8]) -> ByteStrings:
        """The rows of a matrix, without a copy if it is contiguous.

        Shapes: (n, width).
        """
        offsets = np.arange(len(rows) + 1, dtype=np.uint64) * np.uint64(rows.shape[1])
        return cls(np.ascontiguousarray(rows).reshape(-1), offsets)

    @classmethod
    def slices(cls, data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> ByteStrings:
        """Copy stretches of an array, which may overlap.

        Shapes: starts and lengths (n,).
        """
        offsets = np.zeros(len(starts) + 1, np.uint64)
        np.cumsum(lengths, out=offsets[1:], dtype=np.uint64)
        copied = np.empty(int(offsets[-1]), np.uint8)
        for at in range(0, len(starts), _CHUNK):
            part, begin = slice(at, at + _CHUNK), int(offsets[at])
            first = offsets[at : at + len(starts[part])].astype(np.int64)
            total = int(lengths[part].sum())
            copied[begin : begin + total] = data[
                np.arange(begin, begin + total) + np.repeat(starts[part] - first, lengths[part])
            ]
        return cls(copied, offsets)

    def take(self, places: NDArray[np.int64]) -> ByteStrings:
        """The strings at some places, in their order.

        Shapes: places (m,).
        """
        return self.slices(self.data, self.offsets[:-1][places].astype(np.int64), self.lengths[places])

    def replaced(self, places: NDArray[np.int64], strings: Sequence[bytes]) -> ByteStrings:
        """With other strings at some places.

        Shapes: places (m,), as many as strings.
        """
        new = self.of(strings)
        starts, lengths = self.offsets[:-1].astype(np.int64), self.lengths
        starts[places] = new.offsets[:-1].astype(np.int64) + len(self.data)
        lengths[places] = new.lengths
        return self.slices(np.concatenate([self.data, new.data]), starts, lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Shapes: (n,)."""
        return np.diff(self.offsets).astype(np.int64)

    def __getitem__(self, place: int) -> bytes:
        """One string."""
        return self.data[int(self.offsets[place]) : int(self.offsets[place + 1])].tobytes()

    def __len__(self) -> int:
        """How many strings."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        """Numbers only."""
        return f"<ByteStrings: {len(self)} of {len(self.data)} bytes>"
