# SPDX-License-Identifier: Apache-2.0
"""Templates: `client[0..2]` stands for client[0], client[1] and client[2]; `{i}` and `{7200+i}` for their numbers."""

from __future__ import annotations

import re
from typing import Any

from jali.core.errors import BadRange, ConfigInvalid, DuplicateName

__all__ = ["MAX_MEMBERS", "expand_name", "expand_names", "expand_tables"]

MAX_MEMBERS = 10_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}(\[\d{1,9}\])?", re.ASCII)
RANGE = re.compile(r"([^\[\]]*)\[([^\[\]]*)\.\.([^\[\]]*)\]")
PLACE = re.compile(r"\{([^{}]*)\}")
NUMBER = re.compile(r"(?:(\d{1,9})\s*\+\s*)?i", re.ASCII)


def expand_name(name: str) -> list[tuple[str, int | None]]:
    """The names that a name stands for, each with its number in the range (None when there is no range).

    Raises: BadRange; ConfigInvalid when the name has characters that are not allowed.

    Example:
    >>> expand_name("client[1..2]")
    [('client[1]', 1), ('client[2]', 2)]
    """
    template = RANGE.fullmatch(name)
    if template is None:
        if ".." in name:
            raise BadRange(f"expected a range such as client[0..3], found {name!r}")
        if not NAME.fullmatch(name):
            raise ConfigInvalid(
                f"expected a name of letters, digits, '-' and '_' that begins with a letter, found {name!r}"
            )
        return [(name, None)]
    stem, first, last = template.groups()
    if not (re.fullmatch(r"[0-9]{1,9}", first) and re.fullmatch(r"[0-9]{1,9}", last)):
        raise BadRange(f"expected whole numbers as the ends of the range, found {name!r}")
    if not 0 <= int(last) - int(first) < MAX_MEMBERS:
        raise BadRange(f"expected a range of 1 to {MAX_MEMBERS} members, first end not above the last, found {name!r}")
    expand_name(stem)
    return [(f"{stem}[{number}]", number) for number in range(int(first), int(last) + 1)]


def expand_names(names: list[str] | tuple[str, ...], *, where: str) -> tuple[str, ...]:
    """A list of names with its ranges expanded.

    Raises: DuplicateName, BadRange, ConfigInvalid.
    """
    expanded = [name for template in names for name, _ in expand_name(template)]
    repeated = (
        sorted({name for name in expanded if expanded.count(name) > 1}) if len(set(expanded)) < len(expanded) else []
    )
    if repeated:
        raise DuplicateName(f"{where} lists {repeated[0]!r} twice")
    return tuple(expanded)


def expand_tables(tables: dict[str, Any], *, section: str) -> dict[str, dict[str, Any]]:
    """The tables of a section, one for each name, with the numbers put into their strings.

    Raises: DuplicateName, BadRange, ConfigInvalid.
    """
    expanded: dict[str, dict[str, Any]] = {}
    origin: dict[str, str] = {}
    for template, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigInvalid(f"expected a table [{section}.{template}], found {type(table).__name__}")
        for name, number in expand_name(template):
            if name in expanded:
                raise DuplicateName(
                    f"[{section}.{_quoted(origin[name])}] and [{section}.{_quoted(template)}] both name {name!r}"
                )
            origin[name] = template
            expanded[name] = table if number is None else _with_number(table, number, template)
    return expanded


def _with_number(value: Any, number: int, template: str) -> Any:
    if isinstance(value, str):
        return PLACE.sub(lambda place: _number_of(place.group(1), number, template), value) if "{" in value else value
    if isinstance(value, list):
        return [_with_number(item, number, template) for item in value]
    if isinstance(value, dict):
        return {key: _with_number(item, number, template) for key, item in value.items()}
    return value


def _number_of(expression: str, number: int, template: str) -> str:
    sum_ = NUMBER.fullmatch(expression.strip())
    if sum_ is None:
        raise BadRange(f"expected {{i}} or {{7200+i}} in the strings of {template!r}, found {{{expression}}}")
    return str(int(sum_.group(1) or 0) + number)


def _quoted(name: str) -> str:
    return f'"{name}"' if "[" in name else name
