# SPDX-License-Identifier: Apache-2.0
"""Shapes that stand for values: what `returns=` pins and what is dealt for, as types of secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.tree import map_leaves
from jali.core.types import Spec

if TYPE_CHECKING:
    from jali.mpc.ir import ValueType

__all__ = ["type_of_spec", "types_of_specs"]


def type_of_spec(spec: Spec) -> ValueType:
    """The type that an array of this spec has as a secret. Raises: UnsupportedOperation if it is no number."""
    from jali.mpc.engine import type_of

    return type_of(np.broadcast_to(np.zeros((), spec.dtype), spec.shape))


def types_of_specs(tree: Any) -> Any:
    """The same tree with types in place of specs; what is no spec stays."""
    return map_leaves(lambda leaf: type_of_spec(leaf) if isinstance(leaf, Spec) else leaf, tree)
