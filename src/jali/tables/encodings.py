# SPDX-License-Identifier: Apache-2.0
"""Text files in other encodings than UTF-8, made UTF-8 piece by piece."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final

from jali.core.errors import EncodingWrong, UnknownName
from jali.core.extras import need
from jali.core.nearmiss import suggest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UTF_8", "require_encoding", "transcode"]

UTF_8: Final = "utf-8"
_USUAL = ("utf-8", "utf-16", "latin-1", "windows-1252", "windows-1251", "iso8859-15", "gb18030", "big5", "shift_jis")
_CHUNK = 1 << 16


def require_encoding(name: str) -> str:
    """Python's name of a text encoding.

    Raises: UnknownName, with the near misses, for anything else.

    Example:
    >>> require_encoding("windows-1252"), require_encoding("UTF8")
    ('cp1252', 'utf-8')
    """
    try:
        "".encode(name)  # a codec may be of something else than text, such as base64
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        raise UnknownName(f"there is no text encoding {name!r}{suggest(name, _USUAL)}, and others of Python") from None


def transcode(source: Path, target: Path, *, encoding: str, compression: str | None = None) -> None:
    """Write a file's text as UTF-8, in pieces; `compression` is that of the source, None, "gzip" or "zstd".

    Raises: EncodingWrong, with the line (counted from 1) of the first bytes that are not text of this encoding; OSError
    for a file that cannot be read.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    line, ended = 1, False
    stream = need("pyarrow", extra="data").input_stream(str(source), compression=compression)
    with stream as reader, target.open("wb") as writer:
        while not ended:
            chunk = reader.read(_CHUNK)
            ended = not chunk
            state = decoder.getstate()
            try:
                text = decoder.decode(chunk, final=ended)
                writer.write(text.encode())  # some codecs give half of a surrogate pair
            except UnicodeError:
                decoder.setstate(state)
                raise EncodingWrong(
                    f"expected {encoding} in {str(source)!r}, found other bytes in line "
                    f"{line + _lines_before_error(decoder, chunk)}: name the file's encoding, or repair the line"
                ) from None
            line += text.count("\n")


def _lines_before_error(decoder: Any, chunk: bytes) -> int:
    """The ends of lines in a piece before what cannot be decoded."""
    lines = 0
    try:
        for byte in chunk:
            text = decoder.decode(bytes([byte]))
            text.encode()
            lines += text.count("\n")
    except UnicodeError:
        pass
    return lines
