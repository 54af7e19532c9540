# SPDX-License-Identifier: Apache-2.0
"""Random programs mix the states of shares, run operations side by side, and are exact and priced exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.mpc.cost.estimate import estimate
from jali.mpc.rounds import parallel
from tests.mpc.roles import SECURE, run_lockstep, run_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

SHAPE = (7,)
MIX = np.uint64(0x9E3779B97F4A7C15)

LOCAL = ("difference", "scaled", "shifted", "reversed", "flip", "xor", "rotate", "known")
INTERACTIVE = ("mul", "dot", "sign", "is_zero", "conjunction", "to_arithmetic", "select")

# A step is some operations side by side, each with the numbers of its operands (taken modulo what there is).
Steps = list[list[tuple[str, int, int]]]
operand = st.integers(0, 50)
steps = st.lists(
    st.lists(st.tuples(st.sampled_from(LOCAL + INTERACTIVE), operand, operand), min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)
words = st.lists(st.integers(0, 2**64 - 1), min_size=7, max_size=7).map(lambda v: np.array(v, np.uint64))


def in_clear(name: str, a: Any, b: Any, p: Any, q: Any) -> NDArray[Any]:
    """The operation on arrays: numbers a and b, bits p and q."""
    results: dict[str, Callable[[], Any]] = {
        "difference": lambda: a - b,
        "scaled": lambda: a * MIX,
        "shifted": lambda: a + MIX,
        "reversed": lambda: a[::-1],
        "flip": lambda: ~p,
        "xor": lambda: p ^ q,
        "rotate": lambda: np.roll(p, 1),
        "known": lambda: a >= 0,
        "mul": lambda: a * b,
        "dot": lambda: np.outer(a, b)[:, 3],
        "sign": lambda: a >> np.uint64(63) != 0,
        "is_zero": lambda: a - b == 0,
        "conjunction": lambda: p & q,
        "to_arithmetic": lambda: p.astype(np.uint64),
        "select": lambda: np.where(p, a, np.uint64(0)),
    }
    result: NDArray[Any] = results[name]()
    return result


def on_shares(side: Any, name: str, a: Any, b: Any, p: Any, q: Any) -> Part:
    if name == "dot":
        column = side.linear(lambda x: x.reshape(7, 1), a, shape=(7, 1))
        row = side.linear(lambda x: x.reshape(1, 7), b, shape=(1, 7))
        product = yield from side.dot(column, row)
        return side.linear(lambda x: x[:, 3], product, shape=SHAPE)
    if name in INTERACTIVE:
        calls = {
            "mul": lambda: side.mul(a, b),
            "sign": lambda: side.sign(a),
            "is_zero": lambda: side.is_zero(side.linear(np.subtract, a, b, shape=SHAPE)),
            "conjunction": lambda: side.conjunction(p, q),
            "to_arithmetic": lambda: side.to_arithmetic(p),
            "select": lambda: side.select(p, a),
        }
        return (yield from calls[name]())
    local = {
        "difference": lambda: side.linear(np.subtract, a, b, shape=SHAPE),
        "scaled": lambda: side.linear(lambda x: x * MIX, a, shape=SHAPE),
        "shifted": lambda: side.add_public(a, MIX),
        "reversed": lambda: side.linear(lambda x: x[::-1], a, shape=SHAPE),
        "flip": lambda: side.invert(p),
        "xor": lambda: side.xor(p, q),
        "rotate": lambda: side.permute_bits(lambda x: np.roll(x, 1), p, shape=SHAPE),
        "known": lambda: side.public_bits(np.ones(SHAPE, np.bool_)),
    }
    return local[name]()


def makes_bits(name: str) -> bool:
    return name in {"flip", "xor", "rotate", "known", "sign", "is_zero", "conjunction"}


def program(x: NDArray[np.uint64] | None, y: NDArray[np.uint64] | None, todo: Steps) -> Any:
    def operation(side: Any) -> Part:
        a, b = yield from parallel(
            side.input(x if side.role == 0 else None, 0, SHAPE), side.input(y if side.role == 1 else None, 1, SHAPE)
        )
        numbers, bits = [a, b], [(yield from side.sign(a))]
        for step in todo:
            chosen = [
                (n, numbers[i % len(numbers)], numbers[j % len(numbers)], bits[i % len(bits)], bits[j % len(bits)])
                for n, i, j in step
            ]
            made = yield from parallel(*(on_shares(side, *arguments) for arguments in chosen))
            for (name, *_), result in zip(step, made, strict=True):
                (bits if makes_bits(name) else numbers).append(result)
        opened = [side.reveal(share, [0, 1]) for share in numbers] + [side.reveal_bits(share, [0, 1]) for share in bits]
        return (yield from parallel(*opened))

    return operation


def expected(x: NDArray[np.uint64], y: NDArray[np.uint64], todo: Steps) -> list[NDArray[Any]]:
    numbers: list[NDArray[Any]] = [x, y]
    bits: list[NDArray[Any]] = [x >> np.uint64(63) != 0]
    for step in todo:
        made = [
            in_clear(n, numbers[i % len(numbers)], numbers[j % len(numbers)], bits[i % len(bits)], bits[j % len(bits)])
            for n, i, j in step
        ]
        for (name, *_), result in zip(step, made, strict=True):
            (bits if makes_bits(name) else numbers).append(result)
    return numbers + bits


@pytest.mark.parametrize("protocol", SECURE)
@settings(max_examples=60)
@given(x=words, y=words, todo=steps)
def test_results_rounds_and_bytes(protocol: str, x: NDArray[np.uint64], y: NDArray[np.uint64], todo: Steps) -> None:
    rounds, sent = [0], [0]

    def observe(current: Mapping[int, Round]) -> None:
        now = sum(array.size for round_ in current.values() for own in round_.send.values() for array in own)
        rounds[0] += now > 0
        sent[0] += 8 * now

    results = run_lockstep(protocol, program(x, y, todo), observe=observe)
    for role in (0, 1):
        for found, right in zip(results[role], expected(x, y, todo), strict=True):
            np.testing.assert_array_equal(found, right)
    cost = estimate(protocol, program(None, None, todo))
    assert cost.rounds == rounds[0]
    assert sum(cost.bytes_sent.values()) == sent[0]


@pytest.mark.parametrize("protocol", SECURE)
@settings(max_examples=10)
@given(x=words, todo=steps)
def test_over_streams(protocol: str, x: NDArray[np.uint64], todo: Steps) -> None:
    results, streams = run_threads(protocol, program(x, x, todo))
    for found, right in zip(results[0], expected(x, x, todo), strict=True):
        np.testing.assert_array_equal(found, right)
    cost = estimate(protocol, program(None, None, todo))
    sent = sum(stream.counters.bytes_sent for own in streams.values() for stream in own.values())
    assert sent == sum(cost.bytes_sent.values()) + cost.offline_bytes
