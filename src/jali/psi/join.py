# SPDX-License-Identifier: Apache-2.0
"""Joining two parties' tables on a key: after it, row i of one and row i of the other are about the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from jali.core.errors import ProgramError
from jali.crypto.hashing import digest, encode_parts
from jali.graph.operation import ABSENT
from jali.psi.choice import AUTO, CHOSEN_FROM, choose, speed_here
from jali.psi.contract import PSI_PROTOCOLS, counted, learns_of
from jali.psi.forecast import plan, rows_of
from jali.psi.kinds import UNION, join_leaks, mark_of_rows, require_join, require_no_column, with_absent
from jali.psi.normalise import canonical
from jali.psi.owners import joint, learners_of, owners_of, side_of
from jali.psi.rounds import Sizes, Terms, join, join_script
from jali.psi.union import align_union
from jali.transport.network import network_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jali.core.table import Table
    from jali.core.threat import Cost, Leak
    from jali.devices.predict import Planned
    from jali.graph.node import Node
    from jali.graph.operation import NodeContext
    from jali.psi.contract import PsiProtocol
    from jali.psi.rounds import Joined
    from jali.transport.network import Network

__all__ = ["AlignOperation", "align"]


def align(
    left: Any,
    right: Any,
    *,
    on: str | Sequence[str],
    otherwise: str | Sequence[str | Sequence[str]] = (),
    how: str = "inner",
    learns: Any = "both",
    protocol: str = "auto",
    normalise: str = "trimmed",
    network: str = "lan",
) -> tuple[Any, ...]:
    """Join of two parties' tables that stay where they are: handles to both, row-aligned on the common keys.

    `jali.psi(left, right, on=...)` is the same.

    A key that stands in m rows on the left and n on the right gives m n rows, as in SQL. The rows come in the order
    of a hash of the key: the same at both parties and in every run, and unrelated to the order of either file or of
    the keys. Within a key, left rows in their order, and for each the right rows in theirs.

    `on` is the key column, or several that make a key together. `otherwise` are further keys, in order: rows that one
    key has matched leave, those left go on with the next. An empty text is missing then, and its row skips that key.

    `how` is "inner"; "left", "right" or "full", which keep rows of one or both without a match: beside them stand rows
    of 0, "" and False at the other party, and a column `present` at both says which rows are a party's own; or "semi"
    or "anti", which give each party its own rows, in their order, whose key the other has, or has not; or "union", a
    row for each key of either party, with `present`, where neither learns which keys are in common (`jali.psi.union`).

    `learns` is "both", a party or its plain device. Rows can only be aligned by who knows which they are, so if one
    party learns, only it gets a table, of its own rows; the other handle is None. An inner join gives it each row once,
    "left" (to the left party, or "right" to the right) all its rows, with a column `matched`.

    `protocol` is "ecdh", "vole", or "auto", which takes what will be done first given both numbers of keys, the speed
    of both machines, and the `network` between them: a name or a description as of `jali.explain`. `normalise` is what
    is done to text before it is compared: "trimmed", "exact", "folded", or steps with commas such as "nfkc,fold,trim".

    Security: what each party learns beyond its rows are the `leaks` of the operation, listed by `jali.explain`.
    Raises: ProgramError if the tables are not of two parties, `learns` is neither, or a join keeps rows of a party that
    does not learn; UnknownName for a protocol, join or normalisation that does not exist.
    """
    owners = owners_of(left, right)
    learners = learners_of(learns, owners)
    if how == UNION:
        if len(learners) < 2 or otherwise or protocol != AUTO:
            raise ProgramError(
                "a union goes by one key, has one protocol, and both learn: leave out what says otherwise"
            )
        return align_union(left, right, on=_columns(on), normalise=normalise)
    require_join(how, learners=learners, owners=owners, error=ProgramError)
    if protocol != AUTO and protocol not in PSI_PROTOCOLS:
        raise PSI_PROTOCOLS.unknown(protocol)
    network_of(network)
    keys = (_columns(on), *map(_columns, (otherwise,) if isinstance(otherwise, str) else otherwise))
    who = "both" if len(learners) == 2 else learners[0]
    attributes: dict[str, Any] = {
        "on": keys[0],
        "otherwise": keys[1:],
        "how": how,
        "learns": who,
        "protocol": protocol,
        "normalise": canonical(normalise),
        "network": network,
        "trust": _trust(protocol, owners),
    }
    named = (encode_parts(*columns) for columns in keys)
    return joint(
        (left, right),
        learners,
        operation=AlignOperation.name,
        attributes=attributes,
        fingerprint=digest("psi.align", *named, how, who, protocol, attributes["normalise"], network),
        text=f"align{'' if how == 'inner' else f' ({how} join)'} on "
        + ", otherwise ".join(" and ".join(map(repr, columns)) for columns in keys)
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
        """This party's part of the join, or ABSENT if only the other learns.

        Raises: TableInvalid, ColumnMissing, KeyTypeWrong, KeyInvalid for this party's table; ProtocolAbort family for
        the peer.
        """
        side = side_of(context, inputs, attributes)
        terms = _terms(attributes, context.party, left=side.left)
        mark = mark_of_rows(terms.how, both_learn=terms.learns == "both")
        if mark:
            require_no_column(side.table.columns, mark, party=context.party)
        joined = join(side.stream, (side.keys, *side.otherwise), terms=terms, progress=context.progress)
        return ABSENT if joined is None else _placed(side.table, joined, mark, party=context.party)

    def plan(self, node: Node, inputs: list[Any], network: str | Network | None) -> Planned:
        """The cost for tables of known numbers of rows, if all keys are distinct and as many as can be are common.

        So it is an upper bound: how many keys are common is what the protocol finds out. With further keys it assumes
        of each that no row has left before, and that none is missing.
        """
        a, b = (rows_of(value) for value in inputs)
        terms, note = _terms(node.attributes, node.participants[0], left=True), ""
        if terms.protocol == AUTO:
            way = network or node.attributes["network"]
            choice = choose((a, b), (speed_here(), speed_here()), learns=terms.learns, network=way)
            terms = terms._replace(protocol=choice.protocol)
            note = f"{choice.protocol}, if both parties are as fast as this machine: {choice.reason}"
        rounds = [Sizes(a, b, min(a, b))] * (1 + len(node.attributes["otherwise"]))
        return msgspec.structs.replace(plan(node, rounds, terms=terms, network=network), note=note)

    def leaks(self, attributes: Mapping[str, Any], participants: tuple[str, ...]) -> tuple[Leak, ...]:
        """What each owner learns: the protocol's leaks, and those of the kind of join."""
        left, right = participants
        learners = (left, right) if attributes["learns"] == "both" else (attributes["learns"],)
        made: list[PsiProtocol] = [PSI_PROTOCOLS.get(name)() for name in _possible(attributes["protocol"])]
        leaks = dict.fromkeys(leak for protocol in made for leak in protocol.leaks((left, right), learners=learners))
        return *leaks, *join_leaks(
            attributes["how"], learners=learners, owners=(left, right), otherwise=len(attributes["otherwise"])
        )

    def cost(self, attributes: Mapping[str, Any], rounds: Sequence[Sizes], *, party: str, left: bool = True) -> Cost:
        """Exact bytes of "me", who is `party`, and "peer", and rounds, if each key stands in one row.

        `rounds` are the keys that are left for each key in turn: all of them in each where one party learns, since the
        other's rows do not leave, and its own are filled up. Where a common key stands in several rows, its counts take
        1 to 8 bytes more (see `exchange_counts`).
        """
        return counted(join_script(rounds, terms=_terms(attributes, party, left=left)))


def _columns(on: str | Sequence[str]) -> tuple[str, ...]:
    return (on,) if isinstance(on, str) else tuple(on)


def _terms(attributes: Mapping[str, Any], party: str, *, left: bool) -> Terms:
    learns = learns_of(attributes["learns"], party)
    return Terms(attributes["how"], learns, left, attributes["protocol"], attributes["network"])


def _placed(table: Table, joined: Joined, mark: str, *, party: str) -> Table:
    """The rows of a join: zeros and empty texts where this party has none."""
    if joined.matched is not None:
        return table.take(joined.rows).with_columns({mark: joined.matched})
    return with_absent(table, joined.rows, party=party) if mark else table.take(joined.rows)


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
