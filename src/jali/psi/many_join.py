# SPDX-License-Identifier: Apache-2.0
"""Aligning the tables of three and more parties on the keys that all of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from jali.core.errors import JoinTooLarge, ProgramError, PsiKeysDiffer, TableInvalid
from jali.core.table import Table
from jali.core.threat import Cost
from jali.crypto.hashing import digest
from jali.devices.predict import Planned
from jali.graph.operation import ABSENT
from jali.psi.choice import AUTO, TRANSFER_POINTS, speed_here
from jali.psi.contract import counted
from jali.psi.forecast import rows_of
from jali.psi.hello import HELLO_BYTES, Speed, read_hello, write_hello
from jali.psi.intersection import BUCKET_KEYS, padded, parts_of
from jali.psi.keys import Keys
from jali.psi.many import FUNCTIONS, Round, common, leader_of, leaks, script, threat_of
from jali.psi.normalise import canonical
from jali.psi.owners import all_owners, joint
from jali.psi.rows import MAX_ROWS, counts_script, exchange_counts
from jali.transport.network import network_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.threat import Leak
    from jali.graph.node import Node
    from jali.graph.operation import NodeContext
    from jali.psi.contract import Step
    from jali.psi.hello import Hello
    from jali.transport.channel import Stream
    from jali.transport.network import Network

__all__ = ["AlignAllOperation", "align_all"]

_NAME: Final = "many"


def align_all(
    tables: Sequence[Any],
    *,
    on: str | Sequence[str],
    learns: Any = "all",
    protocol: str = "auto",
    normalise: str = "trimmed",
    network: str = "lan",
) -> tuple[Any, ...]:
    """Inner join of the tables of two or more parties: handles to each, row-aligned on the keys that all have.

    As of `jali.align`: a key gives as many rows as the product of those that each party has of it, in the order of a
    hash of the key, and within a key the first party's rows change slowest. Nobody learns which keys some, but not
    all, have in common.

    `learns` is "all", or some of the parties. Unless all learn, each learner gets its own rows, each once, and the
    other handles are None. `protocol` is "ecdh", "vole", or "auto", which takes what will be done first given the
    numbers of keys, the parties' speed, and the `network` between them: a name or a description as of `jali.explain`.

    Security: `jali.psi.many`, against all parties but one, who follow the protocol.
    Raises: ProgramError; UnknownName.
    """
    handles = tuple(tables)
    owners = all_owners(handles)
    learners = _learners(learns, owners)
    if protocol != AUTO and protocol not in FUNCTIONS:
        raise ProgramError(f"expected 'auto', 'ecdh' or 'vole' for several parties, found {protocol!r}")
    network_of(network)
    columns = (on,) if isinstance(on, str) else tuple(on)
    attributes = {
        "on": columns,
        "learners": learners,
        "protocol": protocol,
        "normalise": canonical(normalise),
        "network": network,
        "trust": "; or ".join(_trust(name, owners) for name in _possible(protocol)),
    }
    return joint(
        handles,
        learners,
        operation=AlignAllOperation.name,
        attributes=attributes,
        fingerprint=digest("psi.align_all", *columns, repr(learners), protocol, canonical(normalise), network),
        text=f"align all on {' and '.join(map(repr, columns))}",
        leaks=AlignAllOperation().leaks(owners, learners),
        named=aligned,
    )


def aligned(table: Table) -> Table:
    """One party's part of an alignment, as a value of its own."""
    return table


class AlignAllOperation:
    """The graph node behind `align_all`; its participants are the owners, in order."""

    name = "psi.align_all"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """This party's aligned table, or ABSENT if it does not learn.

        Raises: TableInvalid, ColumnMissing, KeyTypeWrong, KeyInvalid for its table; ProtocolAbort family for a peer.
        """
        parties = context.participants
        table = inputs[parties.index(context.party)]
        if not isinstance(table, Table):
            raise TableInvalid(f"expected a jali.Table to align at {context.party!r}, found {type(table).__name__}")
        keys = Keys({name: table[name] for name in attributes["on"]}, normalise=attributes["normalise"])
        found = _intersected(context, keys, attributes)
        if found is None:
            return ABSENT
        counts = np.ones((len(parties), len(found)), np.int64)
        if attributes["learners"] == parties:
            for number, party in enumerate(parties):
                own = party == context.party
                counts[number] = (
                    keys.counts_of(found) if own else exchange_counts(context.streams[party], keys.counts_of(found))
                )
        else:
            counts[parties.index(context.party)] = keys.counts_of(found)
        return table.take(_rows(keys, found, counts, parties.index(context.party)))

    def plan(self, node: Node, inputs: list[Any], network: str | Network | None) -> Planned:
        """Bytes for tables of so many rows with different keys, if as many as can be are common: an upper bound.

        Of "auto" it is the larger one of both protocols; no seconds.
        """
        del network
        sizes = {party: rows_of(table) for party, table in zip(node.participants, inputs, strict=True)}
        return Planned(
            cost=max(
                (
                    self.cost(sizes, node.attributes["learners"], name)
                    for name in _possible(node.attributes["protocol"])
                ),
                key=lambda found: sum(found.bytes_sent.values()),
            )
        )

    def cost(
        self, sizes: Mapping[str, int], learners: tuple[str, ...], protocol: str, n_common: int | None = None
    ) -> Cost:
        """Exact bytes by party, and rounds of the busiest stream, for distinct keys of which all have n_common.

        Where a common key stands in several rows, counts take 1 to 8 bytes more (see `exchange_counts`).
        """
        most = min(sizes.values()) if n_common is None else n_common
        parts = {
            (me, peer): counted(_script(me, peer, sizes, learners, protocol, most))
            for me in sizes
            for peer in sizes
            if me != peer
        }
        sent = {party: sum(parts[me, peer].bytes_sent["me"] for me, peer in parts if me == party) for party in sizes}
        return Cost(rounds=max(part.rounds for part in parts.values()), bytes_sent=sent)

    def leaks(self, owners: tuple[str, ...], learners: tuple[str, ...]) -> tuple[Leak, ...]:
        """What each owner learns."""
        return leaks(owners, learners, counts=len(learners) == len(owners))


def _intersected(context: NodeContext, keys: Keys, attributes: Mapping[str, Any]) -> NDArray[np.int64] | None:
    """Positions of common keys, ascending, for a learner."""
    streams, learners = context.streams, attributes["learners"]
    protocol, speed = attributes["protocol"], speed_here() if attributes["protocol"] == AUTO else Speed(0.0, 0.0)
    hellos = _greeted(streams, keys, protocol, speed)
    sizes = {party: hellos[party].n if party in hellos else len(keys) for party in context.participants}
    learn = context.party in learners
    if not all(sizes.values()):
        return np.zeros(0, np.int64) if learn else None
    if protocol == AUTO:
        speeds = [speed, *(hello.speed for hello in hellos.values())]
        protocol = _chosen(sizes, learners, speeds, network=attributes["network"])
    count, found = _buckets(sizes), []
    shared = {party: padded(n, count) for party, n in sizes.items()}
    terms = Round(context.party, shared, leader_of(shared, learners), learners, protocol)
    for bucket, (start, part) in enumerate(parts_of(keys, len(keys), count)):

        def report(done: float, what: str, bucket: int = bucket) -> None:
            place = "" if count == 1 else f"bucket {bucket + 1} of {count}, "
            context.progress((bucket + done) / count, f"{protocol}: {place}{what}")

        report(0.0, "start")
        positions = common(streams, part, terms, report)
        if positions is not None:
            found.append(positions + start)
    return np.concatenate(found) if learn else None


def _script(
    me: str, peer: str, sizes: Mapping[str, int], learners: tuple[str, ...], protocol: str, n_common: int
) -> Iterator[tuple[Step, int]]:
    """What one party does with another from greeting to counts; it makes no difference which bucket has common keys."""
    yield "send", HELLO_BYTES
    yield "receive", HELLO_BYTES
    if all(sizes.values()):
        count = _buckets(sizes)
        parts = {party: padded(n, count) for party, n in sizes.items()}
        terms = Round(me, parts, leader_of(parts, learners), learners, protocol)
        for bucket in range(count):
            yield from script(terms, peer, 0 if bucket else n_common)
    if len(learners) == len(sizes):
        yield from counts_script(1)


def _greeted(streams: Mapping[str, Stream], keys: Keys, protocol: str, speed: Speed) -> dict[str, Hello]:
    """What each peer says. Raises: PsiKeysDiffer for one that wants another protocol."""
    for stream in streams.values():
        stream.send(write_hello(keys, f"{_NAME}-{protocol}", speed, resumable=False))
    hellos = {party: read_hello(stream.receive(), keys, peer=party) for party, stream in streams.items()}
    for party, hello in hellos.items():
        if hello.protocol != f"{_NAME}-{protocol}":
            raise PsiKeysDiffer(
                f"{party!r} wants {hello.protocol!r}, this party {_NAME}-{protocol!r}: give all the same", party=party
            )
    return hellos


def _buckets(sizes: Mapping[str, int]) -> int:
    return max(1, -(-max(sizes.values()) // BUCKET_KEYS))


def _chosen(
    sizes: Mapping[str, int], learners: tuple[str, ...], speeds: Sequence[Speed], *, network: str | Network
) -> str:
    """The protocol that should be done first, which all find from what all know.

    The leader's time is that of its work for each other party, of the largest party's own table, and of the network.
    """
    way, leader, others = network_of(network), sizes[leader_of(sizes, learners)], len(sizes) - 1
    point, key = (max(part) for part in zip(*speeds, strict=True))
    most = max(sizes.values())
    seconds = {
        "ecdh": (2 * others * leader + leader + most) * point,
        "vole": others * (TRANSFER_POINTS * point + 3 * leader * key) + 3 * most * key,
    }
    for name, rounds in (("ecdh", 1), ("vole", 2)):  # with each other party, one after the other
        sent = AlignAllOperation().cost(sizes, learners, name).bytes_sent
        seconds[name] += rounds * others * way.rtt_s
        seconds[name] += 8 * max(sent.values()) / way.bandwidth if way.bandwidth else 0.0
    return min(seconds, key=lambda name: (seconds[name], name))


def _rows(keys: Keys, found: NDArray[np.int64], counts: NDArray[np.int64], me: int) -> NDArray[np.int64]:
    """This party's row numbers of the join.

    Shapes: found (n,), counts (parties, n); the result has the sum of the products of all counts.
    Raises: JoinTooLarge above 2^28 rows.
    """
    total = float(np.prod(counts.astype(np.float64), axis=0).sum())
    if total > MAX_ROWS:
        raise JoinTooLarge(
            f"expected a join of at most {MAX_ROWS} rows, but duplicates at several parties make {total:.3g}: remove "
            "duplicates of the key, or aggregate by it, at one party"
        )
    products = np.prod(counts, axis=0)
    ends = np.cumsum(products)
    within = np.arange(int(total)) - np.repeat(ends - products, products)
    slower = np.prod(counts[me + 1 :], axis=0)
    offset = within // np.repeat(slower, products) % np.repeat(counts[me], products)
    return np.asarray(keys.rows[np.repeat(keys.starts[found], products) + offset], np.int64)


def _learners(learns: Any, owners: tuple[str, ...]) -> tuple[str, ...]:
    """Who learns, in the order of the owners."""
    if isinstance(learns, str) and learns == "all":
        return owners
    named = learns if isinstance(learns, (list, tuple, set, frozenset)) else [learns]
    wanted = {str(getattr(each, "party", each)) for each in named}
    if not wanted or not wanted <= set(owners):
        raise ProgramError(
            f'expected learns = "all", or some of {", ".join(owners)}, found {", ".join(sorted(wanted))}'
        )
    return tuple(owner for owner in owners if owner in wanted)


def _possible(protocol: str) -> tuple[str, ...]:
    return tuple(FUNCTIONS) if protocol == AUTO else (protocol,)


def _trust(protocol: str, owners: tuple[str, ...]) -> str:
    threat = threat_of(protocol, len(owners))
    return (
        f"{protocol} intersection of {', '.join(owners)}: {threat.adversary}, {threat.corrupt} of {threat.parties} may "
        f"be corrupt; {'; '.join(threat.assumptions)} ({threat.paper})"
    )
