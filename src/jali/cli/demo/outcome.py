# SPDX-License-Identifier: Apache-2.0
"""What a run of the demonstration ended with: the two curves, who learned what, and what each stage cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jali.ml import Curve

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Disclosure", "Outcome", "PartyReport", "StageCost", "merge_costs", "size_text"]


class Disclosure(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """In `stage`, `to` learned `what`, because of `why`."""

    stage: str
    to: str
    what: str
    why: str


class StageCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage cost: payload bytes that each party sent, the rounds of the party that waited most, seconds."""

    stage: str
    bytes_sent: dict[str, int]
    rounds: int
    seconds: float

    @property
    def total_bytes(self) -> int:
        """Bytes that all parties sent together."""
        return sum(self.bytes_sent.values())


class PartyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one party's process wrote when the job ended."""

    party: str
    disclosures: tuple[Disclosure, ...]
    stages: tuple[StageCost, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the summary and the report show."""

    joint: Curve
    pooled: Curve
    pooled_exact_auc: float
    training_rows: int
    held_out_rows: int
    features: int
    disclosures: tuple[Disclosure, ...]
    stages: tuple[StageCost, ...]
    seconds: float

    @property
    def gap(self) -> float:
        """Distance between the joint and the pooled AUC, at the same thresholds."""
        return abs(self.joint.auc - self.pooled.auc)


def merge_costs(reports: Iterable[PartyReport]) -> tuple[StageCost, ...]:
    """One row a stage, in order: bytes by sender, the most rounds and seconds that any party saw."""
    merged: dict[str, StageCost] = {}
    for cost in (cost for report in reports for cost in report.stages):
        seen = merged.get(cost.stage, StageCost(stage=cost.stage, bytes_sent={}, rounds=0, seconds=0.0))
        merged[cost.stage] = StageCost(
            stage=cost.stage,
            bytes_sent=seen.bytes_sent | cost.bytes_sent,
            rounds=max(seen.rounds, cost.rounds),
            seconds=max(seen.seconds, cost.seconds),
        )
    return tuple(merged.values())


def size_text(size_bytes: float) -> str:
    """A size for people: ``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
