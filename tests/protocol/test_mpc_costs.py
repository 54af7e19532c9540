# SPDX-License-Identifier: Apache-2.0
"""Rounds and bytes: the counters of real streams equal the estimator, and both equal the table below."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.threat import Cost
from jali.mpc.contract import Outline
from jali.mpc.cost.estimate import estimate
from tests.mpc.operations import OPERATIONS, on_inputs
from tests.mpc.roles import DEALT, SECURE, run_lockstep, run_threads

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

N = 640  # ten words of bits
PARTIES = ("party0", "party1", "party2")
EVALUATORS_AND_DEALER = ("evaluator0", "evaluator1", "dealer")
ROLES = {"m2k": EVALUATORS_AND_DEALER, "m3k": EVALUATORS_AND_DEALER, "rep3": PARTIES, "aby3": PARTIES}

OF_PAGES = ["truncate", "sign", "is_zero", "compare_with_zero", "conjunction", "to_arithmetic", "select"]

# Without the inputs: rounds, bytes that each role sends, bytes dealt.
GOLDEN: dict[str, dict[str, tuple[int, tuple[int, int, int], int]]] = {
    "m2k": {
        "mul": (0, (0, 0, 0), 5120),
        "mul of sums": (0, (0, 0, 0), 10240),
        "mul, shifted": (1, (5120, 5120, 0), 15360),
        "square, shifted": (1, (5120, 5120, 0), 15360),
        "square of a product": (1, (5120, 5120, 0), 10240),
        "dot": (0, (0, 0, 0), 16),
        "dot, shifted": (1, (16, 16, 0), 48),
        "mul, wide": (2, (30720, 30720, 0), 46080),
        "square, wide": (2, (20480, 20480, 0), 30720),
        "mul, wide, exact": (5, (32400, 32400, 0), 64480),
        "mul, wide, truncated": (3, (25600, 25600, 0), 40960),
        "dot, wide": (2, (30752, 30752, 0), 46128),
        "truncate": (0, (0, 0, 0), 10240),
        "truncate a product": (1, (5120, 5120, 0), 15360),
        # After that product and its truncation: 4 B for the difference, two comparisons of 32 bits, two conversions.
        "round a product": (5, (11040, 11040, 0), 42640),
        "sign": (2, (3200, 3200, 0), 28080),
        "sign of a product": (3, (8320, 8320, 0), 33200),
        "sign of 32 bits": (2, (1600, 1600, 0), 13360),
        "sign of 16 bits": (1, (640, 640, 0), 6640),
        "sign of 16 bits, truncated": (2, (1920, 1920, 0), 16880),
        "is_zero of 32 bits": (2, (800, 800, 0), 11440),
        "is_zero of 16 bits": (1, (320, 320, 0), 5680),
        "at_least": (2, (9600, 9600, 0), 45680),
        "all_of": (4, (16560, 16560, 0), 65920),
        "pieces": (0, (0, 0, 0), 245760),
        "octaves": (0, (0, 0, 0), 163840),
        "octaves of a product": (1, (5120, 5120, 0), 168960),
        "is_zero": (2, (1600, 1600, 0), 23600),
        "conjunction": (5, (6560, 6560, 0), 56240),
        "to_arithmetic": (3, (3280, 3280, 0), 33200),
        "select": (3, (8400, 8400, 0), 43440),
        "compare_with_zero": (2, (3200, 3200, 0), 28080),
        "shuffle": (1, (10240, 0, 0), 20480),
        "shuffle of a product": (2, (10240, 10240, 0), 25600),
        # Two columns shuffled; 1280 differences of both, two trees (that of places in 16 bits), two bits opened and one
        # revealed.
        "sort": (6, (31200, 20960, 0), 90080),
        # A sign as a number; it is opened, multiplied, three columns shuffled (one not masked yet), places revealed.
        "sort by bits": (7, (28880, 18640, 0), 69040),
        "sort by digits": (12, (89920, 79680, 0), 149440),
    },
    "rep3": {
        "mul": (1, (5120, 5120, 5120), 0),
        "mul of sums": (2, (10240, 10240, 10240), 0),
        "mul, shifted": (1, (5120, 5120, 20480), 0),
        "square, shifted": (1, (5120, 5120, 20480), 0),
        "square of a product": (2, (10240, 10240, 10240), 0),
        "dot": (1, (16, 16, 16), 0),
        "dot, shifted": (1, (16, 16, 64), 0),
        "mul, wide": (3, (30720, 30720, 66560), 0),
        "square, wide": (3, (20480, 20480, 40960), 0),
        "mul, wide, exact": (6, (32400, 32400, 84960), 0),
        "mul, wide, truncated": (4, (25600, 25600, 51200), 0),
        "dot, wide": (3, (30752, 30752, 76848), 0),
        "truncate": (1, (0, 0, 20480), 0),
        "truncate a product": (2, (5120, 5120, 25600), 0),
        "round a product": (6, (11040, 11040, 52880), 0),
        "sign": (3, (3200, 3200, 38320), 0),
        "sign of a product": (4, (8320, 8320, 43440), 0),
        "sign of 32 bits": (3, (1600, 1600, 18480), 0),
        "sign of 16 bits": (2, (640, 640, 9200), 0),
        "sign of 16 bits, truncated": (3, (1920, 1920, 27120), 0),
        "is_zero of 32 bits": (3, (800, 800, 16560), 0),
        "is_zero of 16 bits": (2, (320, 320, 8240), 0),
        "at_least": (3, (9600, 9600, 55920), 0),
        "all_of": (7, (16720, 16720, 73840), 0),
        "pieces": (1, (0, 0, 256000), 0),
        "octaves": (1, (0, 0, 174080), 0),
        "octaves of a product": (2, (5120, 5120, 179200), 0),
        "is_zero": (3, (1600, 1600, 33840), 0),
        "conjunction": (8, (6640, 6640, 76720), 0),
        "to_arithmetic": (4, (3280, 3280, 43440), 0),
        "select": (5, (13520, 13520, 53680), 0),
        "compare_with_zero": (3, (3200, 3200, 38320), 0),
        "shuffle": (3, (20480, 10240, 10240), 0),
        "shuffle of a product": (4, (25600, 15360, 15360), 0),
        "sort": (9, (28960, 18720, 105440), 0),
        "sort by bits": (10, (54480, 39120, 69040), 0),
        "sort by digits": (16, (130880, 95040, 134080), 0),
    },
    "aby3": {
        "mul": (1, (5120, 5120, 5120), 0),
        "mul of sums": (2, (10240, 10240, 10240), 0),
        "mul, shifted": (4, (10240, 20480, 25600), 0),
        "square, shifted": (4, (10240, 20480, 25600), 0),
        "square of a product": (2, (10240, 10240, 10240), 0),
        "dot": (1, (16, 16, 16), 0),
        "dot, shifted": (4, (32, 64, 80), 0),
        "mul, wide": (3, (30720, 30720, 66560), 0),
        "square, wide": (3, (20480, 20480, 40960), 0),
        "mul, wide, exact": (7, (52880, 37520, 84960), 0),
        "mul, wide, truncated": (6, (25600, 35840, 61440), 0),
        "dot, wide": (3, (30752, 30752, 76848), 0),
        # A masked value and two inputs, two inputs more, a product.
        "truncate": (3, (5120, 15360, 20480), 0),
        "truncate a product": (4, (10240, 20480, 25600), 0),
        "round a product": (12, (70400, 44800, 49920), 0),
        # Role 0's bits in a round; 63 carries in the next; then 63 + 31 + 15 + 7 + 3 + 1 products in six.
        "sign": (8, (19760, 14640, 14640), 0),
        "sign of a product": (9, (24880, 19760, 19760), 0),
        "sign of 32 bits": (7, (9600, 7040, 7040), 0),
        "sign of 16 bits": (6, (4560, 3280, 3280), 0),
        "sign of 16 bits, truncated": (9, (9680, 18640, 23760), 0),
        "is_zero of 32 bits": (6, (5040, 2480, 2480), 0),
        "is_zero of 16 bits": (5, (2480, 1200, 1200), 0),
        "at_least": (8, (59280, 43920, 43920), 0),
        "all_of": (11, (99120, 73520, 73520), 0),
        "pieces": (1, (0, 0, 256000), 0),
        "octaves": (1, (0, 0, 174080), 0),
        "octaves of a product": (2, (5120, 5120, 179200), 0),
        # 32 + 16 + 8 + 4 + 2 + 1 products.
        "is_zero": (7, (10160, 5040, 5040), 0),
        "conjunction": (17, (39600, 29360, 29360), 0),
        "to_arithmetic": (9, (40240, 19760, 19760), 0),
        "select": (10, (50480, 45360, 30000), 0),
        # As "sign", with the pair of the lowest digit at each of six levels.
        "compare_with_zero": (8, (20240, 15120, 15120), 0),
        "shuffle": (3, (20480, 10240, 10240), 0),
        "shuffle of a product": (4, (25600, 15360, 15360), 0),
        "sort": (13, (70400, 47360, 47360), 0),
        "sort by bits": (14, (81200, 45360, 45360), 0),
        "sort by digits": (19, (212800, 110400, 110400), 0),
    },
}

GOLDEN["m3k"] = GOLDEN["m2k"]


def inputs() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = np.random.default_rng(0).integers(-(2**28), 2**28, (2, N)).view(np.uint64)
    return words[0], words[1]


def measured(protocol: str, name: str) -> Cost:
    """What the streams' counters say, and how many rounds had a message."""
    x, y = inputs()
    rounds = [0]

    def observe(current: Mapping[int, Round]) -> None:
        rounds[0] += any(array.size for round_ in current.values() for sent in round_.send.values() for array in sent)

    run_lockstep(protocol, on_inputs(name, x, y, (N,)), observe=observe)
    _, streams = run_threads(protocol, on_inputs(name, x, y, (N,)))
    dealt = streams[2][1].counters.bytes_sent if protocol in DEALT else 0
    sent = {role: sum(stream.counters.bytes_sent for stream in streams[role].values()) for role in range(3)}
    sent[2] -= dealt
    return Cost(
        rounds=rounds[0], bytes_sent={ROLES[protocol][role]: size for role, size in sent.items()}, offline_bytes=dealt
    )


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("name", OPERATIONS)
def test_measured_predicted_and_documented_costs_are_equal(protocol: str, name: str) -> None:
    predicted = estimate(protocol, on_inputs(name, None, None, (N,)))
    assert measured(protocol, name) == predicted
    before = estimate(protocol, _only_inputs)
    rounds, sent, dealt = GOLDEN[protocol][name]
    assert predicted.rounds - before.rounds == rounds
    assert predicted.offline_bytes == dealt
    assert tuple(predicted.bytes_sent[role] - before.bytes_sent[role] for role in ROLES[protocol]) == sent


@pytest.mark.parametrize("protocol", ["rep3", "aby3"])
@pytest.mark.parametrize("name", OF_PAGES)
def test_the_page_of_a_protocol_has_its_costs(protocol: str, name: str) -> None:
    """Bytes for one element, to the digit that the page gives."""
    row = _row(protocol, name)
    cost = _alone(protocol, name)
    assert int(row[1]) == cost.rounds
    for cell, role in zip(row[2:5], PARTIES, strict=True):
        assert float(Fraction(cell.split()[0])) == pytest.approx(cost.bytes_sent[role] / N, abs=0.051)


@pytest.mark.parametrize("name", OF_PAGES)
def test_the_page_of_aby3_compares_it_with_rep3(name: str) -> None:
    rounds, size = _row("aby3", name)[5:7]
    cost = _alone("rep3", name)
    assert int(rounds) == cost.rounds
    assert float(Fraction(size)) == pytest.approx(sum(cost.bytes_sent.values()) / N, abs=0.051)


def _row(protocol: str, name: str) -> list[str]:
    page = Path(__file__).resolve().parents[2] / f"docs/explanation/protocols/{protocol}.md"
    rows = [line.strip("| ").split(" | ") for line in page.read_text("utf-8").splitlines()]
    (row,) = [row for row in rows if row[0] == name and row[1].isdigit()]
    return row


def _alone(protocol: str, name: str) -> Cost:
    """One operation on a replicated number, on bits or on both."""
    bits = np.zeros(N, np.bool_)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        x, b = side.public(np.zeros(N, np.uint64)), side.public_bits(bits)
        given = {"truncate": (x, 18), "conjunction": (b, b), "to_arithmetic": (b,), "select": (b, x)}.get(name, (x,))
        return (yield from getattr(side, name)(*given))

    return estimate(protocol, operation)


def _only_inputs(side: Any) -> Generator[Round, Any, None]:
    yield from side.input(None, 0, (N,))
    yield from side.input(None, 1, (N,))


@pytest.mark.parametrize("protocol", SECURE)
def test_what_the_guest_costs(protocol: str) -> None:
    x, _ = inputs()

    def operation(side: Any) -> Generator[Round, Any, Any]:
        a = yield from side.input(x if side.role == 3 else None, 3, (N,))
        return (yield from side.reveal(Outline((N,)) if side.role == 3 else a, [3]))

    predicted = estimate(protocol, operation, guest=operation)
    results, streams = run_threads(protocol, operation, guest=operation)
    names = [*ROLES[protocol], "guest"]
    sent = {names[role]: sum(stream.counters.bytes_sent for stream in own.values()) for role, own in streams.items()}
    assert predicted == Cost(rounds=2, bytes_sent=sent)
    assert sent["guest"] == {"m2k": 8 * N, "m3k": 8 * N, "rep3": 32 * N, "aby3": 32 * N}[protocol]
    np.testing.assert_array_equal(results[3], x)
    assert [results[role] for role in range(3)] == [None] * 3


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("owner", [0, 1, 3])
def test_bits_cost_a_64th_of_numbers_to_share(protocol: str, owner: int) -> None:
    bits = np.arange(N) % 3 == 0

    def operation(side: Any) -> Generator[Round, Any, Any]:
        shared = yield from side.input_bits(bits if side.role == owner else None, owner, (N,))
        return (yield from side.reveal_bits(Outline((N,)) if side.role == 3 else shared, [0, 3]))

    def numbers(side: Any) -> Generator[Round, Any, Any]:
        shared = yield from side.input(None, owner, (N,))
        return (yield from side.reveal(Outline((N,)) if side.role == 3 else shared, [0, 3]))

    predicted = estimate(protocol, operation, guest=operation)
    results, streams = run_threads(protocol, operation, guest=operation)
    names = [*ROLES[protocol], "guest"]
    sent = {names[role]: sum(stream.counters.bytes_sent for stream in own.values()) for role, own in streams.items()}
    assert predicted == Cost(rounds=2, bytes_sent=sent)
    of_numbers = estimate(protocol, numbers, guest=numbers).bytes_sent
    assert sent == {name: size // 64 for name, size in of_numbers.items()}
    for role in (0, 3):
        np.testing.assert_array_equal(results[role], bits)


def test_the_estimator_needs_no_memory() -> None:
    """A petabyte matrix product, priced at once."""
    side = 2**22

    def operation(role: Any) -> Generator[Round, Any, Any]:
        x = yield from role.input(None, 0, (side, side))
        return (yield from role.dot(x, x, shift=18))

    assert estimate("m2k", operation).offline_bytes == 24 * side * side
    assert estimate("rep3", operation).bytes_sent["party2"] == 32 * side * side


def test_one_role_alone_sends_nothing() -> None:
    assert estimate("plain", _only_inputs) == Cost(rounds=0, bytes_sent={"reference": 0})
