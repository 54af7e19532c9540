# SPDX-License-Identifier: Apache-2.0
"""Rows by their key, from one server: bins of keys, each a row of `jali.psi.pir.index`.

Each key has two bins, and stands in the one that was emptier when it came, so all bins are about as full (Azar, Broder,
Karlin, Upfal 1999). A client asks for both bins of its key and looks for the key's tag in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from jali import kernels
from jali.core.errors import KeyInvalid, PsiFrameInvalid, PsiKeysDiffer, TableInvalid
from jali.core.threat import Leak
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.psi.pir.index import Hint, IndexClient, IndexServer, ask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.psi.keys import Keys
    from jali.psi.pir.index import Change
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["KeywordClient", "KeywordServer", "Layout", "ask_keys", "keyword_leaks", "require_kind"]

_TAG: Final = 9
"""Bytes that stand for a key in its bin: a 1 and 64 bits of its hash, so a wrong match has probability below 2^-58."""

_LOAD = 8
_TO_BINS = "jali.pir.bins.v1"


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How keys lie in bins: what a client needs beside the hint."""

    bins: int
    capacity: int
    width: int
    kinds: tuple[str, ...]
    normalise: str

    def to_bytes(self) -> bytes:
        """For a file or a message."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Layout:
        """What `to_bytes` gave. Raises: PsiFrameInvalid for anything else."""
        try:
            layout = _LAYOUTS.decode(data)
        except msgspec.MsgspecError:
            layout = None
        if layout is None or min(layout.bins, layout.capacity, layout.width) < 1:
            raise PsiFrameInvalid(f"expected the layout of a table by key, found {len(data)} other bytes")
        return layout


_LAYOUTS = msgspec.msgpack.Decoder(Layout)


class KeywordServer:
    """A table of values by key."""

    def __init__(self, keys: Keys, values: Bytes, *, seed: bytes | None = None) -> None:
        """Take a value for each row of the keys.

        Shapes: values (rows, width) uint8.
        Raises: TableInvalid for values that do not fit; KeyInvalid for a key that stands in two rows.
        """
        if values.dtype != np.uint8 or values.ndim != 2 or len(values) != len(keys.rows) or not len(keys):
            raise TableInvalid(
                f"expected a row of bytes for each of {len(keys.rows)} keys, found {values.dtype} of shape "
                f"{list(values.shape)}"
            )
        if len(keys) < len(keys.rows):
            raise KeyInvalid(f"expected each key once, found {len(keys.rows) - len(keys)} repetitions")
        bins = max(1, -(-len(keys) // _LOAD))
        chosen, capacity = _filled(_bins(keys.digests, bins), bins)
        self.layout = Layout(bins, capacity, values.shape[1], keys.kinds, keys.normalise)
        slot = _TAG + values.shape[1]
        table = np.zeros((bins, capacity, slot), np.uint8)
        order = np.argsort(chosen, kind="stable")
        starts = np.searchsorted(chosen[order], np.arange(bins))
        places = np.arange(len(order)) - starts[chosen[order]]
        table[chosen[order], places, :_TAG] = _tags(keys.digests)[order]
        table[chosen[order], places, _TAG:] = values[keys.rows[keys.starts[:-1]]][order]
        self.index = IndexServer(table.reshape(bins, capacity * slot), seed=seed)

    @property
    def hint(self) -> Hint:
        """The hint of the bins."""
        return self.index.hint

    def put(self, keys: Keys, values: Bytes) -> list[Change]:
        """Give keys values, new ones a free place; gives what clients change their hints by, in order.

        Shapes: values (rows, width) uint8, a row for each of the keys'.
        Cost: a bin is written for each key, at most: 1024 multiplications for each of its bytes.
        Raises, and changes nothing then: PsiKeysDiffer for keys of another kind; TableInvalid for values that do not
        fit, or if both bins of a new key are full: build the table anew, with room for more.
        """
        require_kind(self.layout, keys)
        if values.dtype != np.uint8 or values.shape != (len(keys.rows), self.layout.width):
            raise TableInvalid(
                f"expected {len(keys.rows)} values of {self.layout.width} bytes, found {values.dtype} of shape "
                f"{list(values.shape)}"
            )
        bins: dict[int, Bytes] = {}  # as they will be, once every key has a place
        changed = [
            self._place(bins, pair, np.concatenate([tag, values[row]]))
            for pair, tag, row in zip(
                _bins(keys.digests, self.layout.bins).tolist(),
                _tags(keys.digests),
                keys.rows[keys.starts[:-1]],
                strict=True,
            )
        ]
        return [self.index.update(bin_, bins[bin_].tobytes()) for bin_ in dict.fromkeys(changed)]

    def remove(self, keys: Keys) -> list[Change]:
        """Take keys out that are there; gives what clients change their hints by, in order.

        Raises: PsiKeysDiffer for keys of another kind.
        """
        require_kind(self.layout, keys)
        changes = []
        for pair, tag in zip(_bins(keys.digests, self.layout.bins).tolist(), _tags(keys.digests), strict=True):
            for bin_ in dict.fromkeys(pair):
                slots = self._slots(bin_)
                for place in np.flatnonzero(np.all(slots[:, :_TAG] == tag, axis=1)).tolist():
                    slots[place] = 0
                    changes.append(self.index.update(bin_, slots.tobytes()))
        return changes

    def _slots(self, bin_: int) -> Bytes:
        """Shapes: (capacity, tag and value)."""
        return self.index.row(bin_).reshape(self.layout.capacity, _TAG + self.layout.width)

    def _place(self, bins: dict[int, Bytes], pair: list[int], slot: Bytes) -> int:
        """Put a tag and value where the tag is, or else into the emptier of two bins; gives the bin."""
        for bin_ in pair:
            bins.setdefault(bin_, self._slots(bin_))
            same = np.flatnonzero(np.all(bins[bin_][:, :_TAG] == slot[:_TAG], axis=1))
            if len(same):
                bins[bin_][same[0]] = slot
                return bin_
        bin_ = min(pair, key=lambda number: int(np.count_nonzero(bins[number][:, 0])))
        free = np.flatnonzero(bins[bin_][:, 0] == 0)
        if not len(free):
            raise TableInvalid(
                f"both bins of a key are full, with {self.layout.capacity} keys each: build the table anew"
            )
        bins[bin_][free[0]] = slot
        return bin_


class KeywordClient:
    """Who asks by key."""

    def __init__(self, layout: Layout, hint: Hint) -> None:
        """Take what the server gives everybody."""
        self.layout = layout
        self.index = IndexClient(hint)

    def bins_of(self, keys: Keys) -> list[int]:
        """The rows to ask for: two for each key. Raises: PsiKeysDiffer for keys of another kind."""
        require_kind(self.layout, keys)
        return _bins(keys.digests, self.layout.bins).reshape(-1).tolist()

    def decode(self, keys: Keys, rows: Bytes) -> tuple[NDArray[np.bool_], Bytes]:
        """Which keys the table has, and their values (0 where it has none).

        Shapes: rows (2 keys, bin) to (keys,) and (keys, width).
        """
        layout = self.layout
        slots = rows.reshape(len(keys), 2 * layout.capacity, _TAG + layout.width)
        same = np.all(slots[:, :, :_TAG] == _tags(keys.digests)[:, None], axis=2)
        found = np.any(same, axis=1)
        values = slots[np.arange(len(keys)), np.argmax(same, axis=1), _TAG:]
        return found, np.where(found[:, None], values, 0).astype(np.uint8)


def require_kind(layout: Layout, keys: Keys) -> None:
    """Raises: PsiKeysDiffer for keys of another kind than the table's."""
    if (keys.kinds, keys.normalise) != (layout.kinds, layout.normalise) and len(keys):
        raise PsiKeysDiffer(
            f"the table is by {' and '.join(layout.kinds)} ({layout.normalise}), these keys are "
            f"{' and '.join(keys.kinds)} ({keys.normalise})"
        )


def ask_keys(stream: Stream, client: KeywordClient, keys: Keys) -> tuple[NDArray[np.bool_], Bytes]:
    """Which of the keys a server that runs `answer` has, and their values, in the order of `keys.digests`.

    Shapes: to (keys,) and (keys, width).
    Security, Cost: that of two rows of `jali.psi.pir.index` for each key.
    Raises: PsiKeysDiffer, PsiFrameInvalid.
    """
    return client.decode(keys, ask(stream, client.index, client.bins_of(keys)))


def keyword_leaks(client: str, server: str) -> tuple[Leak, ...]:
    """What each party learns."""
    return (
        Leak(what=f"how many keys {client} asks for, and when", to=server, why="number of queries"),
        Leak(
            what=f"the number of keys of {server}, and keys and values in the columns that are asked for",
            to=client,
            why="hint and answers are not masked: the table is not kept from who asks",
        ),
    )


def _bins(digests: Bytes, bins: int) -> NDArray[np.int64]:
    """Both bins of each key.

    Shapes: (n, 16) to (n, 2).
    """
    return (_hashed(digests)[:, 1:] % np.uint64(bins)).astype(np.int64)


def _tags(digests: Bytes) -> Bytes:
    tags = np.ones((len(digests), _TAG), np.uint8)
    tags[:, 1:] = _hashed(digests)[:, :1].copy().view(np.uint8)
    return tags


def _hashed(digests: Bytes) -> NDArray[np.uint64]:
    """Three words of each key."""
    rows = ByteStrings.rows(digests)
    return kernels.sha512_each(rows.data, rows.offsets, width=24, prefix=encode_parts(_TO_BINS)).view("<u8")


def _filled(pairs: NDArray[np.int64], bins: int) -> tuple[NDArray[np.int64], int]:
    """The bin of each key, and how many the fullest has."""
    loads, chosen = [0] * bins, []
    for first, second in pairs.tolist():
        bin_ = first if loads[first] <= loads[second] else second
        loads[bin_] += 1
        chosen.append(bin_)
    return np.array(chosen, np.int64), max(loads)
