# SPDX-License-Identifier: Apache-2.0
"""Writes the reference pages that follow from the code: the Python interface, the command line, exit statuses, errors.

`make docs` runs it; tests/docs/test_pages.py compares the pages with the code.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import jali
from jali.core.errors import JaliError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["pages"]

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->\n"

API = """# Python interface

What `import jali` offers. Names load when they are first used, so that the import itself is quick.
"""

PREPARATION = """# Preparation

What `jali.prep` offers: filling, scaling, encoding and binning of one party's own columns, at its plain device.
"""

LEARNING = """# Learning and evaluation

What `jali.ml` offers: functions in `jax.numpy` that run on an `mpc` device, and on plain arrays alike.
"""

FUNCTIONS = """# Inside functions on an mpc device

What `jali.mpc` offers beside `jax.numpy`: `bounded_while` inside functions that run on an `mpc` device; `bounded` says
how large an input is, and `dry_run` tries a function on samples.
"""

CLI = """# Command line

`jali COMMAND --help` says the same. Results go to standard output, everything else to standard error;
[exit statuses](exit-status.md) say how a command ended.
"""

EXIT = """# Exit statuses

How a `jali` command ends. Scripts should branch on these numbers, or on the code (`J` and four digits) that begins the
message; the words of a message may change.

| status | family of errors | means |
|---|---|---|
| 0 | | success |
| 1 | [J0000 JaliError](errors/J0000.md) | the program raised an exception of its own; or a newer peer has an error \
that has no name here |
| 2 | | the command line itself is wrong: an unknown option, a missing argument |
"""

ERRORS = """# Errors

Each error has a code that never changes, a class in `jali.core.errors`, and a page that says what happened, why, and
what to do. All parties of a computation raise the same code for the same failure.

A message never holds a value of anybody's data: only names, shapes, types, line numbers and counts.
"""


def pages() -> dict[Path, str]:
    """The path and the text of every generated page."""
    return {
        REFERENCE / "api.md": NOTE + API + "\n" + entries(jali),
        REFERENCE / "preparation.md": NOTE + PREPARATION + "\n" + entries(importlib.import_module("jali.prep")),
        REFERENCE / "inside-mpc.md": NOTE + FUNCTIONS + "\n" + entries(importlib.import_module("jali.mpc")),
        REFERENCE / "learning.md": NOTE + LEARNING + "\n" + entries(importlib.import_module("jali.ml")),
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "exit-status.md": exit_page(),
        REFERENCE / "errors" / "index.md": errors_page(),
    }


def entries(module: ModuleType) -> str:
    """One section for each public name of a module."""
    return "\n".join(_entry(name, getattr(module, name)) for name in sorted(module.__all__, key=str.lower))


def _entry(name: str, value: Any) -> str:
    if not callable(value):
        return f"## `{name}`\n\n{_constant(name)}\n"
    text = f"## `{name}`\n\n```python no-run: a signature\n{_signature(name, value)}\n```\n\n{_docstring(value)}\n"
    return text + "".join(_methods(value)) if inspect.isclass(value) else text


def _constant(name: str) -> str:
    return {"__version__": "The version, a string like `0.1.0`."}.get(name, "A constant.")


def _methods(cls: type) -> Iterator[str]:
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") or not (inspect.isroutine(member) or isinstance(member, property)):
            continue
        if name not in {key for base in cls.__mro__ if base.__module__.startswith("jali") for key in vars(base)}:
            continue
        call = name if isinstance(member, property) else _signature(name, member)
        yield f"\n**`{call}`**\n\n{_docstring(member)}\n"


def _signature(name: str, value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return f"{name}(...)"
    parameters = [p.replace(annotation=_shown(p.annotation)) for p in signature.parameters.values() if p.name != "self"]
    shown = signature.replace(parameters=parameters, return_annotation=_shown(signature.return_annotation))
    return f"{name}{shown}"


class _Annotation:
    """Shows an annotation as it was written, without the modules of names and without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return re.sub(r"(?:[a-z_]+\.)+([A-Z])", r"\1", self.text)


def _shown(annotation: Any) -> Any:
    text = getattr(annotation, "__forward_arg__", annotation)
    return _Annotation(text) if isinstance(text, str) else annotation


def _docstring(value: Any) -> str:
    """The docstring as Markdown; `Word: text` paragraphs become list items, doctests become blocks."""
    text = inspect.cleandoc(value.__doc__ or "") + "\n"
    text = re.sub(
        r"::\n\n((?:    .*\n?|\n)+)", lambda m: ":\n\n```text\n" + textwrap.dedent(m[1]).strip() + "\n```\n", text
    )
    text = re.sub(r"((?:^>>> .*\n(?:^(?!\n).+\n?)*\n?)+)", r"```text\n\1```\n", text, flags=re.MULTILINE)
    text = re.sub(r"^Example:\n", "Example:\n\n", text, flags=re.MULTILINE)
    return re.sub(r"^([A-Z][a-z]+): ", r"- *\1:* ", text, flags=re.MULTILINE).rstrip()


def cli_page() -> str:
    """The help of every command, as a terminal of 100 columns shows it."""
    from jali.cli.app import application

    return "\n".join([NOTE + CLI, *_helps(application, "jali", None)])


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    settings = {"terminal_width": 100, "max_content_width": 100, **command.context_settings}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _helps(found, child, context)


def exit_page() -> str:
    """The exit status of every family of errors."""
    rows = [
        f"| {cls.exit_status} | [{cls.code} {cls.__name__}](errors/{cls.code}.md) | {_first(cls)} |"
        for cls in sorted(_families()[1:], key=lambda cls: cls.exit_status)
    ]
    return NOTE + EXIT + "\n".join(rows) + "\n| 128 + n | | ended by signal n; 130: interrupted from the keyboard |\n"


def errors_page() -> str:
    """A table of all errors, by family."""
    parts = [NOTE + ERRORS]
    for family in sorted(_families(), key=lambda cls: cls.code):
        members = _below(family) if family is not JaliError else [JaliError]
        rows = "\n".join(f"| [{c.code}]({c.code}.md) | `{c.__name__}` | {_first(c)} |" for c in members)
        parts.append(f"## {family.code[:2]}: {_first(family)}\n\n| code | class | what |\n|---|---|---|\n{rows}\n")
    contents = "\n".join(sorted(cls.code for cls in _below(JaliError)))
    return "\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{contents}\n```\n"])


def _families() -> list[type[JaliError]]:
    return [JaliError, *_children(JaliError)]


def _below(root: type[JaliError]) -> list[type[JaliError]]:
    """The class and all classes under it, by code."""
    return sorted([root, *(cls for child in _children(root) for cls in _below(child))], key=lambda cls: cls.code)


def _children(cls: type[JaliError]) -> list[type[JaliError]]:
    return [child for child in cls.__subclasses__() if child.__module__.startswith("jali.core.errors.")]


def _first(cls: type[JaliError]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").splitlines()[0].replace("|", "\\|")


def main() -> None:
    """Write the pages that changed."""
    for path, text in pages().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(REFERENCE.parent)}")


if __name__ == "__main__":
    main()
