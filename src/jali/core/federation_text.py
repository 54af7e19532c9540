# SPDX-License-Identifier: Apache-2.0
"""A federation as the text of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.config import Federation, Ledger, Network, Saved
from jali.core.federation_file import settable

if TYPE_CHECKING:
    import msgspec

__all__ = ["to_toml"]


def to_toml(federation: Federation) -> str:
    """TOML that `jali.core.federation_file.parse` reads back as the same federation; defaults are left out."""
    lines = [
        f"{key} = {_written(getattr(federation, key))}" for key in ("name", "authority") if getattr(federation, key)
    ]
    for section, tables in (("parties", federation.parties), ("devices", federation.devices)):
        for name, table in tables.items():
            lines += ["", f"[{section}.{_quoted(name)}]", *_settings(table, None)]
    defaults: dict[str, msgspec.Struct] = {"network": Network(), "ledger": Ledger(), "saved": Saved()}
    for section, default in defaults.items():
        changed = _settings(getattr(federation, section), default)
        lines += ["", f"[{section}]", *changed] if changed else []
    return "\n".join(lines) + "\n"


def _settings(table: msgspec.Struct, default: msgspec.Struct | None) -> list[str]:
    values = [(key, getattr(table, key)) for key in settable(type(table))]
    if default is None:
        kept = [(key, value) for key, value in values if value not in {None, "", ()}]
    else:
        kept = [(key, value) for key, value in values if value != getattr(default, key)]
    return [f"{key} = {_written(value)}" for key, value in kept]


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """A basic TOML string; JSON's escapes are TOML's."""
    from json import dumps

    return dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
