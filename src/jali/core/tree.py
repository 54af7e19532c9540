# SPDX-License-Identifier: Apache-2.0
"""Trees: nested lists, tuples, dicts and namedtuples, taken apart into leaves and put together again.

The conventions are jax's: dicts are ordered by their keys, None is a container without leaves, everything else is a
leaf. Structures are values: they can be compared, hashed, printed and sent.

References: the pytrees of JAX (docs.jax.dev, "Pytrees").
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jali.core.errors import TreeMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["LEAF", "Structure", "flatten", "is_named_tuple", "map_leaves", "named_tuple_type", "unflatten"]

MAX_DEPTH = 64
MAX_FIELDS = 1024

Key = str | int | bool


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a tree, without its leaves.

    `kind` is "leaf", "none", "list", "tuple", "dict" or "named"; `keys` are a dict's keys or a namedtuple's fields;
    `name` is the namedtuple's. A namedtuple that came from elsewhere is rebuilt from its name and fields.
    """

    kind: str
    children: tuple[Structure, ...] = ()
    keys: tuple[Key, ...] = ()
    name: str = ""
    factory: type[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def leaf_count(self) -> int:
        """How many leaves a tree of this structure has."""
        return 1 if self.kind == "leaf" else sum(child.leaf_count for child in self.children)

    def __str__(self) -> str:
        """Like the tree's own repr, with * for a leaf."""
        parts = [str(child) for child in self.children]
        if self.kind == "leaf":
            return "*"
        if self.kind == "none":
            return "None"
        if self.kind == "list":
            return f"[{', '.join(parts)}]"
        if self.kind == "tuple":
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if self.kind == "dict":
            return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(self.keys, parts, strict=True)) + "}"
        return f"{self.name}({', '.join(f'{key}={part}' for key, part in zip(self.keys, parts, strict=True))})"

    def to_value(self) -> list[Any]:
        """Plain lists and strings, for the codec and for digests."""
        return [self.kind, self.name, list(self.keys), [child.to_value() for child in self.children]]

    @classmethod
    def from_value(cls, value: object, *, depth: int = 0) -> Structure:
        """The structure that `to_value` described.

        Raises: TreeMismatch if the value does not describe a structure.
        """
        match value:
            case [str(kind), str(name), list(keys), list(children)] if depth <= MAX_DEPTH:
                parts = tuple(cls.from_value(child, depth=depth + 1) for child in children)
                structure = cls(kind, parts, tuple(keys), name)
                if structure._is_consistent():
                    return structure
        raise TreeMismatch("expected the description of a nested container, found something else")

    def _is_consistent(self) -> bool:
        if self.kind in {"leaf", "none"}:
            return not self.children and not self.keys and not self.name
        if self.kind in {"list", "tuple"}:
            return not self.keys and not self.name
        if len(self.keys) != len(self.children):
            return False
        if self.kind == "dict":
            fits = all(isinstance(key, Key) for key in self.keys) and not self.name
            return fits and len(set(self.keys)) == len(self.keys)
        return self.kind == "named" and is_named_tuple_description(self.name, self.keys)


LEAF = Structure("leaf")
NONE = Structure("none")


def flatten(tree: object) -> tuple[list[Any], Structure]:
    """The leaves of a tree, from left to right, and its structure.

    Raises: TreeMismatch if a dict's keys have no order or are not strings, whole numbers or booleans, or the tree is
    nested deeper than 64 levels (it may contain itself).
    """
    leaves: list[Any] = []
    return leaves, _walk(tree, leaves, 0)


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The tree of that structure with these leaves.

    Raises: TreeMismatch if the number of leaves differs from the structure's.
    """
    remaining = iter(leaves)
    tree = _build(structure, remaining)
    surplus = sum(1 for _ in remaining)
    if surplus:
        raise TreeMismatch(f"expected {structure.leaf_count} leaves for {structure}, found {surplus} more")
    return tree


def map_leaves(function: Callable[..., Any], tree: object, *rest: object) -> Any:
    """Apply a function to each leaf (and to the leaves at the same places of the `rest`).

    Raises: TreeMismatch if the trees differ in structure.
    """
    leaves, structure = flatten(tree)
    columns = [leaves]
    for index, other in enumerate(rest):
        other_leaves, other_structure = flatten(other)
        if other_structure != structure:
            raise TreeMismatch(f"expected {structure} in tree {index + 2}, found {other_structure}")
        columns.append(other_leaves)
    return unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])


def is_named_tuple(value: object) -> bool:
    """Whether a value is an instance of a namedtuple class."""
    return isinstance(value, tuple) and hasattr(type(value), "_fields") and hasattr(type(value), "_make")


def is_named_tuple_description(name: str, fields: Iterable[object]) -> bool:
    """Whether a name and fields may become a namedtuple class."""
    from keyword import iskeyword

    names = list(fields)
    texts = [text for text in names if isinstance(text, str)]
    fits = all(text.isidentifier() and not iskeyword(text) and not text.startswith("_") for text in texts)
    named = name.isidentifier() and not iskeyword(name) and len(name) <= MAX_FIELDS
    return fits and named and len(texts) == len(names) == len(set(texts)) <= MAX_FIELDS


@lru_cache(maxsize=256)
def named_tuple_type(name: str, fields: tuple[str, ...]) -> type[Any]:
    """A namedtuple class with that name and these fields, for values that came from another party.

    Security: fields are checked to be plain identifiers; no code comes from the message.
    Raises: TreeMismatch if the names are not identifiers, or repeat.
    """
    if not is_named_tuple_description(name, fields):
        raise TreeMismatch("expected identifiers as the name and the fields of a namedtuple, found something else")
    cls: type[Any] = namedtuple(name, fields)  # type: ignore[misc]  # noqa: PYI024 - the class is made at run time
    return cls


def _walk(tree: object, leaves: list[Any], depth: int) -> Structure:
    if depth > MAX_DEPTH:
        raise TreeMismatch(f"expected containers nested at most {MAX_DEPTH} deep, found deeper ones")
    if tree is None:
        return NONE
    if type(tree) is list:
        return Structure("list", tuple(_walk(child, leaves, depth + 1) for child in tree))
    if type(tree) is tuple:
        return Structure("tuple", tuple(_walk(child, leaves, depth + 1) for child in tree))
    if isinstance(tree, dict):
        keys = _ordered(tree)
        return Structure("dict", tuple(_walk(tree[key], leaves, depth + 1) for key in keys), keys)
    if isinstance(tree, tuple) and is_named_tuple(tree):
        fields: tuple[str, ...] = getattr(type(tree), "_fields", ())
        parts = tuple(_walk(child, leaves, depth + 1) for child in tree)
        return Structure("named", parts, fields, type(tree).__name__, type(tree))
    leaves.append(tree)
    return LEAF


def _ordered(tree: dict[Any, Any]) -> tuple[Key, ...]:
    wrong = sorted({type(key).__name__ for key in tree if not isinstance(key, Key)})
    if wrong:
        raise TreeMismatch(f"expected dict keys that are strings or whole numbers, found {', '.join(wrong)}")
    try:
        return tuple(sorted(tree))
    except TypeError:
        raise TreeMismatch("expected dict keys of one type, so that they have an order; found a mixture") from None


def _build(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure.kind == "leaf":
        for leaf in leaves:
            return leaf
        raise TreeMismatch("expected more leaves for this structure than were given")
    if structure.kind == "none":
        return None
    parts = [_build(child, leaves) for child in structure.children]
    if structure.kind == "list":
        return parts
    if structure.kind == "tuple":
        return tuple(parts)
    if structure.kind == "dict":
        return dict(zip(structure.keys, parts, strict=True))
    factory = structure.factory or named_tuple_type(structure.name, tuple(map(str, structure.keys)))
    return factory(*parts)
