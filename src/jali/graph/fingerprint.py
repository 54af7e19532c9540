# SPDX-License-Identifier: Apache-2.0
"""Identity of functions and constants, the same at every party that holds the same program.

A function is identified by its source without comments, layout and docstrings, by the functions of its own module
that it calls, and by the constants it closes over; a function without source (NumPy's, a builtin) by its name.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

from jali.core.codec import encode
from jali.core.errors import ProgramError, UnsupportedValue
from jali.crypto.hashing import digest

__all__ = ["constant_fingerprint", "function_fingerprint", "function_name", "user_source"]

_PACKAGE = str(Path(__file__).resolve().parent.parent) + "/"


def function_name(function: Any) -> str:
    """How messages call a function or class."""
    if isinstance(function, functools.partial):
        return function_name(function.func)
    return str(getattr(function, "__name__", None) or type(function).__name__)


def function_fingerprint(function: Any) -> bytes:
    """Digest of what a function or class does; equal for equal programs on any Python version of a family.

    Constants of the module are not part of it (a traced program's own digest covers their values).
    """
    return _callable(function, set())


def constant_fingerprint(value: Any) -> bytes:
    """Digest of a constant argument: anything the wire codec takes, or a function, class or module.

    Raises: ProgramError for any other object, since parties could not agree on it.
    """
    if isinstance(value, types.ModuleType):
        return digest("graph.module", value.__name__.encode())
    if callable(value):
        return function_fingerprint(value)
    try:
        return digest("graph.constant", *(bytes(part) for part in encode(value)))
    except UnsupportedValue:
        kind = type(value).__name__
        raise ProgramError(
            f"a constant argument of type {kind!r} cannot be agreed between parties; "
            "pass numbers, strings, arrays or tables, or make the object on its device: device(Class)(...)"
        ) from None


def user_source() -> str:
    """Where the user's program is now, as ``file.py:line`` (the file's name only: paths stay private)."""
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to walk the stack
    while frame is not None and frame.f_code.co_filename.startswith((_PACKAGE, "<frozen")):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "?"


def _callable(function: Any, seen: set[int]) -> bytes:
    if isinstance(function, functools.partial):
        parts = [_callable(function.func, seen)]
        parts += [constant_fingerprint(a) for a in function.args]
        parts += [digest("graph.keyword", k.encode(), constant_fingerprint(v)) for k, v in function.keywords.items()]
        return digest("graph.partial", *parts)
    function = inspect.unwrap(function)
    if isinstance(function, types.MethodType):
        return digest("graph.method", _callable(function.__func__, seen), type(function.__self__).__qualname__.encode())
    if not isinstance(function, (types.FunctionType, type)) or id(function) in seen:
        module = getattr(function, "__module__", None) or ""
        name = getattr(function, "__qualname__", None) or function_name(function)
        return digest("graph.named", str(module), str(name))
    seen.add(id(function))
    source = _normalised_source(function)
    if source is None:
        return digest("graph.named", function.__module__.encode(), function.__qualname__.encode())
    parts = [source.encode()]
    if isinstance(function, types.FunctionType):
        parts += _closure(function, seen)
    return digest("graph.function", *parts)


def _normalised_source(function: Any) -> str | None:
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return None
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a lambda in the middle of an expression
        return text.strip()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _closure(function: types.FunctionType, seen: set[int]) -> list[bytes]:
    found: dict[str, Any] = {}
    names = _names(function.__code__)
    for name, value in function.__globals__.items():
        own = getattr(value, "__module__", None) == function.__module__
        if name in names and own and isinstance(value, (types.FunctionType, type)):
            found[name] = value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet: a function that refers to itself
            continue
    parts = []
    for name in sorted(found):
        value = found[name]
        part = _callable(value, seen) if callable(value) else _lenient(value)
        parts.append(digest("graph.closure", name.encode(), part))
    return parts


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _lenient(value: Any) -> bytes:
    try:
        return constant_fingerprint(value)
    except ProgramError:  # an object of the program, such as a device: its kind is all that parties can compare
        return digest("graph.object", type(value).__qualname__.encode())
