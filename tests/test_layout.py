# SPDX-License-Identifier: Apache-2.0
"""The shape of the source tree: what a linter cannot say, said once for every file."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "tests", "examples", "bench", "docs")
VAGUE = {"base2", "common", "helper", "helpers", "misc", "stuff", "util", "utilities", "utils"}
LONGEST = 500
TRACING = ("src/jali/mpc/lower/", "src/jali/ml/")


def files(*suffixes: str, under: tuple[str, ...] = FOLDERS) -> list[Path]:
    found = (path for folder in under for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)
    return sorted(path for path in found if "__pycache__" not in path.parts and "_build" not in path.parts)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


PACKAGE = files(".py", under=("src",))
TESTS = files(".py", under=("tests",))
PYTHON = files(".py")
NATIVE = files(".cpp", ".h", ".hpp", under=("src",))


@pytest.mark.parametrize("path", PYTHON + NATIVE, ids=name)
def test_a_file_is_short_and_says_its_licence(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    comment = "# " if path.suffix == ".py" else "// "
    assert lines[0] == comment + "SPDX-License-Identifier: Apache-2.0"
    assert len(lines) <= LONGEST, f"{len(lines)} lines: a file tells one story"


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(parsed(path))
    assert docstring
    assert "TODO" not in docstring
    assert path.stem not in VAGUE, "name the idea"


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_a_module_of_the_package_is_safe_to_ship(path: Path) -> None:
    tree = parsed(path)
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts, f"assert disappears under python -O: raise an error instead (lines {asserts})"
    if path.name != "__main__.py" and path.read_text("utf-8").count("\n") > 3:
        assigned = {target.id for target in _targets(tree) if isinstance(target, ast.Name)}
        assert "__all__" in assigned, "say what is public"


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_public_names_have_docstrings(path: Path) -> None:
    missing = [f"{node.name} (line {node.lineno})" for node in _public(parsed(path)) if not ast.get_docstring(node)]
    assert not missing


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_heavy_and_native_modules_stay_where_they_belong(path: Path) -> None:
    modules = set(_imports(parsed(path)))
    if not name(path).startswith("src/jali/kernels/"):
        assert "jali.kernels._native" not in modules, "call jali.kernels, which chooses the level"
    if not name(path).startswith(TRACING):
        assert not {module for module in modules if module.split(".")[0] == "jax"}, "only tracing needs jax"


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_tests_do_not_sleep(path: Path) -> None:
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    sleeps = [call.lineno for call in calls if _called(call) in {"time.sleep", "asyncio.sleep", "sleep"}]
    assert not sleeps, f"wait on an event, a condition or a virtual clock (lines {sleeps})"


def _targets(tree: ast.Module) -> Iterator[ast.expr]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from node.targets
        elif isinstance(node, ast.AnnAssign):
            yield node.target


def _public(
    node: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for child in node.body:
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or child.name.startswith("_"):
            continue
        if {"overload", "setter"}.isdisjoint(_decorators(child)):
            yield child
        if isinstance(child, ast.ClassDef):
            yield from _public(child)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    return {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func)
