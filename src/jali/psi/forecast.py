# SPDX-License-Identifier: Apache-2.0
"""What an alignment will cost before it runs, for tables whose numbers of rows are known.

The scripts of both sides are played against each other on virtual clocks.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from jali.core.threat import Cost
from jali.core.tree import flatten
from jali.devices.predict import Planned
from jali.mpc.cost.duration import Duration
from jali.mpc.cost.pace import pace_of
from jali.psi.contract import PSI_PROTOCOLS, counted
from jali.psi.rounds import Sizes, join_script
from jali.transport.network import network_of
from jali.transport.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jali.graph.node import Node
    from jali.psi.contract import Learns, Step
    from jali.psi.rounds import Terms
    from jali.transport.network import Network

__all__ = ["plan", "play", "rows_of", "seconds_of"]

_TRIES = 3
_OPPOSITE: dict[Learns, Learns] = {"both": "both", "me": "peer", "peer": "me"}


def plan(node: Node, rounds: Sequence[Sizes], *, terms: Terms, network: str | Network | None) -> Planned:
    """The cost of a join of these sizes, by party, with its seconds if there is a network; `terms` are the left's."""
    left, right = node.participants
    cost = counted(join_script(rounds, terms=terms))
    by_party = Cost(rounds=cost.rounds, bytes_sent={left: cost.bytes_sent["me"], right: cost.bytes_sent["peer"]})
    if network is None:
        return Planned(cost=by_party)
    others = [Sizes(sizes.theirs, sizes.mine, sizes.common) for sizes in rounds]
    scripts = {
        left: join_script(rounds, terms=terms),
        right: join_script(others, terms=terms._replace(learns=_OPPOSITE[terms.learns], left=False)),
    }
    return Planned(cost=by_party, time=seconds_of(scripts, pace=terms.protocol, network=network))


def seconds_of(scripts: Mapping[str, Iterator[tuple[Step, int]]], *, pace: str, network: str | Network) -> Duration:
    """How long two parties take for their scripts, whose work is of the kinds of a protocol, over a network."""
    timeline = Timeline(network_of(network), pace_of().machine)
    play(timeline, scripts, _best_pace(pace))
    return Duration(seconds=timeline.elapsed(), online_seconds=timeline.elapsed())


@cache
def _best_pace(name: str) -> Mapping[Step, float]:
    """Seconds a key of a protocol's work, the least of a few tries, measured once in a process."""
    paces = [PSI_PROTOCOLS.get(name)().pace() for _ in range(_TRIES)]
    return {step: min(pace[step] for pace in paces) for step in paces[0]}


def rows_of(table: Any) -> int:
    """The rows of a table whose columns have known shapes."""
    return int(flatten(table)[0][0].shape[0])


def play(timeline: Timeline, scripts: Mapping[str, Iterator[tuple[Step, int]]], pace: Mapping[Step, float]) -> None:
    """Let two parties follow their scripts: each goes on until it needs a message that is not sent yet."""
    coming: dict[str, deque[float]] = {party: deque() for party in scripts}
    steps = {party: deque(script) for party, script in scripts.items()}
    while any(steps.values()):
        for party, peer in zip(scripts, reversed(tuple(scripts)), strict=True):
            while steps[party] and (steps[party][0][0] != "receive" or coming[party]):
                step, amount = steps[party].popleft()
                if step == "send":
                    coming[peer].append(timeline.send(party, peer, amount))
                elif step == "receive":
                    timeline.wait(party, coming[party].popleft())
                else:
                    timeline.compute(party, amount * pace[step])
