# SPDX-License-Identifier: Apache-2.0
"""Two parties' tables on one spine: a row for each key of either, and neither learns which keys are in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.threat import Cost
from jali.crypto.hashing import digest
from jali.devices.predict import Planned
from jali.psi.forecast import rows_of
from jali.psi.kinds import PRESENT, require_no_column, with_absent
from jali.psi.normalise import canonical
from jali.psi.owners import joint, owners_of, side_of
from jali.psi.rounds import union
from jali.psi.spine import THREAT, cost, leaks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jali.core.table import Table
    from jali.graph.node import Node
    from jali.graph.operation import NodeContext
    from jali.transport.network import Network

__all__ = ["UnionOperation", "align_union"]


def align_union(left: Any, right: Any, *, on: tuple[str, ...], normalise: str) -> tuple[Any, ...]:
    """What `jali.align(..., how="union")` does: handles to both tables, on one spine.

    Both have a row for each key that either has, in one order, which is random in every run; beside them a column
    `present`: where it is False, the other columns are 0, "" or False.

    Security: `jali.psi.spine`.
    Raises: ProgramError, UnknownName; at its party, KeyInvalid for a key in several rows, TableInvalid for a table that
    has a column `present`.
    """
    owners = owners_of(left, right)
    normalise = canonical(normalise)
    assumed = "; ".join(THREAT.assumptions)
    return joint(
        (left, right),
        owners,
        operation=UnionOperation.name,
        attributes={
            "on": on,
            "normalise": normalise,
            "trust": f"id spine of {' and '.join(owners)}: {THREAT.adversary}, 1 of 2 may be corrupt; {assumed} "
            f"({THREAT.paper})",
        },
        fingerprint=digest(UnionOperation.name, *on, normalise),
        text=f"align (union) on {' and '.join(map(repr, on))}",
        leaks=leaks(owners),
        named=placed,
    )


def placed(table: Table) -> Table:
    """One party's part of a union, as a value of its own."""
    return table


class UnionOperation:
    """The graph node behind a union; its two participants are the owners, left then right."""

    name = "psi.union"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Table:
        """This party's table on the spine. Raises: as `align_union`; ProtocolAbort family for the peer."""
        mine = side_of(context, inputs, attributes)
        require_no_column(mine.table.columns, PRESENT, party=context.party)
        joined = union(mine.stream, mine.keys, left=mine.left, progress=context.progress)
        return with_absent(mine.table, joined.rows, party=context.party)

    def plan(self, node: Node, inputs: list[Any], network: str | Network | None) -> Planned:
        """Bytes for tables of known numbers of rows, if no key is in common: an upper bound; no seconds."""
        del network
        a, b = (rows_of(table) for table in inputs)
        found = cost(a, b, a + b)
        sent = dict(zip(node.participants, (found.bytes_sent["me"], found.bytes_sent["peer"]), strict=True))
        return Planned(cost=Cost(rounds=found.rounds, bytes_sent=sent))
