# SPDX-License-Identifier: Apache-2.0
"""Aligning two parties' tables on a key: after it, row i of one and row i of the other are about the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.threat import Cost, Leak
from jali.crypto.hashing import digest
from jali.graph.operation import ABSENT
from jali.psi.choice import AUTO, CHOSEN_FROM, choose, speed_here
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.forecast import learns_of, plan, rows_of
from jali.psi.intersection import intersect, intersection_cost
from jali.psi.normalise import require_normalisation
from jali.psi.owners import joint, learners_of, owners_of, side_of
from jali.psi.rows import COUNTS_AT_ONCE, exchange_counts, joined_rows
from jali.transport.network import network_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jali.core.table import Table
    from jali.devices.predict import Planned
    from jali.graph.node import Node
    from jali.graph.operation import NodeContext
    from jali.psi.contract import Learns, PsiProtocol
    from jali.transport.network import Network

__all__ = ["AlignOperation", "align"]


def align(
    left: Any,
    right: Any,
    *,
    on: str | Sequence[str],
    learns: Any = "both",
    protocol: str = "auto",
    normalise: str = "trimmed",
    network: str = "lan",
) -> tuple[Any, Any]:
    """Inner join of two parties' tables that stay where they are: handles to both, row-aligned on the common keys.

    A key that stands in m rows on the left and n on the right gives m n rows, as in SQL. The rows come in the order
    of a hash of the key: the same at both parties and in every run, and unrelated to the order of either file or of
    the keys. Within a key, left rows in their order, and for each the right rows in theirs.

    `learns` is "both", a party or its plain device. Rows can only be aligned by who knows which they are, so if one
    party learns, only it gets a table: its own rows whose key the other has too, in the same order; the other handle
    is None.

    `on` is the key column, or several that make a key together. `protocol` is "ecdh", "vole", or "auto", which takes
    what will be done first given both numbers of keys, the speed of both machines, and the `network` between them: a
    name or a description as of `jali.explain`.

    Security: what each party learns beyond its rows are the `leaks` of the operation, listed by `jali.explain`.
    Raises: ProgramError if the tables are not of two parties, or `learns` is neither; UnknownName for a protocol or
    normalisation that does not exist.
    """
    owners = owners_of(left, right)
    learners = learners_of(learns, owners)
    if protocol != AUTO and protocol not in PSI_PROTOCOLS:
        raise PSI_PROTOCOLS.unknown(protocol)
    require_normalisation(normalise)
    network_of(network)
    columns = (on,) if isinstance(on, str) else tuple(on)
    who = "both" if len(learners) == 2 else learners[0]
    attributes = {
        "on": columns,
        "learns": who,
        "protocol": protocol,
        "normalise": normalise,
        "network": network,
        "trust": _trust(protocol, owners),
    }
    return joint(
        left,
        right,
        learners,
        operation=AlignOperation.name,
        attributes=attributes,
        fingerprint=digest("psi.align", *columns, who, protocol, normalise, network),
        text=f"align on {' and '.join(map(repr, columns))}"
        + (f" ({' or '.join(_possible(protocol))}, by size)" if protocol == AUTO else ""),
        leaks=AlignOperation().leaks(attributes, owners),
        named=aligned,
    )


def aligned(table: Table) -> Table:
    """One party's part of an alignment, as a value of its own."""
    return table


class AlignOperation:
    """The graph node behind `align`; its two participants are the owners, left then right."""

    name = "psi.align"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """This party's aligned table, or ABSENT if only the other learns.

        Cost: that of the protocol, and when both learn that of `exchange_counts`.
        Raises: TableInvalid, ColumnMissing, KeyTypeWrong, KeyInvalid for this party's table; ProtocolAbort family for
        the peer.
        """
        table, keys, stream, me_left = side_of(context, inputs, attributes)
        learns = learns_of(attributes["learns"], context.party)
        found = intersect(
            stream,
            keys,
            protocol=attributes["protocol"],
            learns=learns,
            first=me_left,
            network=attributes["network"],
            progress=context.progress,
        )
        if found is None:
            return ABSENT
        if learns == "me":
            return table.take(joined_rows(keys, found, np.ones(len(found), np.int64), left=True))
        theirs = exchange_counts(stream, keys.counts[found])
        return table.take(joined_rows(keys, found, theirs, left=me_left))

    def plan(self, node: Node, inputs: list[Any], network: str | Network | None) -> Planned:
        """The cost for tables of known numbers of rows, if all keys are distinct and as many as can be are common.

        So it is an upper bound: how many keys are common is what the protocol finds out.
        """
        a, b = (rows_of(value) for value in inputs)
        learns, name, note = learns_of(node.attributes["learns"], node.participants[0]), node.attributes["protocol"], ""
        if name == AUTO:
            way = network or node.attributes["network"]
            choice = choose((a, b), (speed_here(), speed_here()), learns=learns, network=way)
            name, note = (
                choice.protocol,
                f"{choice.protocol}, if both parties are as fast as this machine: {choice.reason}",
            )
        cost = self.cost({**node.attributes, "protocol": name}, a, b, n_common=min(a, b), learns=learns)
        return msgspec.structs.replace(plan(node, inputs, cost, protocol=name, network=network), note=note)

    def leaks(self, attributes: Mapping[str, Any], participants: tuple[str, ...]) -> tuple[Leak, ...]:
        """What each owner learns: the protocol's leaks, and when both learn how often the other has a common key."""
        left, right = participants
        both = attributes["learns"] == "both"
        learners = (left, right) if both else (attributes["learns"],)
        made: list[PsiProtocol] = [PSI_PROTOCOLS.get(name)() for name in _possible(attributes["protocol"])]
        leaks = tuple(
            dict.fromkeys(leak for protocol in made for leak in protocol.leaks((left, right), learners=learners))
        )
        if not both:
            return leaks
        counts = tuple(
            Leak(what=f"in how many rows {peer} has each common key", to=party, why="duplicates multiply in a join")
            for party, peer in ((left, right), (right, left))
        )
        return leaks + counts

    def cost(
        self,
        attributes: Mapping[str, Any],
        n_mine: int,
        n_theirs: int,
        *,
        n_common: int,
        learns: Learns,
        left: bool = True,
    ) -> Cost:
        """Exact bytes of "me" and "peer" and rounds, if each key stands in one row; `left` says which of both I am.

        Where a common key stands in several, its counts take 1 to 8 bytes more (see `exchange_counts`).
        """
        made = PSI_PROTOCOLS.get(attributes["protocol"])()
        cost = intersection_cost(made, n_mine, n_theirs, learns=learns, first=left)
        if learns != "both":
            return cost
        messages = max(1, -(-n_common // COUNTS_AT_ONCE))
        return Cost(
            rounds=cost.rounds + messages,
            bytes_sent={role: size + messages for role, size in cost.bytes_sent.items()},
        )


def _possible(protocol: str) -> tuple[str, ...]:
    """The protocols that may be run."""
    return CHOSEN_FROM if protocol == AUTO else (protocol,)


def _trust(protocol: str, owners: tuple[str, str]) -> str:
    lines = []
    for name in _possible(protocol):
        threat = PSI_PROTOCOLS.get(name).threat
        assumed = "; ".join(threat.assumptions)
        lines.append(
            f"{name} intersection of {' and '.join(owners)}: {threat.adversary}, {threat.corrupt} of {threat.parties} "
            f"may be corrupt; {assumed} ({threat.paper})"
        )
    return "; or ".join(lines)
