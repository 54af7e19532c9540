# SPDX-License-Identifier: Apache-2.0
"""The types that values get as inputs of a device, and shapes that stand for values: what `returns=` pins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.tree import map_leaves
from jali.core.types import Spec

if TYPE_CHECKING:
    from jali.mpc.ir import ValueType
    from jali.mpc.numbers import Numbers

__all__ = ["input_type", "type_of_spec", "types_of_specs"]


def input_type(value: Any, numbers: Numbers) -> ValueType:
    """The type of an input of a device: its own declared range, else the device's."""
    from jali.mpc.engine import type_of

    kind = type_of(value, fraction=numbers.shared_fraction)
    if kind.bound is not None or kind.kind == "bool" or numbers.input_bound is None:
        return kind
    return msgspec.structs.replace(kind, bound=(-numbers.input_bound, numbers.input_bound))


def type_of_spec(spec: Spec, numbers: Numbers) -> ValueType:
    """The type that an array of this spec has as a secret. Raises: UnsupportedOperation if it is no number."""
    kind = input_type(np.broadcast_to(np.zeros((), spec.dtype), spec.shape), numbers)
    return kind if spec.bound is None else msgspec.structs.replace(kind, bound=spec.bound)


def types_of_specs(tree: Any, numbers: Numbers) -> Any:
    """The same tree with types in place of specs; what is no spec stays."""
    return map_leaves(lambda leaf: type_of_spec(leaf, numbers) if isinstance(leaf, Spec) else leaf, tree)
