# SPDX-License-Identifier: Apache-2.0
"""What jali may cost before it does anything: start-up and size (DESIGN, section 6).

Start-up is measured as processor time (user and system) of a fresh interpreter, its own start included, the median of
seven runs: the wall clock of a busy machine says more about its neighbours than about an import.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import jali

RUNS = 7
IMPORT_BUDGET_S = 0.060
HELP_BUDGET_S = 0.150
INSTALL_BUDGET_BYTES = 90_000_000


def processor_s(*arguments: str) -> float:
    """Median processor seconds of `python ARGUMENTS`."""
    command = [sys.executable, *arguments]
    return statistics.median(_children_s(command) for _ in range(RUNS))


def _children_s(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def loaded_modules(statement: str) -> set[str]:
    """Top-level modules in `sys.modules` after `statement` in a fresh interpreter."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    modules: list[str] = json.loads(run.stdout.splitlines()[-1])
    return {module.partition(".")[0] for module in modules}


def test_import_is_quick() -> None:
    assert processor_s("-c", "import jali") <= IMPORT_BUDGET_S


def test_import_loads_nothing_heavy() -> None:
    assert loaded_modules("import jali").isdisjoint({"numpy", "jax", "cryptography", "rich", "asyncio"})


def test_help_is_quick() -> None:
    assert processor_s("-m", "jali", "--help") <= HELP_BUDGET_S


def test_help_loads_nothing_heavy() -> None:
    statement = (
        "import contextlib, io\nfrom jali.cli.app import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n    main(['--help'])"
    )
    assert loaded_modules(statement).isdisjoint({"numpy", "jax", "cryptography", "rich"})


def test_the_core_installation_is_small() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    needed = _closure(project["dependencies"])
    assert {"numpy", "cryptography", "msgspec", "click", "cffi"} <= needed
    sizes = {name: _installed_bytes(name) for name in needed}
    sizes["jali"] = _folder_bytes(Path(jali.__file__).parent)
    assert sum(sizes.values()) <= INSTALL_BUDGET_BYTES, sizes


def test_the_measure_of_size_can_fail() -> None:
    assert _installed_bytes("numpy") > 10_000_000


def _closure(lines: list[str]) -> set[str]:
    """Everything that `lines` require without extras, by normal name."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        if name in found or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(line) for line in metadata.requires(name) or []]
    return found


def _installed_bytes(name: str) -> int:
    """Size of the files that the distribution's record lists, compiled caches left out."""
    recorded = metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in recorded if "__pycache__" not in file.parts]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _folder_bytes(folder: Path) -> int:
    paths = [path for path in folder.rglob("*") if "__pycache__" not in path.parts and path.is_file()]
    return sum(path.stat().st_size for path in paths)
