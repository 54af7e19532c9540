# SPDX-License-Identifier: Apache-2.0
"""Normal forms of text: two parties write one customer differently, with other accents, a space at the end.

What is done about it is declared, as steps in order or by the name of a usual list of them. Both sides must declare the
same, and a protocol compares a digest of the steps first.
"""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from jali.core.errors import UnknownName
from jali.core.nearmiss import suggest
from jali.crypto.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jali.crypto.bytestrings import ByteStrings

__all__ = [
    "MARK_BYTES",
    "PRESETS",
    "STEPS",
    "canonical",
    "mark_of",
    "normalised",
    "preset_of",
    "spelled",
    "steps_of",
]


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(letter)) for letter in text if letter.isdecimal())


def _alnum(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


STEPS: Final[dict[str, Callable[[str], str]]] = {
    "nfc": partial(unicodedata.normalize, "NFC"),  # one character for a letter and its accent
    "nfd": partial(unicodedata.normalize, "NFD"),
    "nfkc": partial(unicodedata.normalize, "NFKC"),  # and ligatures, full-width letters and the like as plain ones
    "nfkd": partial(unicodedata.normalize, "NFKD"),
    "fold": str.casefold,  # case does not matter
    "trim": str.strip,  # no white space at either end
    "alnum": _alnum,  # letters and digits only: no spaces, hyphens, or accents that stand alone
    "digits": _digits,  # decimal digits only, of any script
}
PRESETS: Final[dict[str, tuple[str, ...]]] = {
    "trimmed": ("nfc", "trim"),
    "exact": (),
    "folded": ("nfkd", "fold", "nfc", "trim"),
}
MARK_BYTES: Final = 8

_SPACE = np.array([chr(code).isspace() for code in range(128)] + [False] * 128)
_KEPT = {name: np.array([bool(STEPS[name](chr(code))) for code in range(128)] * 2) for name in ("alnum", "digits")}
_LOWER = np.array([ord(chr(code).lower()) if code < 128 else code for code in range(256)], np.uint8)


def steps_of(normalise: str) -> tuple[str, ...]:
    """The steps that a name, or a list with commas, stands for.

    Raises: UnknownName, with the near misses.

    Example:
    >>> steps_of("folded")
    ('nfkd', 'fold', 'nfc', 'trim')
    >>> steps_of("nfkc, trim")
    ('nfkc', 'trim')
    """
    if normalise in PRESETS:
        return PRESETS[normalise]
    steps = tuple(step.strip() for step in normalise.split(","))
    for step in steps:
        if step not in STEPS:
            known = (*PRESETS, *STEPS) if len(steps) == 1 else tuple(STEPS)
            raise UnknownName(f"there is no normalisation {step!r}{suggest(step, known)}")
    return steps


def canonical(normalise: str) -> str:
    """One spelling for the same steps: the name where they have one, else the steps with commas.

    Raises: UnknownName.

    Example:
    >>> canonical("nfc, trim"), canonical("trim,nfc")
    ('trimmed', 'trim,nfc')
    """
    steps = steps_of(normalise)
    return next((name for name, usual in PRESETS.items() if usual == steps), ",".join(steps))


def spelled(normalise: str) -> str:
    """The steps, for a message."""
    return f"normalise = {normalise!r}: {', then '.join(steps_of(normalise)) or 'nothing is done'}"


def mark_of(normalise: str) -> bytes:
    """A digest of the steps: 8 bytes that both parties compare. It protects nothing; two lists rarely share one."""
    return digest("jali.psi.normalise.v1", *steps_of(normalise))[:MARK_BYTES]


def preset_of(mark: bytes) -> str:
    """The name of the usual steps with this digest; "" for any other."""
    return next((name for name in PRESETS if mark_of(name) == mark), "")


def normalised(texts: ByteStrings, normalise: str) -> ByteStrings:
    """UTF-8 strings in normal form.

    Cost: plain ASCII is looked at as a whole; text beyond it, or with white space to trim, goes through Python.
    """
    steps = steps_of(normalise)
    if not steps or not len(texts.data):
        return texts
    places = np.flatnonzero(_unusual(texts, trims="trim" in steps))
    changed = [_changed(texts[place], steps) for place in places.tolist()]
    if "fold" in steps:  # of plain ASCII: whatever else is done changes nothing
        texts = type(texts)(_LOWER[texts.data], texts.offsets)
    for step in _KEPT.keys() & steps:
        texts = _reduced(texts, _KEPT[step][texts.data])
    return texts.replaced(places, changed) if len(places) else texts


def _changed(text: bytes, steps: tuple[str, ...]) -> bytes:
    decoded = text.decode()
    for step in steps:
        decoded = STEPS[step](decoded)
    return decoded.encode()


def _reduced(texts: ByteStrings, kept: NDArray[np.bool_]) -> ByteStrings:
    """Without the bytes that are not kept.

    Shapes: kept (bytes,).
    """
    places = np.concatenate([np.zeros(1, np.uint64), np.cumsum(kept, dtype=np.uint64)])
    return type(texts)(texts.data[kept], places[texts.offsets])


def _unusual(texts: ByteStrings, *, trims: bool) -> NDArray[np.bool_]:
    """Where something beyond ASCII, or white space at an end if that matters, may have to change."""
    starts, ends = texts.offsets[:-1].astype(np.int64), texts.offsets[1:].astype(np.int64)
    found = np.zeros(len(starts), np.bool_)
    if trims:
        last = len(texts.data) - 1
        found = _SPACE[texts.data[np.minimum(starts, last)]] | _SPACE[texts.data[np.maximum(ends - 1, 0)]]
        found &= ends > starts
    beyond = np.flatnonzero(texts.data >= 128)
    if len(beyond):
        found[np.searchsorted(ends, beyond, side="right")] = True
    return np.asarray(found)
