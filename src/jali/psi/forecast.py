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
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.intersection import intersection_script
from jali.transport.network import network_of
from jali.transport.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jali.graph.node import Node
    from jali.psi.contract import Learns, PsiProtocol, Step
    from jali.transport.network import Network

__all__ = ["learns_of", "plan", "play", "rows_of"]

_TRIES = 3
_OPPOSITE: dict[Learns, Learns] = {"both": "both", "me": "peer", "peer": "me"}


def plan(node: Node, inputs: Sequence[Any], cost: Cost, *, protocol: str, network: str | Network | None) -> Planned:
    """The cost of a node, which is `cost` for "me" on the left, by party, with its seconds if there is a network."""
    left, right = node.participants
    size = cost.bytes_sent
    by_party = Cost(rounds=cost.rounds, bytes_sent={left: size["me"], right: size["peer"]})
    if network is None:
        return Planned(cost=by_party)
    made: PsiProtocol = PSI_PROTOCOLS.get(protocol)()
    learns = learns_of(node.attributes["learns"], left)
    a, b = (rows_of(value) for value in inputs)
    timeline = Timeline(network_of(network), pace_of().machine)
    scripts = {
        left: intersection_script(made, a, b, learns=learns, first=True),
        right: intersection_script(made, b, a, learns=_OPPOSITE[learns], first=False),
    }
    play(timeline, scripts, _best_pace(protocol))
    return Planned(cost=by_party, time=Duration(seconds=timeline.elapsed(), online_seconds=timeline.elapsed()))


@cache
def _best_pace(name: str) -> Mapping[Step, float]:
    """Seconds a key of a protocol's work, the least of a few tries, measured once in a process."""
    paces = [PSI_PROTOCOLS.get(name)().pace() for _ in range(_TRIES)]
    return {step: min(pace[step] for pace in paces) for step in paces[0]}


def learns_of(learns: str, party: str) -> Learns:
    """Who learns, as `party` sees it."""
    return "both" if learns == "both" else "me" if learns == party else "peer"


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
