# SPDX-License-Identifier: Apache-2.0
"""What is particular to m2k: states and openings, the dealer, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import InternalError, ProtocolAbort, ProtocolUseError
from jali.mpc.contract import Outline
from jali.mpc.cost.estimate import estimate
from jali.mpc.m2k.shares import Additive, Masked
from jali.mpc.rounds import drive, lockstep, parallel
from tests.mpc.roles import make_sides, run_lockstep, run_threads

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

X = np.arange(-50, 50).view(np.uint64)
N = X.size


def additive(side: Any) -> Part:
    """The squares of X in additive form, and X itself."""
    x = yield from side.input(X if side.role == 0 else None, 0, (N,))
    return (yield from side.mul(x, x)), x


def test_a_share_is_opened_once_for_all_that_use_it() -> None:
    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        first, second, sign = yield from parallel(side.mul(square, x), side.mul(square, square), side.sign(square))
        third = yield from side.mul(square, x)
        assert isinstance(first, Additive)
        total = side.linear(lambda a, b, c: a + b + c, first, second, third, shape=(N,))
        return (yield from side.reveal(total, [0])), (yield from side.reveal_bits(sign, [1]))

    results = run_lockstep("m2k", operation)
    np.testing.assert_array_equal(results[0][0], X * X * X + X * X * X * X + X * X * X)
    assert not results[1][1].any()
    cost = estimate("m2k", operation)
    # Input, opening the square, two levels of the tree, two reveals.
    assert cost.rounds == 6
    words_of_bits = -(-N // 64)
    assert cost.bytes_sent["evaluator0"] == 8 * N + 8 * N + 8 * 40 * words_of_bits + 8 * words_of_bits


def test_an_operation_that_resumes_first_waits_for_an_opening_begun_later() -> None:
    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        late = side.mul(square, x)

        def begin_with_a_round() -> Part:
            yield from side.input(X if side.role == 0 else None, 0, (N,))
            return (yield from late)

        def begin_after_a_round() -> Part:
            yield from side.input(X if side.role == 1 else None, 1, (N,))
            return (yield from side.mul(square, square))

        a, b = yield from parallel(begin_with_a_round(), begin_after_a_round())
        return (yield from side.reveal(side.linear(np.add, a, b, shape=(N,)), [0, 1]))

    np.testing.assert_array_equal(run_lockstep("m2k", operation)[1], X * X * X + X * X * X * X)


def test_waiting_for_an_opening_is_bounded() -> None:
    sides, _ = make_sides("m2k")
    dropped = []

    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        begun = side.mul(square, x)
        next(begun)
        dropped.append(begun)
        return (yield from side.mul(square, square))

    with pytest.raises(InternalError, match="never finished"):
        lockstep({2: operation(sides[2])})


def test_an_opening_begun_in_reverse_order_is_shared() -> None:
    """The second operation resumes before the one that opens: it takes one round more, and the same value."""

    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        first, second = side.mul(square, x), side.mul(square, square)
        rounds = {1: next(first), 0: next(second)}
        assert rounds[0] == ({}, {})
        replies = yield rounds[1]
        assert second.send({}) == ({}, {})
        with pytest.raises(StopIteration) as ended:
            first.send(replies)
        a = ended.value.value
        with pytest.raises(StopIteration) as ended:
            second.send({})
        total = side.linear(np.add, a, ended.value.value, shape=(N,))
        return (yield from side.reveal(total, [0, 1]))

    np.testing.assert_array_equal(run_lockstep("m2k", operation)[0], X * X * X + X * X * X * X)


def test_openings_stay_in_their_instance() -> None:
    """Concurrent nodes use the same share; what one opens must not change what another sends."""
    made, _ = make_sides("m2k", seed=1)
    shares: dict[int, Any] = lockstep({2: additive(made[2])})
    made[2].finish()
    shares |= lockstep({role: additive(made[role]) for role in (0, 1)})

    def operation(side: Any) -> Part:
        square, x = shares[side.role]
        return (yield from side.reveal((yield from side.mul(square, x)), [0, 1]))

    views = []
    for seed in (2, 3):
        sent: list[Any] = []
        results = run_lockstep("m2k", operation, seed=seed, observe=sent.append)
        np.testing.assert_array_equal(results[0], X * X * X)
        views.append([[array.size for array in rounds[0].send[1]] for rounds in sent])
    assert views[0] == views[1] == [[N], [N]]


def test_openings_do_not_outlive_their_shares() -> None:
    sides, _ = make_sides("m2k")

    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        yield from side.mul(square, x)
        held = len(side._wires.openings)
        del square
        return held, len(side._wires.openings)

    assert lockstep({2: operation(sides[2])})[2] == (1, 0)


def test_states_follow_the_operands() -> None:
    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        masked = side.linear(lambda a, b: a + b, x, side.public(X), shape=(N,))
        mixed = side.linear(lambda a, b: a + b, x, square, shape=(N,))
        sign = yield from side.sign(x)
        return [type(share) for share in (x, masked, side.add_public(x, X), mixed, square, sign, side.invert(sign))]

    for kinds in run_lockstep("m2k", operation).values():
        assert kinds == [Masked, Masked, Masked, Additive, Additive, Additive, Additive]


def test_adding_a_public_value_is_not_taken_for_the_same_share() -> None:
    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        yield from side.mul(square, x)
        bits = yield from side.sign(x)
        yield from side.to_arithmetic(bits)
        more = yield from side.mul(side.add_public(square, X), x)
        other = yield from side.to_arithmetic(side.invert(bits))
        return (yield from side.reveal(more, [0])), (yield from side.reveal(other, [0]))

    more, other = run_lockstep("m2k", operation)[0]
    np.testing.assert_array_equal(more, (X * X + X) * X)
    np.testing.assert_array_equal(other, X.view(np.int64) >= 0)


def test_the_dealer_sends_to_evaluator_1_only_and_hears_nobody() -> None:
    def operation(side: Any) -> Part:
        square, x = yield from additive(side)
        sign = yield from side.sign(square)
        chosen = yield from side.select(sign, (yield from side.mul(square, x, shift=3)))
        return (yield from side.reveal(chosen, [0, 1]))

    _, streams = run_threads("m2k", operation)
    assert streams[2][0].counters.messages_sent == 0
    assert [stream.counters.messages_received for stream in streams[2].values()] == [0, 0]
    assert streams[2][1].counters.messages_sent == 2  # all corrections, then the end


def test_corrections_are_gathered_and_prefetched() -> None:
    n = 3 * 2**15
    sides, streams = make_sides("m2k")

    def operation(side: Any) -> Part:
        x = yield from side.input(np.arange(n, dtype=np.uint64) if side.role == 0 else None, 0, (n,))
        small = side.linear(lambda a: a[:4].copy(), x, shape=(4,))
        for _ in range(100):
            yield from side.mul(small, small)
        return (yield from side.reveal((yield from side.mul(x, x, shift=1)), [1]))

    drive(operation(sides[2]), streams[2])
    sides[2].finish()
    assert streams[2][1].counters.messages_sent == 3 + 1, "each large array with what came before it, and the end"
    sides[1].prefetch()
    before = streams[1][2].counters.messages_received
    results = lockstep({role: operation(sides[role]) for role in (0, 1)})
    assert streams[1][2].counters.messages_received == before == 4
    for side in sides.values():
        if side.role != 2:
            side.finish()
    assert abs(int(results[1][1000]) - 500_000) <= 1


def test_programs_that_differ_from_the_dealers_are_noticed() -> None:
    def short(side: Any) -> Part:
        x = yield from side.input(X if side.role == 0 else None, 0, (N,))
        return (yield from side.mul(x, x))

    def long(side: Any) -> Part:
        x = yield from side.input(X if side.role == 0 else None, 0, (N,))
        yield from side.mul(x, x)
        return (yield from side.mul(x, x))

    sides, _ = make_sides("m2k")
    lockstep({2: long(sides[2])})
    sides[2].finish()
    lockstep({role: short(sides[role]) for role in (0, 1)})
    with pytest.raises(ProtocolAbort, match="no more corrections"):
        sides[1].finish()

    sides, _ = make_sides("m2k")
    lockstep({2: short(sides[2])})
    sides[2].finish()
    with pytest.raises(ProtocolAbort, match=r"expected a correction of 800 bytes .*, found 0"):
        lockstep({role: long(sides[role]) for role in (0, 1)})


def test_the_guest_shares_and_learns() -> None:
    def operation(side: Any) -> Part:
        mine, theirs = yield from parallel(
            side.input(X if side.role == 3 else None, 3, (N,)), side.input(X if side.role == 1 else None, 1, (N,))
        )
        if side.role == 3:
            return (yield from side.reveal(Outline((N,)), [3])), (yield from side.reveal_bits(Outline((N,)), [0, 3]))
        product = yield from side.mul(mine, theirs)
        sign = yield from side.sign(mine)
        return (yield from side.reveal(product, [3])), (yield from side.reveal_bits(sign, [0, 3]))

    def guest(side: Any) -> Part:
        yield from side.input(X, 3, (N,))
        return (yield from side.reveal(Outline((N,)), [3])), (yield from side.reveal_bits(Outline((N,)), [0, 3]))

    results, _ = run_threads("m2k", operation, guest=guest)
    np.testing.assert_array_equal(results[3][0], X * X)
    for role in (0, 3):
        np.testing.assert_array_equal(results[role][1], X.view(np.int64) < 0)
    assert results[1] == results[2] == (None, None)


def test_what_it_refuses() -> None:
    sides, _ = make_sides("m2k")
    side: Any = sides[2]

    def attempt(call: Any) -> None:
        lockstep({2: call})

    x, y = Additive((2, 3), X[:6]), Additive((3,), X[:3])
    bits = Additive((3,), X[:1], bits=True)
    with pytest.raises(ProtocolUseError, match="not of role 2"):
        attempt(side.input(X, 2, (N,)))
    with pytest.raises(ProtocolUseError, match=r"not to the roles \[2\]"):
        attempt(side.reveal(x, [2]))
    for call in (side.mul(x, y), side.dot(x, y), side.dot(x, x), side.select(bits, x), side.conjunction(bits, x)):
        with pytest.raises(ProtocolUseError, match=r"\(2, 3\)"):
            attempt(call)
    for bad in (0, 62):
        with pytest.raises(ProtocolUseError, match=f"1 to 61 bits, found {bad}"):
            attempt(side.truncate(x, bad))
    evaluator: Any = sides[0]
    with pytest.raises(ProtocolUseError, match=r"shape \(4,\) to share, found the shape \(3,\)"):
        lockstep({0: evaluator.input(X[:3], 0, (4,))})
    with pytest.raises(ProtocolUseError, match="found none"):
        lockstep({0: evaluator.input(None, 0, (4,))})
