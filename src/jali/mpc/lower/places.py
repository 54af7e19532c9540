# SPDX-License-Identifier: Apache-2.0
"""Which elements of an array a gather or scatter touches for each start, and how its operands are laid out.

An array is read or written in parts of one size. Where a part starts along some dimensions says an index; along others
it is known. Batch dimensions belong to dimensions of the index array.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.mpc.lower.builder import Builder, Operand, Public, Secret
from jali.mpc.lower.views import reshape, transpose

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Layout", "arranged"]

Dims = tuple[int, ...]


class Layout(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An array of `shape` in parts of `sizes`.

    `indexed` are the dimensions along which an index moves a part, in the order of its components; `known` says where a
    part starts along others (0 by default). `batch[j]` goes with dimension `index_batch[j]` of the index. `dropped`
    dimensions, of size 1, are not in the output.
    """

    shape: Dims
    sizes: Dims
    indexed: Dims
    batch: Dims = ()
    index_batch: Dims = ()
    dropped: Dims = ()
    known: dict[int, int] = {}

    @property
    def counts(self) -> Dims:
        """How many starts there are along each indexed dimension."""
        return tuple(self.shape[k] - self.sizes[k] + 1 for k in self.indexed)

    @cached_property
    def parts(self) -> NDArray[np.int64]:
        """Numbers of elements. Shapes: (batches, starts, elements of a part)."""
        numbers = np.arange(int(np.prod(self.shape, dtype=np.int64))).reshape(self.shape)
        windows = np.lib.stride_tricks.sliding_window_view(numbers, self.sizes)
        rank, moving = len(self.shape), (*self.batch, *self.indexed)
        still = tuple(slice(None) if k in moving else self.known.get(k, 0) for k in range(rank))
        kept = sorted(moving)
        order = (*(kept.index(k) for k in moving), *range(len(moving), len(moving) + rank))
        found = windows[still].transpose(order)
        batches = int(np.prod([self.shape[k] for k in self.batch], dtype=np.int64))
        return found.reshape(batches, int(np.prod(self.counts, dtype=np.int64)), -1)

    def indices(self, build: Builder, index: Secret) -> list[Secret]:
        """The components of the index. Shapes: (batches, indices of each) for each indexed dimension."""
        batches = self._batches(index.shape[:-1])
        wide = transpose(build, index, (len(index.shape) - 1, *self._index_order(index.shape[:-1])))
        return [
            reshape(build, _element(build, wide, component), (batches, -1)) for component in range(len(self.indexed))
        ]

    def to_output(self, build: Builder, parts: Secret, index: Dims, offsets: Dims, *, shape: Dims) -> Secret:
        """From (batches, indices of each, elements of a part) to the shape of a gather."""
        order = self._index_order(index)
        window = tuple(n for k, n in enumerate(self.sizes) if k not in (*self.dropped, *self.batch))
        wide = reshape(build, parts, (*(index[k] for k in order), *window))
        of_index, of_window = iter(np.argsort(order)), iter(range(len(order), len(order) + len(window)))
        axes = tuple(int(next(of_window if axis in offsets else of_index)) for axis in range(len(shape)))
        return transpose(build, wide, axes)

    def from_updates(self, build: Builder, updates: Operand, index: Dims, windows: Dims) -> Operand:
        """From the shape of a scatter's updates to (batches, indices of each, elements of a part)."""
        of_index = [axis for axis in range(len(updates.shape)) if axis not in windows]
        axes = (*(of_index[k] for k in self._index_order(index)), *windows)
        count = int(np.prod(index, dtype=np.int64)) // self._batches(index)
        return arranged(build, updates, axes, shape=(self._batches(index), count, -1))

    def _index_order(self, index: Dims) -> Dims:
        """Dimensions of the index: those of batches first."""
        return (*self.index_batch, *(k for k in range(len(index)) if k not in self.index_batch))

    def _batches(self, index: Dims) -> int:
        return int(np.prod([index[k] for k in self.index_batch], dtype=np.int64))


def arranged(build: Builder, x: Operand, axes: Dims, *, shape: Dims) -> Operand:
    """x, public or secret, with its axes in another order and then reshaped."""
    if isinstance(x, Secret):
        return reshape(build, transpose(build, x, axes), shape)
    moved = x.array.transpose(*range(x.depth), *(axis + x.depth for axis in axes))
    return Public(moved.reshape((*moved.shape[: x.depth], *shape)), x.depth)


def _element(build: Builder, x: Secret, index: int) -> Secret:
    """x[index]."""
    rest = x.shape[1:]
    result = msgspec.structs.replace(x.type, shape=(1, *rest))
    bounds: dict[str, Any] = {
        "start": (index, *(0 for _ in rest)),
        "stop": (index + 1, *rest),
        "step": (1,) * len(x.shape),
    }
    return reshape(build, build.emit("view", [x], result, how="slice", **bounds), rest)
