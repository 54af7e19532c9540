# SPDX-License-Identifier: Apache-2.0
"""Keys that do not fit into memory: sorted on disk, and used from there.

While they come, digests and their rows are written to 256 files by their first byte; then one after the other is
sorted and appended to what arrays of `jali.psi.keys.Keys` are mapped from.
"""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from jali.core.errors import WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Grouped = tuple[NDArray[np.signedinteger], NDArray[np.signedinteger]]

__all__ = ["Spill", "SpilledArrays", "forget_pages"]

_PARTS: Final = 256
_DIGEST: Final = 16
_RECORD = np.dtype([("digest", f"V{_DIGEST}"), ("row", "<i8")])
_NAMES = ("digests", "rows", "starts")


class SpilledArrays(NamedTuple):
    """See `Keys`; arrays that are mapped from files without a name, which end when nobody has them any more."""

    digests: NDArray[np.uint8]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]


class Spill:
    """Where keys go that are more than `most_rows`.

    Security: digests of identifiers that can be guessed are as private as these. The files are readable by their owner
    only, and deleted as soon as they are mapped; a process that is killed before leaves them in `folder`.
    Cost: 24 bytes a row on disk, and 32 while they are sorted; in memory a 256th of that.
    """

    def __init__(self, folder: Path | None, *, most_rows: int) -> None:
        """Nothing is written before there are more rows than that."""
        self.most_rows = most_rows
        self._given, self._path = folder, Path()

    def add(self, digests: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
        """Take rows and their keys.

        Shapes: digests (n, 16), rows (n,), ascending and above all before.
        Raises: WriteFailed.
        """
        if self._path == Path():
            self._path = Path(mkdtemp(prefix="keys-", dir=self._given))
            self._delete = weakref.finalize(self, rmtree, self._path, ignore_errors=True)
        records = np.empty(len(rows), _RECORD)
        records["digest"] = np.ascontiguousarray(digests).view(f"V{_DIGEST}")[:, 0]
        records["row"] = rows
        order = np.argsort(digests[:, 0], kind="stable")
        ends = np.searchsorted(digests[order, 0], np.arange(1, _PARTS + 1))
        start = 0
        for part, end in enumerate(ends.tolist()):
            if end > start:
                self._append(str(part), records[order[start:end]])
            start = end

    def finish(self, grouped: Callable[[NDArray[np.uint8]], Grouped]) -> SpilledArrays:
        """All of it, sorted: `grouped` gives the order of digests, and where each group of equal ones starts.

        Raises: WriteFailed.
        """
        total = 0
        for part in range(_PARTS):
            path = self._path / str(part)
            if not path.exists():
                continue
            records = np.fromfile(path, _RECORD)
            path.unlink()
            digests = records["digest"].copy().view(np.uint8).reshape(-1, _DIGEST)
            order, starts = grouped(digests)
            self._append("digests", digests[order[starts[:-1]]])
            self._append("rows", records["row"][order])
            self._append("starts", starts[:-1].astype(np.int64) + total)
            total += len(order)
        self._append("starts", np.array([total], np.int64))
        mapped = [
            np.memmap(self._path / name, np.int64, "r") if total else np.zeros(0, np.int64) for name in _NAMES[:2]
        ]
        starts = np.memmap(self._path / _NAMES[2], np.int64, "r")
        self._delete()  # what is mapped stays until nobody has it
        return SpilledArrays(mapped[0].view(np.uint8).reshape(-1, _DIGEST), mapped[1], starts)

    def _append(self, name: str, array: NDArray[Any]) -> None:
        try:
            descriptor = os.open(self._path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(np.ascontiguousarray(array).tobytes())
        except OSError as error:
            raise WriteFailed(
                f"cannot keep keys in {str(self._path)!r} ({error.strerror or type(error).__name__}): free space, or "
                "allow more memory"
            ) from None


def forget_pages(*arrays: NDArray[Any]) -> None:
    """Give memory back that holds parts of mapped files, where the system can; they are read again where needed."""
    for array in arrays:
        base: Any = array
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "_mmap", None) or getattr(base, "base", None)
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)
