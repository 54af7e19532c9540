# SPDX-License-Identifier: Apache-2.0
"""Remembers which revealed value came from which node, so that it can be passed on to a device under its identity."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jali.devices.handle import Handle

__all__ = ["Revealed"]

_SHARED = (bool, type(None), int, str, bytes)


class Revealed:
    """Maps the identity of a value (not its content) to the handle of the reveal that returned it.

    An array is held weakly. A tree of arrays is kept as long as the federation is, since containers cannot be held
    weakly. Python's shared constants (None, small ints, strings) have no identity and are not remembered.
    """

    def __init__(self) -> None:
        """Empty."""
        self._entries: dict[int, tuple[Any, Handle, tuple[int | str, ...]]] = {}

    def remember(self, value: Any, root: Handle, path: tuple[int | str, ...] = ()) -> None:
        """Note that `value` is the element at `path` of what `root` revealed."""
        if isinstance(value, _SHARED):
            return
        key = id(value)
        reference: Any = lambda: value  # noqa: E731 - a strong reference, called like a weak one
        if not path:
            with contextlib.suppress(TypeError):  # containers and numbers: kept strongly
                reference = weakref.ref(value, lambda _: self._entries.pop(key, None))
        self._entries[key] = (reference, root, path)
        parts = value.items() if type(value) is dict else enumerate(value) if type(value) in (list, tuple) else ()
        for name, part in parts:
            self.remember(part, root, (*path, name))

    def handle(self, value: Any) -> Handle | None:
        """The handle of exactly this object, if it was revealed."""
        entry = self._entries.get(id(value))
        return entry[1].element(entry[2]) if entry is not None and entry[0]() is value else None
