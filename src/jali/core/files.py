# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from jali.core.errors import EncodingWrong, FileMissing, WriteFailed

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["read_text", "write_atomically"]


def write_atomically(path: str | os.PathLike[str], data: str | Buffer | Iterator[Buffer], *, mode: int = 0o644) -> Path:
    """Write a file so that a reader sees the old content or all of the new; give its path.

    The data, or its parts one by one, goes to a temporary file in the same directory, to the disk, and then takes the
    name. Text is UTF-8. `mode` is the permission of the new file, less the process's mask.

    Raises: WriteFailed (disk full, no such directory, not allowed); what was there before is untouched.
    """
    target = Path(path)
    parts = data if isinstance(data, Iterator) else iter((data.encode() if isinstance(data, str) else data,))
    temporary = target.with_name(f".{target.name}.{token_hex(8)}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise WriteFailed(
            f"cannot write {str(target)!r}: {error.strerror or error}; free space or choose another path "
            "(nothing partial was left behind)"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def read_text(path: str | os.PathLike[str]) -> str:
    """The content of a UTF-8 file, without a byte order mark.

    Raises: FileMissing, EncodingWrong.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileMissing(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise EncodingWrong(f"expected UTF-8 in {str(path)!r}, found other bytes at offset {error.start}") from None
