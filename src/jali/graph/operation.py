# SPDX-License-Identifier: Apache-2.0
"""What a kind of graph node must provide, and what it is given while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from jali.core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jali.crypto.prg import Prg
    from jali.transport.channel import Stream

__all__ = ["ABSENT", "OPERATIONS", "NodeContext", "Operation"]


class _Absent:
    """The part of a value that lives at another party."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class NodeContext(Protocol):
    """One party's view of one running node. Everything a protocol may touch, and nothing else."""

    @property
    def party(self) -> str:
        """The party whose part this is."""
        ...

    @property
    def participants(self) -> tuple[str, ...]:
        """All parties of the node, in the node's order."""
        ...

    @property
    def streams(self) -> Mapping[str, Stream]:
        """A stream of this node's own to every other participant, by party."""
        ...

    def stream(self, peer: str, label: str = "") -> Stream:
        """A further stream of this node's own to `peer`, told apart by `label`."""
        ...

    def prg(self, *parties: str, label: str) -> Prg:
        """A generator that the one or two `parties` (this one among them) share, fresh for this node and label."""
        ...

    def progress(self, done: float, what: str) -> None:
        """Report the fraction done (0 to 1)."""
        ...


class Operation(Protocol):
    """How one kind of node runs at each of its participants. One implementation is one file.

    It may also say what a node will cost before it runs: `plan(node, inputs, network)` with what is known of the inputs
    (see `jali.devices.predict`).
    """

    name: str

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """Do this party's part and give this party's part of the result.

        `inputs` holds this party's parts of the input values; an input that lives elsewhere is `ABSENT`.
        """
        ...


OPERATIONS: Final[Registry] = Registry(
    "jali.operations",
    builtin={
        "item": "jali.devices.plain:Item",
        "plain.call": "jali.devices.plain:PlainCall",
        "mpc.share": "jali.devices.moves:ShareMove",
        "mpc.move": "jali.devices.secret_moves:SecretMove",
        "mpc.call": "jali.devices.mpc:MpcCall",
        "mpc.save": "jali.devices.saved_shares:SaveShares",
        "mpc.saved": "jali.devices.saved_shares:AskSaved",
        "mpc.load": "jali.devices.saved_shares:LoadShares",
        "mpc.reveal": "jali.devices.moves:RevealMove",
        "mpc.deal": "jali.devices.dealing:DealAhead",
        "mpc.round": "jali.devices.moves:RoundMove",
        "pir.look_up": "jali.psi.pir.book:LookUp",
        "pir.publish": "jali.psi.pir.book:Publish",
        "plain.reveal": "jali.devices.plain:PlainReveal",
        "psi.align": "jali.psi.join:AlignOperation",
        "psi.align_all": "jali.psi.many_join:AlignAllOperation",
        "psi.count": "jali.psi.count:CountOperation",
        "psi.union": "jali.psi.union:UnionOperation",
        "psi.secret": "jali.psi.secret_join:SecretJoin",
    },
)
