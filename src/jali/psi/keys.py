# SPDX-License-Identifier: Apache-2.0
"""Keys: the canonical bytes of identifiers, each once, and the rows in which it stands.

Two parties write one customer differently: composed or decomposed accents, a space at the end. What is done about
it has a name, both sides must give the same, and the protocol compares the names before anything else.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import InputError, KeyInvalid, KeyTypeWrong, UnknownName
from jali.core.nearmiss import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["KINDS", "NORMALISATIONS", "Keys", "normaliser"]

KINDS = ("whole numbers", "text", "bytes")


def _trim(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def _fold(text: str) -> str:
    return _trim(unicodedata.normalize("NFKD", text).casefold())


NORMALISATIONS: dict[str, Callable[[str], str]] = {
    "trimmed": _trim,  # Unicode NFC, no white space at either end
    "exact": lambda text: text,
    "folded": _fold,  # compatibility characters and case do not matter either
}


def normaliser(name: str) -> Callable[[str], str]:
    """The normalisation of that name. Raises: UnknownName, with the near misses."""
    if name not in NORMALISATIONS:
        raise UnknownName(f"there is no normalisation {name!r}{suggest(name, NORMALISATIONS)}")
    return NORMALISATIONS[name]


class Keys:
    """The distinct keys of one column.

    `distinct` holds the canonical bytes: a letter for the kind, then 8 little-endian bytes of a whole number, UTF-8
    of normalised text, or bytes as they are. `rows` lists the rows of the column key by key, from `starts[i]` to
    `starts[i + 1]` for key i, in the column's order within a key.

    Security: holds identifiers; `repr` gives numbers only.
    """

    __slots__ = ("distinct", "kind", "normalise", "rows", "starts")

    def __init__(
        self,
        column: NDArray[Any] | Sequence[str] | Sequence[bytes] | Sequence[int],
        *,
        name: str = "key",
        normalise: str = "trimmed",
    ) -> None:
        """Read the keys of a column; `name` is the column's, for messages.

        Raises: KeyTypeWrong unless they are whole numbers, text or bytes; KeyInvalid if one is empty; UnknownName
        for a normalisation that does not exist.
        """
        cells = np.asarray(column)
        self.normalise = normalise
        self.kind, encoded = _encode(cells, column, name, normaliser(normalise))
        positions: dict[bytes, int] = {}
        of_row = np.fromiter((positions.setdefault(key, len(positions)) for key in encoded), np.int64, len(encoded))
        self.distinct: list[bytes] = list(positions)
        self.rows = np.argsort(of_row, kind="stable")
        self.starts = np.zeros(len(positions) + 1, np.int64)
        np.cumsum(np.bincount(of_row, minlength=len(positions)), out=self.starts[1:])

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows each key stands in.

        Shapes: (distinct,).
        """
        return np.diff(self.starts)

    def __len__(self) -> int:
        """The number of distinct keys."""
        return len(self.distinct)

    def __repr__(self) -> str:
        """Kind and numbers."""
        return f"<Keys: {len(self)} distinct in {len(self.rows)} rows, {self.kind}, {self.normalise}>"


def _encode(
    cells: NDArray[Any], column: Sequence[Any] | NDArray[Any], name: str, normalise: Callable[[str], str]
) -> tuple[str, list[bytes]]:
    if cells.ndim != 1:
        raise KeyTypeWrong(f"expected a one-dimensional key column {name!r}, found shape {list(cells.shape)}")
    if not len(cells):
        return KINDS[1], []
    if cells.dtype.kind in "iu" and not (cells.dtype.kind == "u" and np.any(cells > np.iinfo(np.int64).max)):
        raw = cells.astype("<i8").tobytes()
        return KINDS[0], [b"i" + raw[at : at + 8] for at in range(0, len(raw), 8)]
    values = column.tolist() if isinstance(column, np.ndarray) else list(column)
    if all(isinstance(value, str) for value in values) and cells.dtype.kind in "UO":
        return KINDS[1], _encode_text([normalise(value) for value in values], name)
    if all(isinstance(value, bytes) for value in values) and cells.dtype.kind in "SO":
        _refuse_empty([bool(value) for value in values], name)
        return KINDS[2], [b"b" + value for value in values]
    raise KeyTypeWrong(
        f"expected whole numbers, text or bytes in key column {name!r}, found {cells.dtype}: "
        "read it as text, or remove rows without an id"
    )


def _encode_text(texts: list[str], name: str) -> list[bytes]:
    _refuse_empty([bool(text) for text in texts], name)
    try:
        return [b"t" + text.encode() for text in texts]
    except UnicodeEncodeError:
        raise _bad_text(name) from None


def _bad_text(name: str) -> InputError:
    return KeyInvalid(f"expected valid Unicode in key column {name!r}, found half of a surrogate pair")


def _refuse_empty(present: list[bool], name: str) -> None:
    if not all(present):
        raise KeyInvalid(
            f"expected an id in every row of key column {name!r}, found {present.count(False)} empty, the first in row "
            f"{present.index(False)} (counted from 0): remove those rows"
        )
