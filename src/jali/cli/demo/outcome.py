# SPDX-License-Identifier: Apache-2.0
"""What a run of the demonstration ended with: the two curves, who learned what, and what each stage cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jali.ml import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jali.devices.report import Report, Row

__all__ = ["Disclosure", "Outcome", "Stage", "disclosures_of", "size_text", "stages_of"]


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """In `stage`, `to` learned `what`, because of `why`."""

    stage: str
    to: str
    what: str
    why: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage cost: payload bytes that each party sent, rounds, and seconds of the party that was busy longest.

    `planned_bytes` and `planned_rounds` were computed from shapes alone; None where the cost depends on data.
    """

    name: str
    bytes_sent: dict[str, int]
    rounds: int
    seconds: float
    planned_bytes: int | None = None
    planned_rounds: int | None = None

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
    trust: tuple[str, ...]
    seconds: float

    @property
    def gap(self) -> float:
        """Distance between the joint and the pooled AUC, at the same thresholds."""
        return abs(self.joint.auc - self.pooled.auc)


def stages_of(reports: Mapping[str, Report]) -> tuple[Stage, ...]:
    """The stages in order: bytes by sender; rounds are the sum over the nodes of the most that any party waited."""
    nodes = list(zip(*(report.rows for report in reports.values()), strict=True))
    return tuple(
        _stage(name, [rows for rows in nodes if rows[0].stage == name], reports)
        for name in dict.fromkeys(rows[0].stage for rows in nodes)
    )


def _stage(name: str, nodes: Sequence[tuple[Row, ...]], reports: Mapping[str, Report]) -> Stage:
    """Of one stage; each of `nodes` has one row a party."""
    costs = {party: cost for party, report in reports.items() for cost in report.stages if cost.name == name}
    talking = [rows for rows in nodes if len(rows[0].participants) > 1]
    plans = [rows[0].predicted for rows in talking]
    known = [plan for plan in plans if plan is not None]
    whole = bool(known) and len(known) == len(plans)
    return Stage(
        name=name,
        bytes_sent={party: cost.bytes_sent for party, cost in costs.items()},
        rounds=sum(max(row.rounds or 0 for row in rows) for rows in nodes),
        seconds=max(cost.seconds for cost in costs.values()),
        planned_bytes=sum(sum(plan.bytes_sent.values()) + plan.offline_bytes for plan in known) if whole else None,
        planned_rounds=sum(plan.rounds for plan in known) if whole else None,
    )


def disclosures_of(report: Report) -> tuple[Disclosure, ...]:
    """Who learned what, in the order of the stages; what one party learned for one reason stands together."""
    grouped: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in report.rows:
        for leak in row.disclosures:
            grouped.setdefault((row.stage, leak.to, leak.why), {})[leak.what] = None
    return tuple(
        Disclosure(stage=stage, to=to, what=_together(list(whats)), why=why)
        for (stage, to, why), whats in grouped.items()
    )


def _together(whats: list[str]) -> str:
    """For example ``shapes of a, b`` of ``shapes of a`` and ``shapes of b``."""
    kinds = {what.partition(" of ")[0] for what in whats}
    if len(kinds) > 1:
        return "; ".join(whats)
    return ", ".join([whats[0], *(what.partition(" of ")[2] for what in whats[1:])])


def size_text(size_bytes: float) -> str:
    """A size for people: ``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
