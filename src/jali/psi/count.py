# SPDX-License-Identifier: Apache-2.0
"""How many keys two parties have in common, and nothing of which: `jali.psi.membership`, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from jali.core.errors import ProgramError, PsiFrameInvalid
from jali.core.threat import Threat
from jali.crypto.hashing import digest
from jali.devices.predict import Planned
from jali.graph.operation import ABSENT
from jali.psi.contract import counted, learns_of, least_leaks
from jali.psi.forecast import rows_of, seconds_of
from jali.psi.hello import HELLO_BYTES, Speed, read_hello, write_hello
from jali.psi.membership import memberships, memberships_script
from jali.psi.normalise import canonical
from jali.psi.owners import joint, learners_of, owners_of, side_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jali.core.threat import Cost, Leak
    from jali.graph.node import Node
    from jali.graph.operation import NodeContext
    from jali.psi.contract import Learns, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream
    from jali.transport.network import Network

__all__ = [
    "THREAT",
    "CountOperation",
    "count",
    "count_common",
    "count_cost",
    "count_script",
]

THREAT: Final = Threat(
    parties=2,
    corrupt=1,
    adversary="semi-honest",
    abort="malformed, repeated or miscounted messages and low-order points raise a named error",
    assumptions=("decisional Diffie-Hellman on Curve25519", "hashing to the curve is a random oracle"),
    paper="De Cristofaro, Gasti, Tsudik 2012 (ePrint 2011/141)",
)
_NAME = "ecdh-count"


def count_common(
    left: Any,
    right: Any,
    *,
    on: str | Sequence[str],
    learns: Any = "both",
    normalise: str = "trimmed",
    device: Any = None,
    at_least: int = 0,
    epsilon: float | None = None,
) -> Any:
    """How many different keys two parties' tables have in common: a handle to the number for each party that learns.

    `on`, `learns` and `normalise` are as of `jali.align`. Nobody learns which keys they are.

    With an mpc `device`, it is one handle to a secret on that device, of which nobody learns before it is revealed:
    0 if fewer than `at_least` keys are in common, and with noise that makes it `epsilon`-differentially private, drawn
    by both parties, so that each is protected from the other (the sum has a standard deviation of 2 / epsilon, so
    the number may be negative).

    Security: whoever learns the number can learn of one key whether the other has it, by asking with this key alone, or
    twice with and without it: agree on who may ask how often, and look at the numbers of keys; or ask for noise.
    Raises: ProgramError, UnknownName.
    """
    if device is not None:
        if learns != "both":
            raise ProgramError("the number is a secret on the device: leave out learns, and jali.reveal it to a party")
        from jali.psi.aggregates import count_on

        return count_on(left, right, on=on, device=device, normalise=normalise, at_least=at_least, epsilon=epsilon)
    if at_least or epsilon is not None:
        raise ProgramError("a number with a bound or noise is computed on an mpc device: name it, device=fed.mpc(...)")
    owners = owners_of(left, right)
    learners = learners_of(learns, owners)
    normalise = canonical(normalise)
    columns = (on,) if isinstance(on, str) else tuple(on)
    who = "both" if len(learners) == 2 else learners[0]
    assumed = "; ".join(THREAT.assumptions)
    return joint(
        (left, right),
        learners,
        operation=CountOperation.name,
        attributes={
            "on": columns,
            "learns": who,
            "normalise": normalise,
            "trust": f"number of common keys of {' and '.join(owners)}: {THREAT.adversary}, 1 of 2 may be corrupt; "
            f"{assumed} ({THREAT.paper})",
        },
        fingerprint=digest(CountOperation.name, *columns, who, normalise),
        text=f"count common {' and '.join(map(repr, columns))}",
        leaks=CountOperation().leaks(owners, learners),
        named=number_in_common,
    )


def number_in_common(number: int) -> int:
    """One party's part of a count, as a value of its own."""
    return number


class CountOperation:
    """The graph node behind `count_common`."""

    name = "psi.count"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """The number, or ABSENT if only the other learns. Raises: as `AlignOperation.run`."""
        mine = side_of(context, inputs, attributes)
        learns = learns_of(attributes["learns"], context.party)
        found = count(mine.stream, mine.keys, learns=learns, progress=context.progress)
        return ABSENT if found is None else found

    def plan(self, node: Node, inputs: list[Any], network: str | Network | None) -> Planned:
        """Exact cost for tables of known numbers of rows with different keys, with seconds if there is a network."""
        a, b = (rows_of(table) for table in inputs)
        left, right = node.participants
        cost = count_cost(a, b, learns=learns_of(node.attributes["learns"], left))
        planned = Planned(
            cost=msgspec.structs.replace(cost, bytes_sent={left: cost.bytes_sent["me"], right: cost.bytes_sent["peer"]})
        )
        if network is None:
            return planned
        scripts = {
            party: count_script(mine, theirs, learns=learns_of(node.attributes["learns"], party))
            for party, mine, theirs in ((left, a, b), (right, b, a))
        }
        return msgspec.structs.replace(planned, time=seconds_of(scripts, pace="ecdh", network=network))

    def leaks(self, owners: tuple[str, str], learners: tuple[str, ...]) -> tuple[Leak, ...]:
        """What each owner learns."""
        return least_leaks(owners, learners, learned="how many of its own keys {} has too")


def count(stream: Stream, keys: Keys, *, learns: Learns = "both", progress: Callable[[float, str], None]) -> int | None:
    """How many of my keys the peer has too; None if only the peer learns.

    Cost: see `count_cost`; for each key of both a multiplication.
    Raises: PsiKeysDiffer, PsiFrameInvalid, LowOrderPointError.
    """
    stream.send(write_hello(keys, _NAME, Speed(0.0, 0.0), resumable=False))
    peer = read_hello(stream.receive(), keys, peer=stream.peer)
    if peer.protocol != _NAME:
        raise PsiFrameInvalid(f"expected {stream.peer!r} to count, it wants {peer.protocol!r}", party=stream.peer)
    _, found = memberships(stream, keys, peer.n, learns=learns, progress=progress)
    return None if found is None else int(np.sum(found))


def count_cost(n_mine: int, n_theirs: int, *, learns: Learns = "both") -> Cost:
    """Exact bytes of the roles "me" and "peer" and the rounds that I wait for."""
    return counted(count_script(n_mine, n_theirs, learns=learns))


def count_script(n_mine: int, n_theirs: int, *, learns: Learns) -> Iterator[tuple[Step, int]]:
    """What one side does, as of `PsiProtocol.script`; its work is of the kinds of `jali.psi.ecdh`."""
    yield "send", HELLO_BYTES
    yield "receive", HELLO_BYTES
    yield from memberships_script(n_mine, n_theirs, learns=learns)
