# SPDX-License-Identifier: Apache-2.0
"""Rounds: how protocol operations talk without touching the network.

An operation of a protocol is a generator. It yields a `Round` (words for some roles, and how many words it expects
from which) and is resumed with the words that came. `parallel` runs generators side by side and merges the rounds
that happen at the same time into one; `drive` is the only place that sends and receives. So independent operations
cost the rounds of the longest, and one message a peer and round goes over the wire, whatever the program does.

Every role of a computation runs the same generators in the same order, so the merged messages fit together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from jali.core.errors import ProtocolAbort

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.transport.channel import Stream

__all__ = ["Interaction", "Replies", "Round", "drive", "lockstep", "parallel"]

T = TypeVar("T")

Replies = "Mapping[int, NDArray[np.uint64]]"


class Round(NamedTuple):
    """One simultaneous exchange, as one role sees it.

    `send` maps a role to the word arrays for it (uint64, any shape, sent in C order, not changed afterwards);
    `expect` maps a role to the number of words that come from it. A role may appear in only one of the two.
    """

    send: Mapping[int, Sequence[NDArray[np.uint64]]]
    expect: Mapping[int, int]


Interaction = "Generator[Round, Mapping[int, NDArray[np.uint64]], T]"


def parallel(*operations: Generator[Round, Any, Any]) -> Generator[Round, Any, list[Any]]:
    """Run operations side by side and give their results in order.

    Cost: the rounds of the longest operation; bytes are the sum.
    """
    results: list[Any] = [None] * len(operations)
    waiting: dict[int, Round] = {}
    for index, operation in enumerate(operations):
        _advance(index, operation, None, waiting, results)
    while waiting:
        replies = yield _merge(waiting.values())
        current, waiting = waiting, {}
        taken = dict.fromkeys(replies, 0)
        for index, round_ in current.items():
            share = {}
            for role, count in round_.expect.items():
                share[role] = replies[role][taken[role] : taken[role] + count]
                taken[role] += count
            _advance(index, operations[index], share, waiting, results)
    return results


def drive(operation: Generator[Round, Any, T], streams: Mapping[int, Stream]) -> T:
    """Run an operation to its end over the network: one message to and from each peer and round.

    No message goes where a round has no words.
    Raises: ProtocolAbort if a peer's message has another length than the protocol prescribes.
    """
    replies: dict[int, NDArray[np.uint64]] | None = None
    while True:
        try:
            round_ = operation.send(replies)
        except StopIteration as stop:
            result: T = stop.value
            return result
        for role, arrays in round_.send.items():
            parts = [a.reshape(-1).data.cast("B") for a in arrays if a.size]
            if parts:
                streams[role].send(*parts)
        replies = {role: _receive(streams[role], count) for role, count in round_.expect.items()}


def lockstep(
    operations: Mapping[int, Generator[Round, Any, Any]],
    *,
    observe: Callable[[Mapping[int, Round]], None] | None = None,
    join: Callable[[Sequence[NDArray[np.uint64]]], NDArray[np.uint64]] | None = None,
) -> dict[int, Any]:
    """Run all roles of an operation in one thread, round by round, and give their results by role.

    For the estimator and for tests: the words go straight from one role to the other. `observe` is shown every
    round; `join` makes one message of several arrays (by default a copy).

    Raises: ProtocolAbort if a role expects another number of words than it is sent.
    """
    results: dict[int, Any] = {}
    waiting: dict[int, Round] = {}
    for role, operation in operations.items():
        _advance(role, operation, None, waiting, results)
    while waiting:
        if observe is not None:
            observe(waiting)
        current, waiting = waiting, {}
        for role, round_ in current.items():
            replies = {}
            for peer, count in round_.expect.items():
                sent = current[peer].send.get(role, ()) if peer in current else ()
                found = sum(array.size for array in sent)
                if found != count:
                    raise ProtocolAbort(f"role {role} expected {count} words from role {peer}, found {found}")
                replies[peer] = (join or _copied)(sent)
            _advance(role, operations[role], replies, waiting, results)
    return results


def _copied(arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.concatenate([np.empty(0, np.uint64), *(array.reshape(-1) for array in arrays)])


def _advance(
    index: int,
    operation: Generator[Round, Any, Any],
    replies: Any,
    waiting: dict[int, Round],
    results: dict[int, Any] | list[Any],
) -> None:
    try:
        waiting[index] = operation.send(replies)
    except StopIteration as stop:
        results[index] = stop.value


def _merge(rounds: Any) -> Round:
    send: dict[int, list[NDArray[np.uint64]]] = {}
    expect: dict[int, int] = {}
    for round_ in rounds:
        for role, arrays in round_.send.items():
            send.setdefault(role, []).extend(arrays)
        for role, count in round_.expect.items():
            expect[role] = expect.get(role, 0) + count
    return Round(send, expect)


def _receive(stream: Stream, count: int) -> NDArray[np.uint64]:
    if count == 0:
        return np.empty(0, np.uint64)
    message = stream.receive()
    if message.nbytes != 8 * count:
        raise ProtocolAbort(
            f"expected {8 * count} bytes from {stream.peer!r} in this round, found {message.nbytes}: "
            "the peer runs another program or another version",
            party=stream.peer,
        )
    return np.frombuffer(message, np.uint64)
