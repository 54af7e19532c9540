# SPDX-License-Identifier: Apache-2.0
"""Every snippet of the documentation runs.

Per page, in order, in one empty folder: `python` blocks run in one namespace, and must print what their `# prints:`
comments say; in `console` blocks every line that starts with `$ jali`, `$ python` or `$ make demo` runs, and the lines
below it must appear in its output in that order (numbers are not compared there; `...` stands for anything). A block
marked `file=NAME` or `append=NAME` is written to that file instead. One that cannot run says why: `no-run: REASON`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs.pages import ROOT, Block, blocks, pages

if TYPE_CHECKING:
    from pathlib import Path

RUNNABLE = {"python", "console"}
KNOWN = {*RUNNABLE, "toml", "text", "csv", "json", "cpp", "make", "mermaid", "bash", ""}
TIMEOUT_S = 100


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_blocks_are_marked_honestly(page: Path) -> None:
    for block in blocks(page):
        assert block.language in KNOWN or block.language.startswith("{"), f"line {block.line}: {block.language}"
        assert block.language != "bash", f"line {block.line}: write ```console with $, so that it runs"
        assert block.reason != "", f"line {block.line}: no-run needs a reason"


@pytest.mark.parametrize(
    "page", [page for page in pages() if {b.language for b in blocks(page)} & RUNNABLE], ids=page_id
)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.file is not None:
            target = tmp_path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a" if block.append else "w", encoding="utf-8") as file:
                file.write(block.text)
        elif block.language == "python":
            run_python(block, page, namespace)
        elif block.language == "console":
            run_console(block, page)


def run_python(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    """Run the block; what its `# prints: TEXT` comments promise must be printed."""
    source = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(page), "exec", dont_inherit=True), namespace)  # noqa: S102 (our own documentation)
    expected = re.findall(r"# prints: (.+)", block.text)
    assert_shown(expected, printed.getvalue(), f"{page_id(page)}:{block.line}", exact=True)


def run_console(block: Block, page: Path) -> None:
    """Run each command of the block and compare what it prints."""
    for command, expected in commands(block.text):
        words = shlex.split(command.replace("make demo", "jali demo"))  # what the Makefile runs
        if words[0] not in {"jali", "python"}:
            pytest.fail(f"{page_id(page)}:{block.line}: only jali and python commands run; mark the block no-run")
        arguments = ["-m", "jali", *words[1:]] if words[0] == "jali" else words[1:]
        run = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
        fails = any(re.match(r"(jali: )?J\d{4} ", line) for line in expected)
        assert fails or run.returncode == 0, f"{command}\n{run.stdout}"
        assert_shown(expected, run.stdout, f"{page_id(page)}:{block.line} $ {command}")


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that should follow."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.strip(), [])
        elif found and line.strip():
            found[-1][1].append(line)
    return found


def assert_shown(expected: list[str], actual: str, place: str, *, exact: bool = False) -> None:
    """Every expected line appears in the output, in order; numbers count where `exact`."""
    rows = iter([plain(row, exact=exact) for row in actual.splitlines()])
    for line in expected:
        shown = plain(line, exact=exact)
        if shown == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in shown.split("...")))
        assert any(pattern.search(row) for row in rows), f"{place}\nexpected: {line}\nfound:\n{actual}"


def plain(line: str, *, exact: bool = False) -> str:
    """The line without what differs from run to run: spaces, the kind of dots, and numbers unless they are `exact`."""
    text = line.replace("…", "...")
    return " ".join((text if exact else re.sub(r"\d+(\.\d+)?", "0", text)).split())


def test_the_runner_notices_a_wrong_output() -> None:
    with pytest.raises(AssertionError, match="expected: two"):
        assert_shown(["one", "two"], "two\none\n", "here")
    with pytest.raises(AssertionError, match="expected: mean"):
        assert_shown(["mean 12.5"], "mean 12.4", "here", exact=True)
    assert_shown(["mean 12.5 ... s", "…", "end"], "start\nmean  3 in 0.2 s\nx\nend", "here")


def test_the_runner_reads_commands_and_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n```console no-run: why not\n$ jali a \\\n    b\nout\n$ jali c\n```\n", "utf-8")
    (block,) = blocks(page)
    assert (block.language, block.reason, block.line) == ("console", "why not", 3)
    assert commands(block.text) == [("jali a b", ["out"]), ("jali c", [])]
