# SPDX-License-Identifier: Apache-2.0
"""What is particular to aby3: halves are compared as they are, and the sender of a transfer hears nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.mpc.estimate import estimate
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rep3_wires import Halves, Replicated
from jali.mpc.rounds import parallel
from tests.mpc.roles import run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

X = np.arange(-50, 50).view(np.uint64)
N = X.size


def _input(side: Any) -> Part:
    return (yield from side.input(X if side.role == 0 else None, 0, (N,)))


def _halves(side: Any) -> Part:
    share = yield from side.mul((yield from _input(side)), side.public(np.full(N, 6, np.uint64)), shift=1)
    assert isinstance(share, Halves)
    return share


def _words(operation: Callable[[Any], Part]) -> list[dict[tuple[int, int], int]]:
    """Words by sender and receiver, round by round."""
    seen: list[dict[tuple[int, int], int]] = []

    def observe(rounds: Mapping[int, Round]) -> None:
        sent = {
            (sender, receiver): sum(array.size for array in arrays)
            for sender, round_ in rounds.items()
            for receiver, arrays in round_.send.items()
        }
        seen.append({pair: size for pair, size in sent.items() if size})

    run_lockstep("aby3", operation, observe=observe)
    return seen


@pytest.mark.parametrize("opened", [False, True])
def test_halves_are_compared_in_the_same_rounds_as_replicated_values(*, opened: bool) -> None:
    def operation(side: Any) -> Part:
        half = yield from _halves(side)
        if opened:
            yield from side.mul(half, half)
        negative, zero = yield from parallel(side.sign(half), side.is_zero(half))
        return (yield from side.reveal_bits(negative, [0])), (yield from side.reveal_bits(zero, [0]))

    negative, zero = run_lockstep("aby3", operation)[0]
    value = X.view(np.int64)
    # Truncation may add 1, so -1 becomes 0 at most: 3 x is never -1.
    np.testing.assert_array_equal(negative[value != 0], (value < 0)[value != 0])
    assert not zero[value != 0].any()
    # Input, product, sign, reveals of both; when it was opened, the opening and the square besides.
    cost = estimate("aby3", operation)
    assert cost.rounds == 1 + 1 + 8 + 2 + 2 * opened
    bits_of_1 = sum(sent.get((1, 2), 0) for sent in _words(operation))
    assert bits_of_1 == (0 if opened else 2 * 64 * 2), "role 1 shares its own bits only while it alone knows its half"


def test_comparing_does_not_open_halves() -> None:
    def operation(side: Any) -> Part:
        half = yield from _halves(side)
        yield from side.sign(half)
        return len(side._wires.openings)

    assert set(run_lockstep("aby3", operation).values()) == {0}


@pytest.mark.parametrize("halves", [False, True])
def test_the_sender_of_a_transfer_hears_nothing_and_all_is_said_in_one_round(*, halves: bool) -> None:
    bits = np.arange(N) % 3 == 0

    def numbers(side: Any) -> Part:
        return (yield from side.to_arithmetic(side.public_bits(bits)))

    assert _words(numbers) == [{(0, 1): 2 * N, (0, 2): 2 * N, (1, 2): N, (2, 1): N}]

    def chosen(side: Any) -> Part:
        x = yield from (_halves if halves else _input)(side)
        return (yield from side.reveal((yield from side.select(side.public_bits(bits), x)), [0, 1, 2]))

    # Roles 0 and 1 are senders: each hears only what it is told as a receiver of the other's transfer.
    last = _words(chosen)[-2]
    assert last == {(0, 1): 2 * N, (0, 2): 3 * N, (1, 0): 2 * N, (1, 2): 3 * N, (2, 0): N, (2, 1): N}
    for found in run_lockstep("aby3", chosen).values():
        expected = np.where(bits, X * np.uint64(3) if halves else X, 0)
        assert set(np.unique((found - expected).view(np.int64))) <= ({0, 1} if halves else {0})


def test_every_carry_chain() -> None:
    """Carries that start at any bit and run to any other."""
    one = np.uint64(1) << np.arange(64, dtype=np.uint64)
    ends = np.concatenate([one, np.negative(one), one - np.uint64(1)])
    u, v = (part.reshape(-1) for part in np.meshgrid(ends, ends))
    zero = np.zeros_like(u)
    held = {0: (u, zero), 1: (zero, v), 2: (v, u)}

    def operation(side: Any) -> Part:
        x = Replicated(u.shape, *held[side.role])
        negative, equal = yield from parallel(side.sign(x), side.is_zero(x))
        return (yield from parallel(side.reveal_bits(negative, [1]), side.reveal_bits(equal, [1])))

    negative, equal = run_lockstep("aby3", operation)[1]
    np.testing.assert_array_equal(negative, (u + v).view(np.int64) < 0)
    np.testing.assert_array_equal(equal, u + v == 0)


def test_it_differs_from_rep3_in_comparison_only() -> None:
    aby3, rep3 = PROTOCOLS.get("aby3"), PROTOCOLS.get("rep3")
    own = {name for name in vars(aby3) if not name.startswith("_")}
    assert own == {name for name in vars(rep3) if not name.startswith("_")} == {"name", "threat", "circuits"}
    assert aby3.roles == rep3.roles
