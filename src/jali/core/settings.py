# SPDX-License-Identifier: Apache-2.0
"""What each key of the federation file means, told from the schema itself."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from jali.core.config import Device, Federation, Ledger, Network, Party, Saved
from jali.core.errors import UnknownName
from jali.core.federation_file import settable
from jali.core.nearmiss import suggest

__all__ = ["all_keys", "explain", "meaning"]

SECTIONS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "parties": (Party, "parties.NAME"),
    "devices": (Device, "devices.NAME"),
    "network": (Network, "network"),
    "ledger": (Ledger, "ledger"),
    "saved": (Saved, "saved"),
}


def all_keys() -> tuple[str, ...]:
    """All keys of the file; NAME stands for a party's or a device's name."""
    top = [key for key in settable(Federation) if key not in SECTIONS]
    return tuple(top + [f"{prefix}.{key}" for schema, prefix in SECTIONS.values() for key in settable(schema)])


def explain(key: str) -> str:
    """Type, default and meaning of a key such as "network.connect_s", "parties.bank.role" or just "role".

    Raises: UnknownName, with the near misses.
    """
    path = [part.strip('"') for part in re.findall(r'"[^"]*"|[^.\[]+(?:\[[^\]]*\])?', key)]
    if len(path) == 3 and path[0] in {"parties", "devices"}:
        path = [path[0], path[2]]
    section, name = path if len(path) == 2 else ("", path[0] if len(path) == 1 else key)
    if not section and name in SECTIONS:
        return _section(name)
    found = [full for full in all_keys() if full.split(".")[-1] == name and section in {"", full.split(".")[0]}]
    if not found:
        in_section = (
            [full for full in all_keys() if full.startswith(f"{section}.")] if section in SECTIONS else all_keys()
        )
        shown = [full.split(".")[-1] for full in in_section] if section in SECTIONS or not section else in_section
        shown = shown if section else [*SECTIONS, *shown]
        raise UnknownName(f"the federation file has no key {key!r}{suggest(name, shown)}")
    return "\n".join(_setting(full) for full in found)


def meaning(full: str) -> str:
    """What one of `all_keys` means, in one line."""
    path = full.split(".")
    return _description(SECTIONS[path[0]][0] if len(path) > 1 else Federation, path[-1])


def _section(name: str) -> str:
    schema, prefix = SECTIONS[name]
    inside = "\n".join(f"  {line}" for key in settable(schema) for line in _setting(f"{prefix}.{key}").splitlines())
    return f"[{prefix}]\n  {_description(Federation, name)}\n{inside}"


def _setting(full: str) -> str:
    path = full.split(".")
    schema = SECTIONS[path[0]][0] if len(path) > 1 else Federation
    field = next(field for field in msgspec.structs.fields(schema) if field.name == path[-1])
    default = "required" if field.required else f"default {_toml(field.default)}"
    return f"{full} ({_type(field.type)}; {default})\n  {meaning(full)}"


def _description(schema: type[msgspec.Struct], name: str) -> str:
    field = next(field for field in msgspec.structs.fields(schema) if field.name == name)
    found = [part.description for part in _metadata(field.type) if part.description]
    return found[-1] if found else ""


def _metadata(annotation: Any) -> list[msgspec.Meta]:
    return (
        [part for part in get_args(annotation) if isinstance(part, msgspec.Meta)]
        if get_origin(annotation) is Annotated
        else []
    )


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        inner, *parts = get_args(annotation)
        limits = [
            f"{sign} {value}"
            for part in parts
            for sign, value in (("above", part.gt), ("from", part.ge), ("to", part.le))
            if value is not None
        ]
        return " ".join([_type(inner), *limits])
    if get_origin(annotation) is Literal:
        return " or ".join(map(_toml, get_args(annotation)))
    names = {str: "string", int: "whole number", float: "number", tuple: "list of strings", dict: "tables"}
    plain = [part for part in get_args(annotation) if part is not type(None)]
    return names.get(get_origin(annotation) or annotation) or " or ".join(map(_type, plain))


def _toml(value: object) -> str:
    if value is None or value == "":
        return "none"
    return f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)
