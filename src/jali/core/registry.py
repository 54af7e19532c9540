# SPDX-License-Identifier: Apache-2.0
"""Registries: what can be chosen by name, imported only when it is chosen.

Built-in entries are a table of "module:attribute"; packages of others add theirs as entry points of the same group.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jali.core.errors import UnknownName
from jali.core.nearmiss import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Registry", "installed", "load"]


class Registry:
    """Names of one kind of thing (protocols, devices, ...) and where each is defined.

    Example:
    >>> Registry("jali.codecs", builtin={"json": "json:dumps"}).get("json")([1])
    '[1]'
    """

    def __init__(self, group: str, *, builtin: Mapping[str, str]) -> None:
        """`group` is the entry-point group; `builtin` maps a name to "module:attribute"."""
        self.group = group
        self._builtin = dict(builtin)

    def get(self, name: str) -> Any:
        """The object of that name, imported now. Built-in names cannot be replaced by a package.

        Raises: UnknownName, with the near misses.
        """
        target = self._builtin.get(name)
        if target is not None:
            return load(target)
        for entry in _entry_points(self.group):
            if entry.name == name:
                return entry.load()
        raise self.unknown(name)

    def names(self) -> tuple[str, ...]:
        """All names: built-in ones in their order, then those of installed packages."""
        return tuple(dict.fromkeys([*self._builtin, *installed(self.group)]))

    def __contains__(self, name: object) -> bool:
        """Whether the name exists; looks into the installed packages only when it is not built in."""
        return name in self._builtin or name in self.names()

    def unknown(self, name: str) -> UnknownName:
        """The error for a name that does not exist."""
        kind = self.group.removeprefix("jali.").replace("_", " ").removesuffix("s")
        return UnknownName(f"there is no {kind} {name!r}{suggest(name, self.names())}")


def installed(group: str) -> tuple[str, ...]:
    """The names that installed packages add to a group."""
    return tuple(sorted({entry.name for entry in _entry_points(group)}))


def load(target: str) -> Any:
    """The attribute that "module:attribute" names."""
    module, _, attribute = target.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _entry_points(group: str) -> Any:
    from importlib.metadata import entry_points

    return entry_points(group=group)
