# SPDX-License-Identifier: Apache-2.0
"""What m3k adds to m2k: a dealer that owns data and learns results, and nothing else of what it hears."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import ProtocolAbort, ProtocolUseError
from jali.core.threat import Cost
from jali.crypto.prg import Prg
from jali.mpc.contract import Outline
from jali.mpc.cost.estimate import estimate
from jali.mpc.m2k.shares import Additive, Masked
from jali.mpc.rounds import drive, parallel
from tests.mpc.roles import make_sides, run_lockstep, run_threads
from tests.protocol.uniformity import contrasts, differing, suspicious, views_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

N = 320
X = np.arange(-160, 160).view(np.uint64)
DEALER = 2
EVERYBODY = [0, 1, 2]


def own(side: Any, value: NDArray[np.uint64], owner: int) -> Part:
    return (yield from side.input(value if side.role == owner else None, owner, value.shape))


def of_all_three(side: Any) -> Part:
    """A masked value and an additive one, in numbers and in bits, each of which depends on the inputs of all."""
    a, b, c = yield from parallel(*(own(side, X + np.uint64(owner), owner) for owner in EVERYBODY))
    total = side.linear(lambda *parts: sum(parts), a, b, c, shape=(N,))
    product = yield from side.mul((yield from side.mul(a, b)), c)
    sign = yield from side.sign(total)
    known = side.public_bits(np.arange(N) % 3 == 0)
    return total, product, sign, known


@pytest.mark.parametrize("run", ["one thread", "a thread each"])
def test_all_three_own_data_and_learn_results(run: str) -> None:
    def operation(side: Any) -> Part:
        total, product, sign, known = yield from of_all_three(side)
        assert (type(total), type(product), type(sign)) == (Masked, Additive, Additive)
        reveals = [side.reveal(x, EVERYBODY) for x in (total, product)]
        return (yield from parallel(*reveals, *(side.reveal_bits(bits, EVERYBODY) for bits in (sign, known))))

    results = run_lockstep("m3k", operation) if run == "one thread" else run_threads("m3k", operation)[0]
    total = X * np.uint64(3) + np.uint64(3)
    for role in EVERYBODY:
        np.testing.assert_array_equal(results[role][0], total)
        np.testing.assert_array_equal(results[role][1], X * (X + np.uint64(1)) * (X + np.uint64(2)))
        np.testing.assert_array_equal(results[role][2], total.view(np.int64) < 0)
        np.testing.assert_array_equal(results[role][3], np.arange(N) % 3 == 0)


def test_a_dealer_that_waits_has_sent_what_the_evaluators_need_first() -> None:
    """Corrections are gathered into large messages; a reveal to the dealer must not wait for one of those."""

    def chain(side: Any, x: Any) -> Part:
        for _ in range(3):
            x = yield from side.mul(x, x, shift=8)
        return (yield from side.reveal(x, EVERYBODY))

    def operation(side: Any) -> Part:
        x = yield from own(side, X, DEALER)
        first, *rest = yield from parallel(side.reveal(x, [DEALER]), chain(side, x), chain(side, x))
        return first, rest

    results, streams = run_threads("m3k", operation)
    np.testing.assert_array_equal(results[DEALER][0], X)
    for one in results[DEALER][1]:
        np.testing.assert_allclose(one.view(np.int64), (X.view(np.int64) / 256.0) ** 8 * 256, atol=4)
    assert 2 < streams[DEALER][1].counters.messages_sent < 12, "gathered, except while it waits"


def test_the_guest_has_its_part_beside_the_dealer() -> None:
    def operation(side: Any) -> Part:
        x, y = yield from parallel(side.input(X if side.role == 3 else None, 3, (N,)), own(side, X, DEALER))
        shown = Outline((N,)) if side.role == 3 else side.linear(np.add, x, y, shape=(N,))
        return (yield from side.reveal(shown, [1, DEALER, 3]))

    results, _ = run_threads("m3k", operation, guest=operation)
    assert results[0] is None
    for role in (1, DEALER, 3):
        np.testing.assert_array_equal(results[role], X + X)


def test_what_the_dealers_data_costs() -> None:
    def shared(side: Any) -> Part:
        return (yield from own(side, X, DEALER))

    def masked(side: Any) -> Part:
        return (yield from side.reveal((yield from shared(side)), [DEALER]))

    def additive(side: Any) -> Part:
        x = yield from shared(side)
        return (yield from side.reveal((yield from side.mul(x, x)), [DEALER]))

    def cost(rounds: int, evaluators: tuple[int, int], dealt: int = 0) -> Cost:
        sent = dict(zip(("evaluator0", "evaluator1"), evaluators, strict=True))
        return Cost(rounds=rounds, bytes_sent={**sent, "dealer": 16 * N}, offline_bytes=dealt)

    for operation, expected in (
        (shared, cost(1, (0, 0))),
        (masked, cost(2, (8 * N, 0))),
        (additive, cost(2, (8 * N, 8 * N), 8 * N)),
    ):
        assert estimate("m3k", operation) == expected
        _, streams = run_threads("m3k", operation)
        sent = {role: sum(stream.counters.bytes_sent for stream in own_.values()) for role, own_ in streams.items()}
        sent[DEALER] -= expected.offline_bytes
        assert list(sent.values()) == list(expected.bytes_sent.values())


PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/protocols/m3k.md"
COSTS = {
    "input of the dealer": ((0, 0, 16), 0),
    "reveal of a masked number to the dealer": ((8, 0, 0), 1),
    "reveal of an additive number to the dealer": ((8, 8, 0), 2),
}


@pytest.mark.parametrize("row", COSTS)
def test_the_page_has_these_costs(row: str) -> None:
    """Bytes for one element: evaluators 0 and 1, the dealer."""

    def shared(side: Any) -> Part:
        return (yield from own(side, X, DEALER))

    def prepared(side: Any) -> Part:
        x = yield from shared(side)
        return x if COSTS[row][1] < 2 else (yield from side.mul(x, x))

    def revealed(side: Any) -> Part:
        return (yield from side.reveal((yield from prepared(side)), [DEALER]))

    sent, kind = COSTS[row]
    whole, before = estimate("m3k", revealed if kind else shared), estimate("m3k", prepared)
    found = [
        (whole.bytes_sent[role] - bool(kind) * before.bytes_sent[role]) // N
        for role in ("evaluator0", "evaluator1", "dealer")
    ]
    assert tuple(found) == sent
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text("utf-8").splitlines()]
    [cells] = [line for line in lines if line[0] == row]
    expected = ["1", *{0: ("0", "8 to each evaluator"), 1: ("evaluator 0: 8", "0"), 2: ("8", "0")}[kind]]
    assert cells[1:] == expected


# -- who sees what --------------------------------------------------------------------------------------------------


def sum_and_product(x: NDArray[np.uint64], y: NDArray[np.uint64]) -> Callable[[Any], Part]:
    """The dealer owns z and learns x + y (masked), x y and the sign of that (additive); it should learn no more."""

    def operation(side: Any) -> Part:
        a, b, c = yield from parallel(own(side, x, 0), own(side, y, 1), own(side, X, DEALER))
        product = yield from side.mul(a, b)
        sign = yield from side.sign(product)
        yield from side.mul(product, c, shift=18)
        total = side.linear(np.add, a, b, shape=(N,))
        return (
            (yield from side.reveal(total, [DEALER])),
            (yield from side.reveal(product, [DEALER])),
            (yield from side.reveal_bits(sign, [DEALER])),
        )

    return operation


RUNS = 48
TWO_WAYS = {"first": (X, -X - np.uint64(7)), "second": (-X - np.uint64(7), X)}
"""Two pairs of secrets with one sum and one product, so that the dealer must not tell them apart."""


def views(way: str) -> dict[int, list[list[NDArray[np.uint64]]]]:
    offset = 1000 if way == "second" else 0
    operation = sum_and_product(*TWO_WAYS[way])
    runs = [views_of("m3k", operation, seed=seed + offset) for seed in range(RUNS)]
    x, y = TWO_WAYS[way]
    for _, results in runs:
        np.testing.assert_array_equal(results[DEALER][0], x + y)
        np.testing.assert_array_equal(results[DEALER][1], x * y)
        np.testing.assert_array_equal(results[DEALER][2], (x * y).view(np.int64) < 0)
    return {role: [run[role] for run, _ in runs] for role in EVERYBODY}


def test_the_dealer_sees_the_results_only() -> None:
    first, second = views("first"), views("second")
    assert [message.size for message in first[DEALER][0]] == [N, N, N, N // 64, N // 64]
    one, other = list(contrasts(first[DEALER])), list(contrasts(second[DEALER]))
    assert differing([(what, a, b) for (what, a), (_, b) in zip(one, other, strict=True)]) == []
    # Each of the five is uniform; the two halves of a product are not independent, for it is their sum.
    assert suspicious([sample for sample in one if "-" not in sample[0] and "^" not in sample[0]]) == []


def test_evaluators_see_uniform_words_of_the_dealers_data() -> None:
    first, second = views("first"), views("second")
    for role in (0, 1):
        one, other = list(contrasts(first[role])), list(contrasts(second[role]))
        assert suspicious(one) == suspicious(other) == []
        assert differing([(what, a, b) for (what, a), (_, b) in zip(one, other, strict=True)]) == []


class NotRefreshed(Prg):
    """A broken generator: the two evaluators draw zeros."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.broken = key[-2:] == bytes([0, 1])

    def add(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        return x if self.broken else super().add(x, nonce)

    def sub(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        return x if self.broken else super().sub(x, nonce)


@pytest.mark.parametrize("generator", [Prg, NotRefreshed])
def test_a_dealer_that_is_shown_a_share_as_it_is_learns_an_input(generator: type[Prg]) -> None:
    """The reason why additive shares are made fresh for it: evaluator 0's part of x y is (y + ly) x + g_0."""
    seed, (x, y) = 5, TWO_WAYS["first"]
    (_, half, *_), results = (
        views_of("m3k", sum_and_product(x, y), seed=seed, generator=generator)[0][DEALER],
        views_of("m3k", sum_and_product(x, y), seed=seed)[1],
    )
    first, second = (Prg(_key(seed, role)) for role in (0, 1))
    # What the dealer knows: g_0 is the fourth thing that is drawn, after the masks of three inputs, and ly the second.
    found = half - first.words(3, N) - results[DEALER][1]
    assert np.array_equal(found, x * second.words(1, N)) == (generator is NotRefreshed)


def test_the_simulator_of_the_dealer_makes_its_view_from_the_results() -> None:
    """x + lam from x and the dealer's own generators; of the fresh halves, one from their sum and the other."""
    seed = 5
    found, results = views_of("m3k", sum_and_product(*TWO_WAYS["first"]), seed=seed)
    masked, half, other, bits, more_bits = found[DEALER]
    # The masks of the inputs of evaluators 0 and 1 are the first two words that they draw with the dealer.
    lam = Prg(_key(seed, 0)).words(0, N) + Prg(_key(seed, 1)).words(1, N)
    np.testing.assert_array_equal(masked, results[DEALER][0] + lam)
    np.testing.assert_array_equal(half, results[DEALER][1] - other)
    packed = np.packbits(results[DEALER][2], bitorder="little").view(np.uint64)
    np.testing.assert_array_equal(bits, packed ^ more_bits)


def _key(seed: int, role: int) -> bytes:
    """As `make_sides` makes it, for an evaluator and the dealer."""
    return seed.to_bytes(14, "little") + bytes([role, DEALER])


# -- what it refuses ------------------------------------------------------------------------------------------------


def test_a_message_of_the_wrong_length_to_or_from_the_dealer_aborts() -> None:
    def operation(side: Any) -> Part:
        return (yield from side.reveal((yield from own(side, X, DEALER)), [DEALER]))

    def longer(side: Any) -> Part:
        yield from side.input(np.zeros(N + 1, np.uint64), DEALER, (N + 1,))

    sides, streams = make_sides("m3k")
    liar = threading.Thread(target=lambda: drive(longer(sides[DEALER]), streams[DEALER]), daemon=True)
    liar.start()
    with pytest.raises(ProtocolAbort, match=rf"expected {8 * N} bytes from 'role 2' in this round, found {8 * N + 8}"):
        drive(operation(sides[0]), streams[0])
    liar.join(30)

    sides, streams = make_sides("m3k")
    streams[0][DEALER].send(b"\0" * (8 * N + 8))
    with pytest.raises(ProtocolAbort, match=rf"from 'role 0' in this round, found {8 * N + 8}"):
        drive(operation(sides[DEALER]), streams[DEALER])


def test_roles_that_it_does_not_have_are_refused() -> None:
    sides, _ = make_sides("m3k")
    with pytest.raises(ProtocolUseError, match="m3k takes inputs of roles 0, 1, 2 and of the guest, not of role 4"):
        drive(sides[0].input(X, 4, (N,)), {})
    with pytest.raises(ProtocolUseError, match=r"m3k reveals to roles 0, 1, 2 and the guest, not to the roles \[4\]"):
        drive(sides[0].reveal(Additive((N,), X), [4]), {})
