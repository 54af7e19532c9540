# SPDX-License-Identifier: Apache-2.0
"""Identity of functions and constants, the same at every party that holds the same program.

A function of the user's is identified by its source without comments, layout and docstrings, by the functions of its
own module that it calls, and by what it closes over. A function of an installed package is identified by its name.
"""

from __future__ import annotations

import functools
import inspect
import io
import sys
import sysconfig
import textwrap
import tokenize
import types
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jali.core.codec import encode
from jali.core.errors import ProgramError, UnsupportedValue
from jali.crypto.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["constant_fingerprint", "function_fingerprint", "function_name", "user_source"]

_PACKAGE = str(Path(__file__).resolve().parent.parent) + "/"
_INSTALLED = (_PACKAGE, *(sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")))
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING}

_sources: weakref.WeakKeyDictionary[types.FunctionType, bytes] = weakref.WeakKeyDictionary()


def function_name(function: Any) -> str:
    """How messages call a function or class."""
    if isinstance(function, functools.partial):
        return function_name(function.func)
    return str(getattr(function, "__name__", None) or type(function).__name__)


def function_fingerprint(function: Any) -> bytes:
    """Digest of what a function or class does, equal for equal programs.

    Constants of the module are not part of it (a compiled program's own digest covers their values).
    """
    return _callable(function, set())


def constant_fingerprint(value: Any) -> bytes:
    """Digest of a constant argument: anything the wire codec takes, or a function, class or module.

    Raises: ProgramError for any other object, since parties could not agree on it.
    """
    if isinstance(value, types.ModuleType):
        return digest("graph.module", value.__name__)
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
        parts += [digest("graph.keyword", k, constant_fingerprint(v)) for k, v in function.keywords.items()]
        return digest("graph.partial", *parts)
    function = inspect.unwrap(function)
    if isinstance(function, types.MethodType):
        return digest("graph.method", _callable(function.__func__, seen), _lenient(function.__self__, seen))
    ours = isinstance(function, (types.FunctionType, type)) and not _is_installed(function)
    if not ours or id(function) in seen:
        name = getattr(function, "__qualname__", None) or function_name(function)
        return digest("graph.named", str(getattr(function, "__module__", "")), str(name))
    seen.add(id(function))
    if isinstance(function, type):
        return _class(function, seen)
    return digest("graph.function", _source(function), *_surroundings(function, seen))


def _is_installed(function: Any) -> bool:
    if isinstance(function, types.FunctionType):
        return function.__code__.co_filename.startswith((*_INSTALLED, "<frozen"))
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    return function.__module__ == "builtins" or (file is not None and file.startswith(_INSTALLED))


def _class(cls: type, seen: set[int]) -> bytes:
    parts = [cls.__qualname__.encode(), *(_callable(base, seen) for base in cls.__bases__)]
    for name, value in sorted(vars(cls).items()):
        inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if isinstance(inner, types.FunctionType) or not name.startswith("__"):
            parts.append(digest("graph.attribute", name, _lenient(inner, seen)))
    return digest("graph.class", *parts)


def _source(function: types.FunctionType) -> bytes:
    found = _sources.get(function)
    if found is None:
        try:
            text = textwrap.dedent(inspect.getsource(function))
        except (OSError, TypeError):  # typed at a prompt that keeps no source
            text = function.__qualname__
        found = _sources[function] = "\0".join(_significant(text)).encode()
    return found


def _significant(text: str) -> list[str]:
    """The tokens that matter: without comments, line breaks inside brackets, and strings that begin a block."""
    found: list[tokenize.TokenInfo] = []
    try:
        for token in _tokens(text):
            if token.type in _LAYOUT:
                continue
            begins_block = len(found) >= 2 and found[-2].type == tokenize.INDENT and found[-1].type == tokenize.STRING
            if token.type == tokenize.NEWLINE and begins_block:
                found.pop()
                continue
            found.append(token)
    except (tokenize.TokenError, IndentationError):  # a lambda in the middle of an expression
        return [text.strip()]
    blank = {tokenize.INDENT: "\1", tokenize.DEDENT: "\2", tokenize.NEWLINE: "\n"}
    return [blank.get(token.type, token.string) for token in found]


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens, with a formatted string as one, as before Python 3.12."""
    lines = text.splitlines(keepends=True)
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            start = start if depth else token.start
            depth += 1
        if not depth:
            yield token
        if kind == "FSTRING_END":
            depth -= 1
            if not depth:
                yield tokenize.TokenInfo(tokenize.STRING, _between(lines, start, token.end), start, token.end, "")


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    return "".join([lines[start[0] - 1][start[1] :], *middle, lines[end[0] - 1][: end[1]]])


def _surroundings(function: types.FunctionType, seen: set[int]) -> list[bytes]:
    """The functions and classes of the same module that it names, and what it closes over."""
    found: dict[str, Any] = {}
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, (types.FunctionType, type)) and value.__module__ == function.__module__:
            found[name] = value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet: a function that refers to itself
            continue
    return [digest("graph.closure", name, _lenient(found[name], seen)) for name in sorted(found)]


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _lenient(value: Any, seen: set[int]) -> bytes:
    if callable(value):
        return _callable(value, seen)
    try:
        return constant_fingerprint(value)
    except ProgramError:  # an object of the program, such as a device: its kind is all that parties can compare
        return digest("graph.object", type(value).__qualname__)
