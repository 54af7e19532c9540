# SPDX-License-Identifier: Apache-2.0
"""How commands speak: aligned columns on standard output, one clear message for an error on standard error."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

from jali.core.errors import InternalError, JaliError, PlainCallFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["columns", "debugging", "describe", "warn"]

DEBUG = "JALI_DEBUG"


def columns(rows: Iterable[Sequence[object]]) -> str:
    """The rows as lines with aligned columns.

    Example:
    >>> print(columns([("party", "role"), ("bank", "data")]))
    party  role
    bank   data
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts
    )


def warn(message: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"warning: {message}\n")


def debugging() -> bool:
    """Whether tracebacks are wanted (`--debug`, or JALI_DEBUG=1)."""
    return os.environ.get(DEBUG, "") not in {"", "0"}


def describe(error: Exception) -> tuple[str, int]:
    """The text for standard error and the exit status of a command that ended with this error.

    An exception that is not jali's is a defect: its type and place are shown, its message only when debugging, since
    it could hold data. One that the user's own function raised at this party's device is shown whole: the data is
    this party's.
    """
    named: JaliError
    if not isinstance(error, JaliError):
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" at {last[0].filename}:{last[0].lineno}" if last else ""
        named = InternalError(
            f"{type(error).__name__}{place}: a defect in jali, please report it; --debug (or {DEBUG}=1) shows more"
        )
    else:
        named = error
    details = "".join(traceback.format_exception(error)) if debugging() else ""
    if isinstance(error, PlainCallFailed) and error.__cause__ is not None and not details:
        details = "".join(traceback.format_exception(error.__cause__))
    return f"{details}{named}\n  more: jali error {named.code}", named.exit_status
