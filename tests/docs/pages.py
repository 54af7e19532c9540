# SPDX-License-Identifier: Apache-2.0
"""The Markdown pages of the project and the fenced blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCS", "ROOT", "Block", "blocks", "pages"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block with its marks (`no-run: REASON`, `file=NAME`, `append=NAME`) and its first line's number."""

    language: str
    reason: str | None
    file: str | None
    append: bool
    text: str
    line: int


def pages() -> list[Path]:
    """Every page that a reader meets: docs/ and the Markdown files of the root."""
    inside = (page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
    return sorted([*inside, *ROOT.glob("*.md")])


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [_block(match, text.count("\n", 0, match.start()) + 2) for match in FENCE.finditer(text)]


def _block(match: re.Match[str], line: int) -> Block:
    language, _, marks = match["info"].strip().partition(" ")
    reason = re.search(r"no-run(?::\s*(?P<why>.+))?", marks)
    file = re.search(r"(file|append)=(\S+)", marks)
    indent = len(match["indent"])
    text = "".join(row[indent:] if row.strip() else row for row in match["body"].splitlines(keepends=True))
    return Block(
        language,
        (reason["why"] or "") if reason else None,
        file[2] if file else None,
        bool(file and file[1] == "append"),
        text,
        line,
    )
