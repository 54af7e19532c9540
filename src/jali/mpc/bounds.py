# SPDX-License-Identifier: Apache-2.0
"""Declaring how large numbers are: `bounded(x, 8.0)` at the party that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import FixedPointRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BoundedArray", "bound_of", "bounded", "largest_of", "require_within"]


class BoundedArray(np.ndarray[Any, Any]):
    """An array whose owner says in which range its numbers lie; what is computed from it is an ordinary array."""

    bound: tuple[float, float] | None = None


def bounded(x: Any, bound: float, *, low: float | None = None) -> NDArray[Any]:
    """The array with the public statement that -bound <= x <= bound (or low <= x <= bound) for all its numbers.

    Call it at the owner's plain device, last: ``alice(lambda: jali.mpc.bounded(load(), 8.0))()``. On an mpc device,
    programs are then checked for that range before they run.

    Security: the bound is announced to all parties of the device, like the shape; choose it without looking at the
    data, or know that it says something about them.
    Raises: FixedPointRangeError if a number lies outside.

    Example:
    >>> import numpy as np
    >>> bounded(np.array([0.5, -3.0]), 8.0).bound
    (-8.0, 8.0)
    """
    array = np.array(x).view(BoundedArray)
    array.bound = (float(-bound if low is None else low), float(bound))
    require_within(np.asarray(array), array.bound)
    return array


def bound_of(value: Any) -> tuple[float, float] | None:
    """The declared range of an array, if it has one."""
    return value.bound if isinstance(value, BoundedArray) else None


def largest_of(array: NDArray[Any]) -> float | None:
    """The largest magnitude in an array of numbers; None for bits, and for nothing."""
    if array.dtype.kind == "b" or not array.size:
        return None
    return float(np.max(np.abs(array.astype(np.float64))))


def require_within(array: NDArray[Any], bound: tuple[float, float]) -> None:
    """Let the owner of numbers compare them with what was said of them. The message counts, and shows none of them.

    Raises: FixedPointRangeError if one lies outside.
    """
    low, high = bound
    if not low <= high:
        raise FixedPointRangeError(f"expected a range with the lower end first, found {low:g}..{high:g}")
    if array.dtype.kind == "b":
        return
    outside = int(np.count_nonzero(~((array >= low) & (array <= high))))
    if outside:
        raise FixedPointRangeError(
            f"{outside} of {array.size} numbers lie outside {low:g}..{high:g}, the declared range of this input: "
            "declare a larger one, or clip or scale the data first"
        )
