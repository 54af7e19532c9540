# SPDX-License-Identifier: Apache-2.0
"""Replicated shares in rep3 and aby3: who holds which part, halves, the guest, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import ProtocolUseError
from jali.mpc.contract import Outline
from jali.mpc.cost.estimate import estimate
from jali.mpc.rep3.wires import Halves, Replicated
from jali.mpc.rounds import lockstep, parallel
from tests.mpc.operations import OPERATIONS
from tests.mpc.roles import make_sides, run_lockstep, run_threads
from tests.protocol.uniformity import suspicious

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

X = np.arange(-50, 50).view(np.uint64)
N = X.size
REPLICATED = ("rep3", "aby3")


@pytest.mark.parametrize("protocol", REPLICATED)
@pytest.mark.parametrize("name", OPERATIONS)
def test_neighbours_hold_the_same_part(protocol: str, name: str) -> None:
    def operation(side: Any) -> Part:
        a = yield from side.input(X if side.role == 2 else None, 2, (N,))
        b = yield from side.input(X if side.role == 1 else None, 1, (N,))
        result = yield from OPERATIONS[name](side, side.add_public(a, X), side.linear(np.negative, b, shape=(N,)))
        (replicated,) = yield from side._wires.openings.open(result)
        return replicated

    shares = run_lockstep(protocol, operation)
    for role in range(3):
        np.testing.assert_array_equal(shares[role].second, shares[(role + 1) % 3].first)
        assert shares[role].shape == shares[0].shape


@pytest.mark.parametrize("protocol", REPLICATED)
@pytest.mark.parametrize("name", ["truncate", "sign", "is_zero", "to_arithmetic", "select"])
def test_the_two_parts_of_a_result_say_nothing_together(protocol: str, name: str) -> None:
    """Also those parts that a role drew itself, which no message shows."""
    known = (np.arange(1024) % 5 - 2).view(np.uint64)

    def operation(side: Any) -> Part:
        x = yield from side.input(known if side.role == 0 else None, 0, known.shape)
        b = (yield from side.sign(x)) if name in ("select", "to_arithmetic") else x
        given = {"truncate": (x, 1), "select": (b, x)}.get(name, (b,))
        return (yield from side._wires.openings.open((yield from getattr(side, name)(*given))))[0]

    runs = [run_lockstep(protocol, operation, seed=seed) for seed in range(24)]
    for role in range(3):
        first, second = (np.stack([getattr(run[role], part) for run in runs]) for part in ("first", "second"))
        pairs = {"first": first, "second": second, "sum": first + second, "xor": first ^ second}
        assert suspicious(list(pairs.items())) == []


def test_halves_are_replicated_once_and_revealed_as_they_are() -> None:
    def operation(side: Any) -> Part:
        x = yield from side.input(X if side.role == 0 else None, 0, (N,))
        half = yield from side.mul(x, side.public(X << np.uint64(1)), shift=1)
        assert isinstance(half, Halves)
        shifted = side.add_public(side.linear(np.add, half, x, shape=(N,)), X)
        assert isinstance(shifted, Halves)
        first, second = yield from parallel(side.mul(half, half), side.mul(half, x))
        both = side.linear(np.add, first, second, shape=(N,))
        assert isinstance(both, Replicated)
        assert isinstance(side.add_public(half, X), Replicated), "it was opened for the products"
        return (yield from side.reveal(shifted, [0, 1, 2])), (yield from side.reveal(both, [0]))

    results = run_lockstep("rep3", operation)
    for role in range(3):
        carry = results[role][0] - (X * X + X + X)
        assert set(np.unique(carry)) <= {0, 1}
    np.testing.assert_array_equal(results[0][0], results[1][0])
    square = results[0][0] - X - X
    np.testing.assert_array_equal(results[0][1], square * square + square * X)
    cost = estimate("rep3", operation)
    # Input, product, opening, the two products, two reveals.
    assert cost.rounds == 6
    assert cost.bytes_sent["party2"] == 8 * N * (4 + 2)


@pytest.mark.parametrize("protocol", REPLICATED)
@pytest.mark.parametrize("owner", [0, 1, 2])
def test_every_role_may_own_an_input_and_learn_a_result(protocol: str, owner: int) -> None:
    def operation(side: Any) -> Part:
        x = yield from side.input(X if side.role == owner else None, owner, (N,))
        sign = yield from side.sign(x)
        return (yield from side.reveal(x, [owner])), (yield from side.reveal_bits(sign, [(owner + 1) % 3]))

    results = run_lockstep(protocol, operation)
    for role in range(3):
        opened, signs = results[role]
        assert (opened is None) == (role != owner)
        assert (signs is None) == (role != (owner + 1) % 3)
    np.testing.assert_array_equal(results[owner][0], X)
    np.testing.assert_array_equal(results[(owner + 1) % 3][1], X.view(np.int64) < 0)


@pytest.mark.parametrize("protocol", REPLICATED)
def test_the_guest_shares_and_learns(protocol: str) -> None:
    def operation(side: Any) -> Part:
        x = yield from side.input(None, 3, (N,))
        y = yield from side.mul(x, x)
        sign = yield from side.sign(x)
        return (yield from side.reveal(y, [3, 1])), (yield from side.reveal_bits(sign, [3]))

    def guest(side: Any) -> Part:
        yield from side.input(X, 3, (N,))
        return (yield from side.reveal(Outline((N,)), [3, 1])), (yield from side.reveal_bits(Outline((N,)), [3]))

    results, streams = run_threads(protocol, operation, guest=guest)
    for role in (1, 3):
        np.testing.assert_array_equal(results[role][0], X * X)
    np.testing.assert_array_equal(results[3][1], X.view(np.int64) < 0)
    assert results[0] == results[2] == (None, None)
    assert streams[3][2].counters.messages_received == 0


@pytest.mark.parametrize("protocol", REPLICATED)
def test_what_they_refuse(protocol: str) -> None:
    sides, _ = make_sides(protocol)
    side: Any = sides[0]

    def attempt(call: Any) -> None:
        lockstep({0: call})

    x, y = side.public(X[:6].reshape(2, 3)), side.public(X[:3])
    bits = side.public_bits(np.ones(3, np.bool_))
    with pytest.raises(ProtocolUseError, match=f"{protocol} takes .* not of role 4"):
        attempt(side.input(X, 4, (N,)))
    with pytest.raises(ProtocolUseError, match=r"shape \(4,\) to share, found none"):
        attempt(side.input(None, 0, (4,)))
    with pytest.raises(ProtocolUseError, match=r"not to the roles \[4\]"):
        attempt(side.reveal(x, [4]))
    calls = [(side.mul, x, y), (side.dot, x, y), (side.dot, x, x), (side.select, bits, x)]
    for operation, a, b in [*calls, (side.conjunction, bits, x), (side.xor, bits, x)]:
        with pytest.raises(ProtocolUseError, match=r"\(2, 3\)"):
            attempt(operation(a, b))
    for bad in (0, 62):
        with pytest.raises(ProtocolUseError, match=f"1 to 61 bits, found {bad}"):
            attempt(side.truncate(x, bad))
