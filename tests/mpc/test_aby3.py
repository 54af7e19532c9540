# SPDX-License-Identifier: Apache-2.0
"""What is particular to aby3: who hears what in a truncation and a transfer, and sums of bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.mpc.registry import PROTOCOLS
from jali.mpc.rep3.wires import Halves, Replicated
from jali.mpc.rounds import parallel
from tests.mpc.operations import OPERATIONS
from tests.mpc.roles import run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

X = np.arange(-50, 50).view(np.uint64)
N = X.size


def _input(side: Any) -> Part:
    return (yield from side.input(X if side.role == 0 else None, 0, (N,)))


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


def test_a_truncation_is_three_rounds_in_which_one_role_sees_a_masked_value() -> None:
    def operation(side: Any) -> Part:
        return (yield from side.truncate(side.public(X), 3))

    # The masked value and role 2's inputs; role 1's inputs; a product.
    assert _words(operation) == [
        {(2, 1): N, (2, 0): 2 * N},
        {(1, 2): 2 * N},
        {(0, 2): N, (1, 0): N, (2, 1): N},
    ]


@pytest.mark.parametrize("bits", [1, 18, 61])
def test_a_truncation_rounds_up_as_often_as_the_dropped_bits_say(bits: int) -> None:
    """floor(x / 2^f) + e with e = 1 in a share of (x mod 2^f) / 2^f of all cases, wherever the masked value wraps."""
    n, quarters = 4096, np.arange(4)
    edges = np.array([-(2**62), -1 << bits, 0, 2**62 - (1 << bits)], np.int64)
    kept = np.repeat(edges, 4)
    dropped = np.tile(quarters << max(bits - 2, 0) if bits > 1 else quarters % 2, 4)
    x = np.repeat(kept + dropped, n).view(np.uint64)

    def operation(side: Any) -> Part:
        share = yield from side.input(x if side.role == 0 else None, 0, x.shape)
        return (yield from side.reveal((yield from side.truncate(share, bits)), [0]))

    carry = (run_lockstep("aby3", operation)[0].view(np.int64) - (x.view(np.int64) >> bits)).reshape(-1, n)
    assert set(np.unique(carry)) == {0, 1}
    np.testing.assert_allclose(carry.mean(axis=1), dropped / 2.0**bits, atol=6 * 0.5 / np.sqrt(n))


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_but_tables_and_products_in_another_ring_is_in_halves(name: str) -> None:
    def operation(side: Any) -> Part:
        x, y = side.public(X), side.public(X)
        return (yield from OPERATIONS[name](side, x, y))

    dealt = name.startswith(("pieces", "octaves")) or "wide" in name
    assert {type(share) for share in run_lockstep("aby3", operation).values()} == {Halves if dealt else Replicated}


def test_the_sender_of_a_transfer_hears_nothing_and_all_is_said_in_one_round() -> None:
    bits = np.arange(N) % 3 == 0

    def numbers(side: Any) -> Part:
        return (yield from side.to_arithmetic(side.public_bits(bits)))

    assert _words(numbers) == [{(0, 1): 2 * N, (0, 2): 2 * N, (1, 2): N, (2, 1): N}]

    def chosen(side: Any) -> Part:
        x = yield from _input(side)
        return (yield from side.reveal((yield from side.select(side.public_bits(bits), x)), [0, 1, 2]))

    # Roles 0 and 1 are senders: each hears only what it is told as a receiver of the other's transfer.
    last = _words(chosen)[-2]
    assert last == {(0, 1): 2 * N, (0, 2): 3 * N, (1, 0): 2 * N, (1, 2): 3 * N, (2, 0): N, (2, 1): N}
    for found in run_lockstep("aby3", chosen).values():
        np.testing.assert_array_equal(found, np.where(bits, X, 0))


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


def test_it_differs_from_rep3_in_its_circuits_only() -> None:
    aby3, rep3 = PROTOCOLS.get("aby3"), PROTOCOLS.get("rep3")
    own = {name for name in vars(aby3) if not name.startswith("_")}
    assert own == {name for name in vars(rep3) if not name.startswith("_")} == {"name", "threat", "circuits"}
    assert aby3.roles == rep3.roles
