# SPDX-License-Identifier: Apache-2.0
"""What all preparers ask of a column: its kind, which cells are missing, and errors that name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import ColumnTypeError, TrainingRowsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table

__all__ = ["is_number", "missing", "numbers", "require_rows"]


def is_number(column: NDArray[Any]) -> bool:
    """Whether a column holds numbers (booleans and strings are categories)."""
    return column.dtype.kind in "iuf"


def missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells are missing: NaN in numbers, the empty string in strings. Shapes: (n,) to (n,)."""
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column))
    if column.dtype.kind == "U":
        return np.asarray(np.char.str_len(column) == 0)
    return np.zeros(len(column), dtype=np.bool_)


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """Column `name` as float64. Shapes: (n,).

    Raises: ColumnTypeError if it holds strings or booleans.
    """
    column = table[name]
    if not is_number(column):
        raise ColumnTypeError(
            f"column {name!r} should hold numbers, found {column.dtype}. "
            "Encode categories with OneHot or WeightOfEvidence, or leave the column out"
        )
    return column.astype(np.float64)


def require_rows(table: Table, columns: Sequence[str]) -> None:
    """Raises: TrainingRowsError if there is nothing to learn from."""
    if len(table) == 0:
        raise TrainingRowsError(f"cannot fit {', '.join(map(repr, columns)) or 'no columns'} on 0 rows")
