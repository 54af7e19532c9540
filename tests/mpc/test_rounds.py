# SPDX-License-Identifier: Apache-2.0
"""Merging rounds, driving them over streams, and running roles in lock-step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import ProtocolAbort
from jali.mpc.rounds import Round, drive, lockstep, parallel
from jali.transport.pipe import stream_pair

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray


def words(*numbers: int) -> NDArray[np.uint64]:
    return np.array(numbers, np.uint64)


def ask(peer: int, *messages: NDArray[np.uint64]) -> Generator[Round, Any, list[int]]:
    """Swap messages with a peer, one a round; gives the first word of each reply."""
    heard = []
    for message in messages:
        replies = yield Round({peer: [message]}, {peer: message.size})
        heard.append(int(replies[peer][0]))
    return heard


def test_parallel_merges_rounds_and_keeps_order() -> None:
    seen: list[tuple[list[int], int]] = []

    def observe(rounds: Any) -> None:
        sent = [int(word) for array in rounds[0].send[1] for word in array]
        seen.append((sent, rounds[0].expect[1]))

    both = {
        0: parallel(ask(1, words(1), words(2)), ask(1, words(3, 4)), ask(1, words(5), words(6), words(7))),
        1: parallel(ask(0, words(10), words(20)), ask(0, words(30, 40)), ask(0, words(50), words(60), words(70))),
    }
    results = lockstep(both, observe=observe)
    assert seen == [([1, 3, 4, 5], 4), ([2, 6], 2), ([7], 1)]
    assert results == {0: [[10, 20], [30], [50, 60, 70]], 1: [[1, 2], [3], [5, 6, 7]]}


def test_parallel_of_nothing_and_of_local_operations_takes_no_round() -> None:
    def local() -> Generator[Round, Any, int]:
        yield from ()
        return 7

    assert lockstep({0: parallel(), 1: parallel(local(), local())}) == {0: [], 1: [7, 7]}


def test_nested_parallels_share_rounds() -> None:
    count = [0]

    def observe(rounds: Any) -> None:
        count[0] += 1

    def nested(peer: int) -> Generator[Round, Any, list[Any]]:
        return parallel(parallel(ask(peer, words(1), words(2)), ask(peer, words(3))), ask(peer, words(4)))

    assert lockstep({0: nested(1), 1: nested(0)}, observe=observe)[0] == [[[1, 2], [3]], [4]]
    assert count == [2]


def test_drive_sends_one_message_a_round_and_none_without_words() -> None:
    here, there = stream_pair("a", "b")
    there.send(words(5, 6).data, words(7).data)

    def operation() -> Generator[Round, Any, int]:
        replies = yield Round({1: [words(1), words(2, 3).reshape(1, 2), np.empty(0, np.uint64)]}, {1: 3})
        empty = yield Round({1: [np.empty(0, np.uint64)]}, {1: 0})
        return int(replies[1].sum()) + int(empty[1].size)

    assert drive(operation(), {1: here}) == 18
    assert there.counters.messages_sent == here.counters.messages_sent == 1
    np.testing.assert_array_equal(np.frombuffer(there.receive(), np.uint64), [1, 2, 3])


@pytest.mark.parametrize("found", [0, 8, 23, 25, 32])
def test_a_message_of_the_wrong_length_aborts(found: int) -> None:
    here, there = stream_pair("mallory", "b")
    there.send(bytes(found))

    def operation() -> Generator[Round, Any, None]:
        yield Round({}, {1: 3})

    with pytest.raises(ProtocolAbort, match=rf"expected 24 bytes from .*, found {found}") as failed:
        drive(operation(), {1: here})
    assert failed.value.party == here.peer


def test_roles_that_do_not_fit_abort_in_lockstep() -> None:
    with pytest.raises(ProtocolAbort, match="role 0 expected 2 words from role 1, found 1"):
        lockstep({0: ask(1, words(1, 2)), 1: ask(0, words(1))})


def test_replies_may_be_changed_without_reaching_the_sender() -> None:
    own = words(1, 2)

    def receive() -> Generator[Round, Any, None]:
        replies = yield Round({}, {1: 2})
        replies[1][:] = 0

    def send() -> Generator[Round, Any, None]:
        yield Round({0: [own]}, {})

    lockstep({0: receive(), 1: send()})
    np.testing.assert_array_equal(own, [1, 2])
