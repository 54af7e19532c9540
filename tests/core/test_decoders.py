# SPDX-License-Identifier: Apache-2.0
"""Decoders are made when a module is loaded: two threads that are the first to decode a type end the process.

msgspec 0.22 prepares a type when it is first decoded, and a thread that comes in the meantime sees it half prepared:
the interpreter ends with a segmentation fault. A decoder prepares its type when it is made.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "jali"


def types_at_first_use(code: str) -> list[int]:
    """Lines that decode into a type without a decoder that was made before."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "decode"
        and any(keyword.arg == "type" for keyword in call.keywords)
    ]


def decoders_in_functions(code: str) -> list[int]:
    functions = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))
    return [
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "Decoder"
    ]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_types_are_prepared_before_threads_decode_them(path: Path) -> None:
    code = path.read_text("utf-8")
    assert not types_at_first_use(code)
    assert not decoders_in_functions(code)


def test_the_rule_sees_what_it_forbids() -> None:
    assert types_at_first_use("x = 1\ny = msgspec.msgpack.decode(data, type=Header)\n") == [2]
    assert decoders_in_functions("def f():\n    return msgspec.json.Decoder(int)\n") == [2]
