# SPDX-License-Identifier: Apache-2.0
"""Pages are complete: the glossary has every word, links lead somewhere, generated pages are up to date."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS, ROOT, pages

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

WORDS = {
    "party",
    "device",
    "handle",
    "share",
    "move",
    "reveal",
    "grant",
    "graph",
    "node",
    "plan",
    "round",
    "dealer",
    "frame",
    "channel",
    "session",
    "job",
    "ledger",
    "cohort",
    "round-window",
    "budget",
}
ELSEWHERE = ["PYU", "SPU", "HEU", "TEEU", "guest", "host", "arbiter"]
KINDS = {"added", "changed", "fixed", "security"}


def test_the_glossary_has_every_word() -> None:
    text = (DOCS / "reference" / "glossary.md").read_text("utf-8")
    entries = dict(re.findall(r"^\(term-([a-z-]+)\)=\n## .+\n\n(.+)$", text, re.MULTILINE))
    assert set(entries) >= WORDS
    assert all(len(entries[word].split()) >= 8 for word in WORDS), "define it in a sentence"
    assert list(entries) == sorted(entries), "in alphabetical order"
    assert all(re.search(rf"\b{word}\b", text) for word in ELSEWHERE)


@pytest.mark.parametrize(
    ("module", "page"),
    [("jali", "api"), ("jali.prep", "preparation"), ("jali.ml", "learning"), ("jali.mpc", "numbers")],
    ids=["", "prep", "ml", "mpc"],
)
def test_public_names_stand_on_a_reference_page(module: str, page: str) -> None:
    text = (DOCS / "reference" / f"{page}.md").read_text("utf-8")
    names = importlib.import_module(module).__all__
    missing = [name for name in names if not re.search(rf"^## `{re.escape(name)}", text, re.MULTILINE)]
    assert names
    assert not missing, "run `make docs`"


def test_generated_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in generator().pages().items() if path.read_text("utf-8") != text]
    assert not stale, "run `make docs`, and commit what it writes"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"(?<!`)\[[^\]]*\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("https://", "mailto:")):
            assert (page.parent / target).exists(), f"broken link: {target}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_one_title_and_nothing_left_to_do(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    assert not re.search(r"\b(TODO|FIXME|TBD|XXX|lorem)\b", text)


def test_decision_records_are_numbered_and_short() -> None:
    records = sorted((DOCS / "adr").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text("utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Alternatives", "Cost"], (
            record.name
        )
        assert len(text.split()) <= 600, f"{record.name}: one page"


def test_changelog_fragments_have_a_kind() -> None:
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    wrong = [path.name for path in fragments if path.name.split(".")[1:] not in [[kind, "md"] for kind in KINDS]]
    assert not wrong


def generator() -> ModuleType:
    """docs/generate.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    if spec is None or spec.loader is None:
        pytest.fail("docs/generate.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
