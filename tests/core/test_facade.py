# SPDX-License-Identifier: Apache-2.0
"""`import jali` loads nothing, and everything it promises is there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jali

ROOT = Path(__file__).parents[2]


def test_importing_loads_nothing_else() -> None:
    program = "import sys, jali; print(sorted(m for m in sys.modules if m.split('.')[0] in {'jali', 'numpy', 'jax'}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['jali']"


@pytest.mark.parametrize("name", jali.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(jali, name)
    assert name in dir(jali)
    assert isinstance(value, str) or value.__doc__


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="'jali' has no attribute 'simulat'"):
        jali.simulat  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert jali.__version__ == project["version"]
