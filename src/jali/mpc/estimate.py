# SPDX-License-Identifier: Apache-2.0
"""What a program will cost, exactly and before it runs.

The roles of a protocol are run in lock-step on arrays that have a shape but neither memory nor content (see
`m2k_sides.Sizes`). They take the decisions that the real roles take, so rounds and bytes are those of the real run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali.core.threat import Cost, Dealt
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["GUEST", "Priced", "estimate", "price"]

GUEST = "guest"


class Priced(NamedTuple):
    """What an operation costs, and what is dealt for it."""

    cost: Cost
    dealt: tuple[Dealt, ...] = ()


def estimate(
    protocol: str,
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
) -> Cost:
    """The cost of what `operation` does under a protocol.

    `operation(side)` is called once for each role; shares that it keeps for later are priced as used there (they
    remember in which state they are). `guest(side)` is the part of an owner of data who is no role. A protocol of one
    role sends nothing, so there the operation is not called.

    Example:
    >>> def product(side):
    ...     x = yield from side.input(None, 0, (10,))
    ...     y = yield from side.input(None, 1, (10,))
    ...     return (yield from side.mul(x, y, shift=18))
    >>> estimate("m2k", product).rounds
    3
    """
    return price(protocol, operation, guest=guest).cost


def price(
    protocol: str,
    operation: Callable[[MpcProtocol], Generator[Round, Any, Any]],
    *,
    guest: Callable[[MpcProtocol], Generator[Round, Any, Any]] | None = None,
) -> Priced:
    """Like `estimate`, with the list of what is dealt."""
    kind = PROTOCOLS.get(protocol)
    if len(kind.roles) == 1 and guest is None:
        return Priced(Cost(rounds=0, bytes_sent={kind.roles[0]: 0}))
    sides: dict[int, Any] = {role: kind.sizes(role) for role in range(len(kind.roles))}
    names = dict(enumerate(kind.roles))
    running = {role: operation(side) for role, side in sides.items()}
    if guest is not None:
        role = len(kind.roles)
        running[role] = guest(kind.sizes(role))
        names[role] = GUEST
    tally = _Tally(running)
    lockstep(running, observe=tally.add, join=_outline)
    dealt: tuple[Dealt, ...] = sides[0].dealt
    cost = Cost(
        rounds=tally.rounds,
        bytes_sent={names[role]: 8 * words for role, words in tally.words.items()},
        offline_bytes=sum(items.size_bytes for items in dealt),
    )
    return Priced(cost, dealt)


class _Tally:
    """Rounds in which anybody spoke, and words by sender."""

    def __init__(self, roles: Mapping[int, object]) -> None:
        self.rounds = 0
        self.words = dict.fromkeys(roles, 0)

    def add(self, rounds: Mapping[int, Round]) -> None:
        spoken = 0
        for role, round_ in rounds.items():
            sent = sum(array.size for arrays in round_.send.values() for array in arrays)
            self.words[role] += sent
            spoken += sent
        self.rounds += spoken > 0


def _outline(arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.broadcast_to(np.uint64(0), (sum(array.size for array in arrays),))
