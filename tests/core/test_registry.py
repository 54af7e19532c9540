# SPDX-License-Identifier: Apache-2.0
"""Registries and optional libraries are imported when asked for, not before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from jali.core.errors import ExtraMissing, UnknownName
from jali.core.extras import need
from jali.core.registry import Registry, installed

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_is_imported_when_it_is_chosen() -> None:
    registry = Registry("jali.numbers", builtin={"root": "math:sqrt", "broken": "no_such_module:x"})
    assert registry.get("root")(4) == 2
    assert "broken" in registry
    assert registry.names()[:2] == ("root", "broken")
    with pytest.raises(ModuleNotFoundError):
        registry.get("broken")


def test_an_unknown_name_shows_the_near_miss() -> None:
    registry = Registry("jali.protocols", builtin={"rep3": "x:y", "m2k": "x:y"})
    with pytest.raises(UnknownName, match=r"no protocol 'rep' \(did you mean 'rep3'\?\); known: rep3, m2k"):
        registry.get("rep")


def test_installed_packages_add_names_but_cannot_replace_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = tmp_path / "other-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[jali.numbers]\nroot = math:cos\nlog = math:log\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = Registry("jali.numbers", builtin={"root": "math:sqrt"})
    assert registry.get("log")(1) == 0
    assert registry.get("root")(4) == 2
    assert registry.names() == ("root", "log")
    assert installed("jali.numbers") == ("log", "root")


def test_a_missing_library_gives_the_install_line() -> None:
    with pytest.raises(ExtraMissing, match=r"needs 'no_such_library'.*pip install 'jali\[sql\]'"):
        need("no_such_library", extra="sql")


def test_a_library_that_is_there_but_broken_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_there.py").write_text("import no_such_library_below\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_library_below"):
        need("half_there", extra="sql")
