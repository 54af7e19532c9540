# SPDX-License-Identifier: Apache-2.0
"""Optional libraries: imported where they are used, with the install line when they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from jali.core.errors import ExtraMissing

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["need"]


def need(module: str, *, extra: str) -> ModuleType:
    """The module, imported.

    Raises: ExtraMissing, whose message is the line that installs it.

    Example:
    >>> need("json", extra="none").dumps([])
    '[]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if missing.partition(".")[0] != module.partition(".")[0]:
            raise
        raise ExtraMissing(f"this needs {missing!r}, which is not installed: pip install 'jali[{extra}]'") from None
