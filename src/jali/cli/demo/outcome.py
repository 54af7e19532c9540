# SPDX-License-Identifier: Apache-2.0
"""What a run of the demonstration ended with: the two curves, who learned what, and what each stage cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jali.ml import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jali.devices.report import Report

__all__ = ["Disclosure", "Outcome", "Stage", "disclosures_of", "size_text", "stages_of"]


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """In `stage`, `to` learned `what`, because of `why`."""

    stage: str
    to: str
    what: str
    why: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage cost: payload bytes that each party sent, the rounds of the party that waited most, seconds."""

    name: str
    bytes_sent: dict[str, int]
    rounds: int
    seconds: float

    @property
    def total_bytes(self) -> int:
        """Bytes that all parties sent together."""
        return sum(self.bytes_sent.values())


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the summary and the report show."""

    joint: Curve
    pooled: Curve
    pooled_exact_auc: float
    training_rows: int
    held_out_rows: int
    features: int
    disclosures: tuple[Disclosure, ...]
    stages: tuple[Stage, ...]
    seconds: float

    @property
    def gap(self) -> float:
        """Distance between the joint and the pooled AUC, at the same thresholds."""
        return abs(self.joint.auc - self.pooled.auc)


def stages_of(reports: Mapping[str, Report]) -> tuple[Stage, ...]:
    """One row a stage, in order: bytes by sender, the most rounds and seconds that any party saw."""
    names = dict.fromkeys(cost.name for report in reports.values() for cost in report.stages)
    stages = []
    for name in names:
        costs = {party: cost for party, report in reports.items() for cost in report.stages if cost.name == name}
        stages.append(
            Stage(
                name=name,
                bytes_sent={party: cost.bytes_sent for party, cost in costs.items()},
                rounds=max(cost.rounds for cost in costs.values()),
                seconds=max(cost.seconds for cost in costs.values()),
            )
        )
    return tuple(stages)


def disclosures_of(report: Report) -> tuple[Disclosure, ...]:
    """Who learned what, in the order of the stages; what one party learned for one reason stands together."""
    grouped: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in report.rows:
        for leak in row.disclosures:
            grouped.setdefault((row.stage, leak.to, leak.why), {})[leak.what] = None
    return tuple(
        Disclosure(stage=stage, to=to, what="; ".join(whats), why=why) for (stage, to, why), whats in grouped.items()
    )


def size_text(size_bytes: float) -> str:
    """A size for people: ``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
