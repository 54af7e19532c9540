# SPDX-License-Identifier: Apache-2.0
"""What a program does and what it has cost, as a table: nodes, who learns what, bytes, rounds, seconds."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec

from jali.core.threat import Cost, Dealt, Leak

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jali.devices.predict import Planned
    from jali.graph.node import Node
    from jali.graph.runtime import NodeRecord

__all__ = ["Report", "Row", "StageCost", "merge_rows"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Bytes are payload sent by all hosted parties; None where nothing has run or is not known before.

    `dealt_bytes` and `dealing_s` are what a dealer sent ahead of time for the node, and how long it took, whoever runs
    here; `dealt` lists it, where the node is priced.
    """

    index: int
    stage: str
    text: str
    device: str
    source: str
    participants: tuple[str, ...]
    visibility: str
    disclosures: tuple[Leak, ...] = ()
    bytes_sent: int | None = None
    rounds: int | None = None
    seconds: float | None = None
    started: float | None = None
    dealt_bytes: int | None = None
    dealing_s: float | None = None
    predicted: Cost | None = None
    predicted_seconds: float | None = None
    predicted_offline_seconds: float | None = None
    dealt: tuple[Dealt, ...] = ()


class StageCost(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a stage: bytes sent by all parties of the report, rounds in sequence, seconds in which it ran."""

    name: str
    bytes_sent: int
    rounds: int
    seconds: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A program's nodes in order. Print it, or show it in a notebook; `to_json` and `from_json` carry it elsewhere."""

    title: str
    parties: tuple[str, ...]
    rows: tuple[Row, ...]
    trust: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    timing: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    @property
    def disclosures(self) -> tuple[Leak, ...]:
        """Who learns what, in order, without repetitions."""
        return tuple(dict.fromkeys(leak for row in self.rows for leak in row.disclosures))

    @property
    def dealt(self) -> dict[str, int]:
        """Bytes that a dealer sends ahead of time, by the operation that they are for; of the nodes that are priced."""
        totals: dict[str, int] = {}
        for items in (items for row in self.rows for items in row.dealt):
            totals[items.kind] = totals.get(items.kind, 0) + items.size_bytes
        return totals

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Cost of each named stage, in the order of their first nodes; nodes outside stages are under ""."""
        names = dict.fromkeys(row.stage for row in self.rows)
        return tuple(_stage(name, [row for row in self.rows if row.stage == name]) for name in names)

    def to_json(self) -> bytes:
        """The report as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Report:
        """A report from `to_json`."""
        return _REPORTS.decode(data)

    def __str__(self) -> str:
        """Aligned text: nodes, disclosures, ranges of numbers, trust."""
        lines = [self.title, "", *_aligned(_table(self.rows)), "", "Who learns what"]
        lines += [f"  {leak.to} learns {leak.what} ({leak.why})" for leak in self.disclosures] or ["  nobody, anything"]
        if self.dealt:
            lines += ["", "What the dealer sends ahead of time, included in the bytes above"]
            lines += [f"  {kind}: {size:,} bytes" for kind, size in self.dealt.items()]
        if self.chosen:
            lines += ["", "What is chosen", *(f"  {line}" for line in self.chosen)]
        if self.ranges:
            lines += ["", "How large numbers may be", *(f"  {line}" for line in self.ranges)]
        if self.trust:
            lines += ["", "What is trusted", *(f"  {line}" for line in self.trust)]
        if self.timing:
            lines += ["", "Planned seconds", *(f"  {line}" for line in self.timing)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        header, *rows = _table(self.rows)
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        learns = "".join(f"<li>{escape(f'{leak.to} learns {leak.what}')}</li>" for leak in self.disclosures)
        ranges = "".join(f"<li>{escape(line)}</li>" for line in (*self.chosen, *self.ranges))
        timing = "".join(f"<p>Planned seconds: {escape(line)}</p>" for line in self.timing)
        ranges = f"<ul>{ranges}</ul>" if ranges else ""
        return f"<table><tr>{head}</tr>{body}</table><ul>{learns}</ul>{ranges}{timing}"


_REPORTS = msgspec.json.Decoder(Report)


def merge_rows(
    nodes: Iterable[Node], records: Sequence[dict[int, NodeRecord]], planned: dict[int, Planned]
) -> tuple[Row, ...]:
    """Rows of a program from the records of the parties that run here: bytes add up, rounds and seconds are maxima."""
    rows = []
    for node in nodes:
        ran = [party[node.index] for party in records if node.index in party]
        cost = (
            {
                "bytes_sent": sum(r.bytes_sent for r in ran),
                "rounds": max(r.rounds for r in ran),
                "seconds": max(r.seconds for r in ran),
                "started": min(r.started for r in ran),
                "dealt_bytes": max((r.dealt_bytes for r in ran if r.dealt_bytes is not None), default=None),
                "dealing_s": max((r.dealing_s for r in ran if r.dealing_s is not None), default=None),
            }
            if ran
            else {}
        )
        found = planned.get(node.index)
        time = found.time if found is not None else None
        rows.append(
            Row(
                index=node.index,
                stage=node.stage,
                text=node.text,
                device=node.device,
                source=node.source,
                participants=node.participants,
                visibility=str(node.visibility),
                disclosures=node.leaks,
                predicted=found.cost if found is not None else None,
                predicted_seconds=time.seconds if time is not None else None,
                predicted_offline_seconds=time.offline_seconds if time is not None else None,
                dealt=found.dealt if found is not None else (),
                **cost,  # type: ignore[arg-type]
            )
        )
    return tuple(rows)


def _table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The header and the rows as text, without the columns that nobody has anything in."""
    cells = [_cells(row) for row in rows]
    kept = [i for i, column in enumerate(zip(*cells, strict=True)) if any(column)]
    return [tuple(row[i] for i in kept) for row in (_HEADER, *cells)]


_TEXT = {"node", "on", "seen by", "from"}
_HEADER = (
    *("#", "node", "on", "seen by", "bytes", "planned bytes", "rounds", "planned rounds"),
    *("seconds", "planned seconds", "of them offline", "dealt bytes", "planned dealt", "dealing s", "from"),
)


def _cells(row: Row) -> tuple[str, ...]:
    planned = row.predicted
    return (
        str(row.index),
        row.text,
        row.device,
        row.visibility,
        _number(row.bytes_sent),
        _number(sum(planned.bytes_sent.values()) + planned.offline_bytes if planned else None),
        _number(row.rounds),
        _number(planned.rounds if planned else None),
        _seconds(row.seconds),
        _seconds(row.predicted_seconds),
        _seconds(row.predicted_offline_seconds or None),
        _number(row.dealt_bytes),
        _number(planned.offline_bytes or None if planned else None),
        _seconds(row.dealing_s),
        row.source,
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    right = {i for i, name in enumerate(table[0]) if name not in _TEXT}
    return [
        "  ".join(
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _stage(name: str, rows: list[Row]) -> StageCost:
    return StageCost(
        name=name,
        bytes_sent=sum(row.bytes_sent or 0 for row in rows),
        rounds=sum(row.rounds or 0 for row in rows),
        seconds=_busy(
            [(r.started, r.started + r.seconds) for r in rows if r.started is not None and r.seconds is not None]
        ),
    )


def _busy(intervals: list[tuple[float, float]]) -> float:
    """How long at least one of the intervals lasts."""
    total, until = 0.0, 0.0
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
