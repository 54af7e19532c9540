# SPDX-License-Identifier: Apache-2.0
"""Arguments of a call on a device: which parts are values on devices, which are constants of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from jali.core.tree import Structure, flatten, unflatten
from jali.crypto.hashing import digest
from jali.devices.handle import Handle, Placeholder
from jali.graph.fingerprint import constant_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Arguments", "Slot", "bind"]


class Slot(msgspec.Struct, frozen=True):
    """The place of an input value among the arguments."""

    index: int


class Arguments(msgspec.Struct, frozen=True):
    """Positional and keyword arguments with slots where the values of nodes go."""

    structure: Structure
    leaves: tuple[Any, ...]

    def fill(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the input values in their places."""
        filled = [values[leaf.index] if isinstance(leaf, Slot) else leaf for leaf in self.leaves]
        args, kwargs = unflatten(self.structure, filled)
        return args, kwargs


def bind(
    args: tuple[Any, ...], kwargs: dict[str, Any], revealed: Callable[[Any], Handle | None]
) -> tuple[Arguments, tuple[Handle, ...], bytes]:
    """Split arguments into a template, the handles whose values go into it, and the fingerprint of the rest.

    `revealed` gives the handle of a value that `jali.reveal` returned, so that passing it on means the same at the
    party that has it and at those that hold a placeholder.
    """
    handles: list[Handle] = []

    def mark(value: Any) -> Any:
        handle = value.handle() if isinstance(value, Placeholder) else value
        handle = handle if isinstance(handle, Handle) else revealed(value)
        if handle is not None:
            handles.append(handle)
            return Slot(len(handles) - 1)
        if type(value) in (list, tuple):
            return type(value)(mark(part) for part in value)
        if type(value) is dict:
            return {key: mark(part) for key, part in sorted(value.items())}
        return value

    leaves, structure = flatten((tuple(mark(a) for a in args), {k: mark(v) for k, v in sorted(kwargs.items())}))
    prints = [b"slot" if isinstance(leaf, Slot) else constant_fingerprint(leaf) for leaf in leaves]
    return Arguments(structure, tuple(leaves)), tuple(handles), digest("devices.arguments", str(structure), *prints)
