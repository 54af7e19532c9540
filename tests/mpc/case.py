# SPDX-License-Identifier: Apache-2.0
"""One program of the corpus: a function, inputs, and how far fixed point may be from float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Case"]


class Case(NamedTuple):
    """Each result is within `absolute + relative |truth|`; whole numbers and bits are exact."""

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    absolute: float = 1e-4
    relative: float = 1e-4
