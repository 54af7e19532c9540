# SPDX-License-Identifier: Apache-2.0
"""A key of 32 bytes in a file of its own, made when it is first needed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from jali.core.errors import SavedInvalid, SavedMissing, WriteFailed
from jali.core.files import write_atomically
from jali.crypto.randomness import random_bytes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KEY_BYTES", "key_at", "own_key"]

KEY_BYTES = 32


def own_key(path: Path) -> bytes:
    """The key in a file, readable by its owner only; a new one where there is none.

    Security: of several that come first at the same time, one makes the key and all take it.
    Raises: SavedInvalid if the file holds something else; WriteFailed.
    """
    if not path.is_file():
        _make(path)
    return key_at(path)


def key_at(path: Path) -> bytes:
    """The key in a file.

    Raises: SavedMissing if there is none; SavedInvalid if the file holds something else.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SavedMissing(
            f"cannot read the key {str(path)!r} ({error.strerror}); put it back from its copy: without it saved shares "
            "cannot be opened"
        ) from None
    with suppress(ValueError):
        key = bytes.fromhex(text.decode("ascii", "replace"))
        if len(key) == KEY_BYTES:
            return key
    raise SavedInvalid(f"expected a key of {KEY_BYTES} bytes in {str(path)!r}, found something else")


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise WriteFailed(f"cannot make the folder {str(path.parent)!r}: {error.strerror}") from None
    draft = write_atomically(path.with_name(f".{path.name}.{random_bytes(8).hex()}"), _text(), mode=0o600)
    try:
        with suppress(FileExistsError):  # somebody else was faster, and has the key
            os.link(draft, path)
    except OSError as error:
        raise WriteFailed(f"cannot write the key {str(path)!r}: {error.strerror}") from None
    finally:
        draft.unlink()


def _text() -> str:
    return f"{random_bytes(KEY_BYTES).hex()}\n"
