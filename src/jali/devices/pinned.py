# SPDX-License-Identifier: Apache-2.0
"""Types that a program pins with `returns=jali.Spec(...)`, so that what it costs is known before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.tree import flatten
from jali.core.types import Spec
from jali.devices.specs import type_of_spec
from jali.mpc.numbers import Numbers

if TYPE_CHECKING:
    from jali.core.tree import Structure
    from jali.mpc.ir import ValueType

__all__ = ["pinned_types"]

_DEFAULT = Numbers()


def pinned_types(returns: Any, numbers: Numbers = _DEFAULT) -> tuple[Structure, list[ValueType]] | None:
    """The structure and the types of a tree of `Spec`; None if `returns` is something else, or a number of results."""
    if returns is None or isinstance(returns, int):
        return None
    leaves, structure = flatten(returns)
    if not all(isinstance(leaf, Spec) for leaf in leaves):
        return None
    return structure, [type_of_spec(leaf, numbers) for leaf in leaves]
