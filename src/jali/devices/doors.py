# SPDX-License-Identifier: Apache-2.0
"""The doors between devices.

A move changes where a value is and never who can see it; a reveal shows it to the parties that the program names. A new
kind of device has a row in the table of moves for each door that leads to it (entry-point group `jali.moves`), and an
operation "KIND.reveal" (group `jali.operations`) that leads out. Where there is no row there is no door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jali.core.errors import WouldDisclose
from jali.core.registry import Registry
from jali.core.threat import Leak
from jali.crypto.hashing import digest
from jali.devices.handle import Handle
from jali.graph.fingerprint import user_source
from jali.graph.node import Visibility

if TYPE_CHECKING:
    from jali.devices.program import Program
    from jali.graph.node import Node

__all__ = ["MOVES", "move", "reveal_node"]

MOVES: Final[Registry] = Registry(
    "jali.moves",
    builtin={
        "plain to mpc": "jali.devices.moves:share_node",
        "mpc to mpc": "jali.devices.secret_moves:move_node",
    },
)
"""From "kind to kind" to a function `(program, node, device) -> Node`."""


def move(handle: Handle, device: Any) -> Handle:
    """The value on `device`: itself if it is there, else moved, once for as long as the handle lives.

    A plain device needs no move: its party takes what it may see where it is.

    Raises: WouldDisclose if there is no door.
    """
    node = handle.node
    if device.kind == "plain":
        handle.program.require_visible(node, device.party, f"move {node.text}")
        return handle
    layout = device.layout
    if node.attributes.get("device") == layout:
        return handle
    name = f"{_kind(node)} to {device.kind}"
    if name not in MOVES:
        raise WouldDisclose(
            f"{node.text!r} is {node.visibility} and cannot move to {device.name}: there is no move {name!r}; compute "
            "on the device where it is, or reveal it to a party first if that party may see it",
            source=user_source(),
        )
    return handle.derived(layout, lambda: Handle(handle.program, MOVES.get(name)(handle.program, node, device)))


def reveal_node(program: Program, source: Node, targets: tuple[str, ...], *, ready: Node | None = None) -> Node:
    """Add the node that shows a value to `targets`; `ready` is the value as it may be shown, if that is another."""
    layout = source.attributes.get("device")
    owner = "" if layout is not None else source.visibility.holders[0]
    holders = (owner,) if layout is None else layout.evaluators
    everybody = set(targets) >= set(program.parties)
    return program.append(
        f"{_kind(source)}.reveal",
        device=", ".join(targets),
        participants=tuple(dict.fromkeys((*holders, *targets))),
        inputs=(ready or source,),
        attributes={"to": targets, "owner": owner, "layout": layout},
        fingerprint=digest("devices.reveal", "\0".join(targets)),
        visibility=Visibility("public" if everybody else "private", targets),
        text=f"reveal {source.text}",
        leaks=tuple(
            Leak(what=f"the value of {source.text}", to=party, why="revealed by the program")
            for party in targets
            if party != owner
        ),
    )


def _kind(node: Node) -> str:
    layout = node.attributes.get("device")
    return "plain" if layout is None else str(layout.kind)
