# SPDX-License-Identifier: Apache-2.0
"""Identity of functions: layout does not matter, behaviour does."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING

import numpy as np
import pytest

from jali.core.errors import ProgramError
from jali.graph.fingerprint import (
    _source,
    constant_fingerprint,
    function_fingerprint,
    function_name,
    user_source,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def load(path: Path, text: str) -> Callable[..., object]:
    import linecache

    path.write_text(text)
    linecache.checkcache(str(path))
    space: dict[str, object] = {"__name__": "job"}
    exec(compile(text, str(path), "exec"), space)  # noqa: S102 - a program as a user would write it
    found = space["f"]
    assert callable(found)
    return found


BASE = "def g(x):\n    return x + 1\n\ndef f(x):\n    return g(x) * 2\n"


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + BASE,
        BASE.replace("    return g", '    """A docstring."""\n    return g'),
        BASE.replace("g(x)", "g(\n        x\n    )"),
        BASE.replace("    return g", "\n    return g"),
    ],
)
def test_comments_layout_and_docstrings_do_not_matter(tmp_path: Path, text: str) -> None:
    one = function_fingerprint(load(tmp_path / "one.py", BASE))
    assert function_fingerprint(load(tmp_path / "two.py", text)) == one


@pytest.mark.parametrize("text", [BASE.replace("* 2", "* 3"), BASE.replace("x + 1", "x + 2")])
def test_the_function_and_the_functions_it_calls_matter(tmp_path: Path, text: str) -> None:
    one = function_fingerprint(load(tmp_path / "one.py", BASE))
    assert function_fingerprint(load(tmp_path / "two.py", text)) != one


def test_closures_matter() -> None:
    def scaled(factor: float) -> Callable[[float], float]:
        return lambda x: x * factor

    assert function_fingerprint(scaled(2.0)) == function_fingerprint(scaled(2.0))
    assert function_fingerprint(scaled(2.0)) != function_fingerprint(scaled(3.0))


def test_partial_arguments_matter() -> None:
    assert function_fingerprint(functools.partial(np.mean, axis=0)) != function_fingerprint(np.mean)
    assert function_name(functools.partial(np.mean, axis=0)) == "mean"


class Model:
    """Documented."""

    rate = 0.5

    def fit(self, x: float) -> float:
        """Also documented."""
        return x * self.rate


def test_classes_are_known_by_their_methods_and_constants() -> None:
    def variant(rate: float, fit: Callable[..., float]) -> type:
        return type("Model", (), {"rate": rate, "fit": fit, "__module__": __name__, "__qualname__": "Model"})

    same, other = variant(0.5, Model.fit), variant(0.25, Model.fit)
    assert function_fingerprint(same) == function_fingerprint(Model)
    assert function_fingerprint(other) != function_fingerprint(Model)
    assert function_fingerprint(variant(0.5, lambda self, x: x)) != function_fingerprint(Model)


def test_installed_functions_are_known_by_name_whatever_they_call() -> None:
    assert function_fingerprint(np.full) != function_fingerprint(np.zeros)
    assert function_fingerprint(np.full) == function_fingerprint(np.full)


def test_bound_methods_are_known_by_their_function() -> None:
    class Other:
        def fit(self, x: float) -> float:
            return x

    assert function_fingerprint(Model().fit) == function_fingerprint(Model().fit)
    assert function_fingerprint(Other().fit) != function_fingerprint(Model().fit)


def test_formatted_strings_are_one_token_on_every_python(tmp_path: Path) -> None:
    text = "def f(x):\n    return f'{x:>{3}} and {x!r}' + 'plain'\n"
    function = load(tmp_path / "one.py", text)
    assert isinstance(function, types.FunctionType)
    assert "f'{x:>{3}} and {x!r}'" in _source(function).decode().split("\0")


def test_recursive_functions_have_an_identity() -> None:
    def count(n: int) -> int:
        return 0 if n == 0 else 1 + count(n - 1)

    assert len(function_fingerprint(count)) == 32


def test_constants_differ_by_type_and_value() -> None:
    values = [1, 1.0, "1", b"1", True, None, np.arange(3), np.arange(3.0), [1, 2], (1, 2)]
    assert len({constant_fingerprint(v) for v in values}) == len(values)


def test_an_object_that_cannot_be_agreed_is_refused() -> None:
    with pytest.raises(ProgramError, match="device\\(Class\\)"):
        constant_fingerprint(object())


def test_source_is_the_users_line_without_a_path() -> None:
    name, line = user_source().split(":")
    assert name == "test_fingerprint.py"
    assert int(line) > 0
