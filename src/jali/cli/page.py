# SPDX-License-Identifier: Apache-2.0
"""Reports as one HTML page each, without any reference to the network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["html_page", "html_table"]

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--rule:#ccc;--soft:#555}
@media (prefers-color-scheme:dark){:root{--ink:#eaeaea;--paper:#161616;--rule:#444;--soft:#aaa}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}p.soft,caption{color:var(--soft)}
table{border-collapse:collapse;width:100%}caption{text-align:left;padding-bottom:.4rem}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.curves{display:flex;flex-wrap:wrap;gap:1.5rem}
.scroll{overflow-x:auto}
"""


def html_page(title: str, body: str) -> str:
    """A page; `body` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def html_table(rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of text; the first row is its head. `caption` is HTML."""
    head, *body = rows
    numbers = [all(row[i][:1].isdigit() or not row[i] for row in body) for i in range(len(head))]

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if number else ''}>{escape(cell)}</{tag}>"
            for cell, number in zip(row, numbers, strict=True)
        )

    lines = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    return (
        f"<div class=scroll><table><caption>{caption}</caption><thead><tr>{cells(head, 'th')}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )
