# SPDX-License-Identifier: Apache-2.0
"""The report of a run: one HTML page without any reference to the network, and the same facts as lines of text."""

from __future__ import annotations

import itertools
import textwrap
from html import escape
from typing import TYPE_CHECKING

from jali.cli.demo.outcome import size_text
from jali.cli.page import html_page, html_table
from jali.ml import ks_svg, roc_svg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jali.cli.demo.outcome import Outcome

__all__ = ["report_page", "summary"]

WIDTH, CELL = 110, 56
POOLED_NOTE = (
    "The pooled model sees both files in clear and computes in double precision, with the same preparation and the "
    "same training function. Only a demonstration, which holds both files, can compute it."
)
REVEALED_NOTE = (
    "The value of roc_counts is, for each of the thresholds, how many held-out customers score at least as high and "
    "how many of these are bad, and how many are bad at all. It is all that the bank learned of the model."
)
HIDDEN_NOTE = (
    "Nobody learned a feature of another party, a weight of the model, a score or, but for the bank's own, a label. "
    "The dealer saw shapes, never data."
)


def summary(outcome: Outcome) -> str:
    """The facts of the report as text for a terminal."""
    parts = {
        "MODEL on held-out customers": [
            *_text(_results(outcome)),
            *map(_paragraph, (_difference(outcome), POOLED_NOTE)),
        ],
        "WHO LEARNED WHAT": [*_text(_disclosures(outcome)), *map(_paragraph, (REVEALED_NOTE, HIDDEN_NOTE))],
        "WHAT IS TRUSTED": map(_paragraph, outcome.trust),
        "COST (payload bytes; planned: worked out from shapes alone)": _text(_costs(outcome)),
    }
    return "".join(f"\n{title}\n" + "\n".join(lines) + "\n" for title, lines in parts.items())


def report_page(outcome: Outcome) -> str:
    """The whole report as one HTML page; nothing in it is loaded from elsewhere."""
    pictures = roc_svg({"joint": outcome.joint, "pooled": outcome.pooled}) + ks_svg(
        outcome.joint, title="KS curve of the joint model", names=("bad", "good")
    )
    body = (
        "<h1>One credit model from two organisations' data</h1>"
        f"<p>A bank and a credit bureau aligned their customers by private set intersection and trained a logistic "
        f"regression under secure multi-party computation, on {outcome.training_rows} common customers and "
        f"{outcome.features} features. It was evaluated on {outcome.held_out_rows} others, whose scores and labels "
        f"stayed secret. The run took {outcome.seconds:.1f} seconds.</p>"
        f"<h2>Result</h2>{html_table(_results(outcome), 'On the held-out customers')}"
        f"<p>{escape(_difference(outcome))}</p><p class=soft>{escape(POOLED_NOTE)}</p>"
        f"<div class=curves><div>{pictures.replace('</svg><svg', '</svg></div><div><svg', 1)}</div></div>"
        f"<h2>Who learned what</h2>{html_table(_disclosures(outcome), 'Beyond a party&#39;s own data')}"
        f"<p>{escape(REVEALED_NOTE)}</p><p>{escape(HIDDEN_NOTE)}</p>"
        f"<h2>What is trusted</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in outcome.trust)}</ul>"
        f"<h2>Cost of each stage</h2>{html_table(_costs(outcome), 'Payload bytes, without frame headers and TLS')}"
        "<p class=soft>Rounds are the messages that a party had to wait for one after the other. Planned figures come "
        "from shapes alone. The dealer's bytes are randomness, which depends on shapes only. "
        "Data: Statlog German Credit, H. Hofmann, 1994, UCI Machine Learning Repository, CC BY 4.0; made-up ids.</p>"
    )
    return html_page("jali demo", body)


def _results(outcome: Outcome) -> list[list[str]]:
    rows = [["model", "AUC", "KS", "bad found at 0.5", "good refused at 0.5"]]
    for name, curve in (("joint, under MPC", outcome.joint), ("pooled, in clear", outcome.pooled)):
        at = curve.confusion(0.5)
        rows.append(
            [
                name,
                f"{curve.auc:.4f}",
                f"{curve.ks[0]:.4f}",
                f"{at.true_positives} of {curve.positives}",
                f"{at.false_positives} of {curve.negatives}",
            ]
        )
    return rows


def _difference(outcome: Outcome) -> str:
    return (
        f"AUC difference {outcome.gap:.4f}. Scores between two of the {len(outcome.joint.thresholds)} thresholds "
        f"count as ties, which moves an AUC by at most {outcome.joint.auc_error_bound:.4f} "
        f"(pooled, from its exact scores: {outcome.pooled_exact_auc:.4f})."
    )


def _disclosures(outcome: Outcome) -> list[list[str]]:
    return [["stage", "party", "learned", "because"], *([d.stage, d.to, d.what, d.why] for d in outcome.disclosures)]


def _costs(outcome: Outcome) -> list[list[str]]:
    parties = list(dict.fromkeys(party for stage in outcome.stages for party in stage.bytes_sent))
    rows = [["stage", "seconds", "rounds", "(planned)", "bytes", "(planned)", *(f"from {party}" for party in parties)]]
    rows += [
        [
            stage.name,
            f"{stage.seconds:.2f}",
            f"{stage.rounds:,}",
            "" if stage.planned_rounds is None else f"{stage.planned_rounds:,}",
            f"{stage.total_bytes:,}",
            "" if stage.planned_bytes is None else f"{stage.planned_bytes:,}",
            *(size_text(stage.bytes_sent.get(party, 0)) for party in parties),
        ]
        for stage in outcome.stages
    ]
    sums = (size_text(sum(stage.bytes_sent.get(party, 0) for stage in outcome.stages)) for party in parties)
    total = f"{sum(stage.total_bytes for stage in outcome.stages):,}"
    rounds = f"{sum(stage.rounds for stage in outcome.stages):,}"
    rows.append(["whole run", f"{outcome.seconds:.2f}", rounds, "", total, "", *sums])
    return rows


def _text(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Aligned columns; a cell that is too long goes on below."""
    wrapped = [[textwrap.wrap(cell, CELL) or [""] for cell in row] for row in rows]
    widths = [max(len(line) for row in wrapped for line in row[column]) for column in range(len(rows[0]))]
    for row in wrapped:
        for lines in itertools.zip_longest(*row, fillvalue=""):
            yield "  " + "  ".join(line.ljust(width) for line, width in zip(lines, widths, strict=True)).rstrip()


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
