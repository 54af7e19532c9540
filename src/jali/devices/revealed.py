# SPDX-License-Identifier: Apache-2.0
"""Remembers which revealed value came from which node, so that it can be passed on to a device under its identity."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.devices.handle import Handle

__all__ = ["Revealed"]

_SHARED = (bool, type(None), int, str, bytes)
_OURS = 3  # references to a part that the program has dropped: in `_Part`, in its container, and as it is counted

Path = tuple[int | str, ...]


class _Part(NamedTuple):
    """A value, or an element of one, and where it stands in what was revealed."""

    value: Any
    path: Path


class _Root:
    """What one reveal returned: its parts by identity. The container of the whole is the runtime's table of values."""

    def __init__(self, value: Any, handle: Handle) -> None:
        self.handle = handle
        self.whole = _Part(value, ())
        self.parts = {id(part.value): part for part in _parts(self.whole)}

    def is_held(self, part: _Part) -> bool:
        """Whether the program still has a part of what was revealed."""
        return sys.getrefcount(part.value) > _OURS


class Revealed:
    """Maps the identity of a value (not its content) to the handle of the reveal that returned it.

    A value that the program has dropped is forgotten at the next reveal, and with it goes the handle. Python's shared
    constants (None, whole numbers, strings) have no identity and are not remembered.
    """

    def __init__(self) -> None:
        """Empty."""
        self._roots: dict[int, _Root] = {}  # by the identity of a part

    def __len__(self) -> int:
        """How many values and elements are remembered."""
        return len(self._roots)

    def remember(self, value: Any, handle: Handle) -> None:
        """Note that `value` is what `handle` revealed."""
        self._forget_dropped()
        root = _Root(value, handle)
        for key in root.parts:
            if key in self._roots:  # revealed once more: an object belongs to one reveal
                self._forget(self._roots[key], key)
            self._roots[key] = root

    def handle(self, value: Any) -> Handle | None:
        """The handle of exactly this object, if it was revealed."""
        root = self._roots.get(id(value))
        return None if root is None else root.handle.element(root.parts[id(value)].path)

    def _forget_dropped(self) -> None:
        for root in {id(root): root for root in self._roots.values()}.values():
            if not root.is_held(root.whole):
                for key in [key for key, part in root.parts.items() if not root.is_held(part)]:
                    self._forget(root, key)

    def _forget(self, root: _Root, key: int) -> None:
        del root.parts[key], self._roots[key]


def _parts(part: _Part) -> Iterator[_Part]:
    """The part and all parts of it that have an identity."""
    value, path = part
    if isinstance(value, _SHARED):
        return
    yield part
    inner = value.items() if type(value) is dict else enumerate(value) if type(value) in (list, tuple) else ()
    for key, element in inner:
        yield from _parts(_Part(element, (*path, key)))
