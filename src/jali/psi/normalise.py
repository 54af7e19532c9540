# SPDX-License-Identifier: Apache-2.0
"""Normal forms of text: two parties write one customer differently, with other accents, a space at the end.

What is done about it has a name, both sides must give the same, and a protocol compares the names first.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from jali.core.errors import UnknownName
from jali.core.nearmiss import suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jali.crypto.bytestrings import ByteStrings

__all__ = ["NORMALISATIONS", "normalised", "require_normalisation"]


def _trim(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def _fold(text: str) -> str:
    return _trim(unicodedata.normalize("NFKD", text).casefold())


NORMALISATIONS: dict[str, Callable[[str], str]] = {
    "trimmed": _trim,  # Unicode NFC, no white space at either end
    "exact": lambda text: text,
    "folded": _fold,  # compatibility characters and case do not matter either
}
_SPACE = np.array([chr(code).isspace() for code in range(128)] + [True] * 128)  # bytes beyond ASCII need a look too
_LOWER = np.array([ord(chr(code).lower()) if code < 128 else code for code in range(256)], np.uint8)


def require_normalisation(name: str) -> None:
    """Raises: UnknownName, with the near misses, unless there is a normalisation of that name."""
    if name not in NORMALISATIONS:
        raise UnknownName(f"there is no normalisation {name!r}{suggest(name, NORMALISATIONS)}")


def normalised(texts: ByteStrings, name: str) -> ByteStrings:
    """UTF-8 strings in normal form.

    Cost: plain ASCII is looked at as a whole; text beyond it, or with white space at an end, goes through Python.
    """
    if name == "exact" or not len(texts.data):
        return texts
    if name == "folded":
        texts = type(texts)(_LOWER[texts.data], texts.offsets)
    places = np.flatnonzero(_unusual(texts))
    if not len(places):
        return texts
    rule = NORMALISATIONS[name]
    return texts.replaced(places, [rule(texts[place].decode()).encode() for place in places.tolist()])


def _unusual(texts: ByteStrings) -> NDArray[np.bool_]:
    """Where something beyond ASCII, or white space at an end, may have to change."""
    starts, ends = texts.offsets[:-1].astype(np.int64), texts.offsets[1:].astype(np.int64)
    some = ends > starts
    last = len(texts.data) - 1
    found = _SPACE[texts.data[np.minimum(starts, last)]] | _SPACE[texts.data[np.maximum(ends - 1, 0)]]
    beyond = np.flatnonzero(texts.data >= 128)
    if len(beyond):
        found[np.searchsorted(ends, beyond, side="right")] = True
    found &= some
    return np.asarray(found)
