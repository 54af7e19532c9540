# SPDX-License-Identifier: Apache-2.0
"""Random numbers that nobody knows: distributed as they say, fresh each time, and unknown to each role alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import stats

from jali.crypto.prg import Prg
from jali.mpc import plain, random
from jali.mpc.engine import compile_function, estimate_program
from jali.mpc.ir import ValueType
from jali.mpc.program import run_program
from jali.mpc.registry import PROTOCOLS
from tests.mpc.roles import SECURE, run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

SIZE = 4000
NOTHING = ValueType(shape=(1,), kind="fixed", fraction=18)


@pytest.fixture(autouse=True)
def _seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference protocol draws from the operating system: here from a generator, so that the tests repeat."""
    prg, names = Prg(b"0123456789abcdef"), iter(range(1000))
    monkeypatch.setattr(plain, "random_words", lambda shape: prg.words(next(names), shape))


def drawn(protocol: str, function: Callable[[], Any], *, seed: int = 1) -> list[NDArray[Any]]:
    """What role 0 sees of the outputs of a function without inputs."""
    program = compile_function(lambda x: function(), [NOTHING])

    def operation(side: Any) -> Generator[Round, Any, list[Any]]:
        x = yield from side.input(np.zeros(1, np.uint64) if side.role == 0 else None, 0, (1,))
        shares = yield from run_program(program, side, [x])
        opened = []
        for share, kind in zip(shares, program.output_types, strict=True):
            bits = kind.kind == "bool"
            words = yield from (side.reveal_bits if bits else side.reveal)(share, [0])
            numbers = words is not None and not bits
            opened.append(words.view(np.int64) / 2.0**kind.fraction if numbers else words)
        return opened

    return list(run_lockstep(protocol, operation, seed=seed)[0])


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_bits_are_fair_and_independent(protocol: str) -> None:
    first, second = drawn(protocol, lambda: (random.bits(SIZE), random.bits(SIZE)))
    for sample in (first, second, first ^ second, first[1:] ^ first[:-1]):
        assert abs(sample.mean() - 0.5) < 5 * 0.5 / np.sqrt(SIZE)


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_uniform_numbers_are_uniform(protocol: str) -> None:
    unit, wide = drawn(protocol, lambda: (random.uniform(SIZE), random.uniform((SIZE, 1), low=-2.0, high=6.0)))
    assert unit.min() >= 0
    assert unit.max() < 1
    counts = np.histogram(unit, 16, (0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-6
    assert stats.kstest(wide.ravel(), "uniform", (-2, 8)).pvalue > 1e-6
    assert np.all(unit * 2**18 == np.rint(unit * 2**18))


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_normal_numbers_are_normal(protocol: str) -> None:
    (sample,) = drawn(protocol, lambda: random.normal(SIZE + 1, mean=3.0, deviation=2.0))
    assert sample.shape == (SIZE + 1,)
    assert stats.kstest(sample, "norm", (3, 2)).pvalue > 1e-6
    half = (SIZE + 2) // 2
    pairs = np.corrcoef(sample[: half - 1], sample[half:])[0, 1]
    assert abs(pairs) < 5 / np.sqrt(half)


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_events_have_their_probability(protocol: str) -> None:
    (sample,) = drawn(protocol, lambda: random.bernoulli(0.2, SIZE))
    assert abs(sample.mean() - 0.2) < 5 * 0.4 / np.sqrt(SIZE)


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_every_iteration_of_a_loop_draws_anew(protocol: str) -> None:
    def loop() -> Any:
        return lax.scan(lambda total, _: (total + 1, random.uniform(3)), 0.0, None, length=5)[1]

    (rows,) = drawn(protocol, loop)
    assert len(np.unique(rows)) == rows.size


@pytest.mark.parametrize("protocol", SECURE)
def test_a_role_alone_does_not_know_the_bits(protocol: str) -> None:
    parts: dict[int, list[NDArray[np.bool_]]] = {}

    def operation(side: Any) -> Generator[Round, Any, Any]:
        share = side.random_bits((SIZE,))
        held = [getattr(share, name) for name in ("part", "first", "second") if hasattr(share, name)]
        if held and held[0].size:
            whole = np.bitwise_xor.reduce(np.stack(held))
            parts[side.role] = [np.unpackbits(w.view(np.uint8), bitorder="little")[:SIZE] > 0 for w in (*held, whole)]
        return (yield from side.reveal_bits(share, [0]))

    bits = run_lockstep(protocol, operation)[0]
    assert len(parts) >= 2
    for held in parts.values():
        for known in held:
            assert abs((known ^ bits).mean() - 0.5) < 5 * 0.5 / np.sqrt(SIZE)


@pytest.mark.parametrize("protocol", SECURE)
def test_bits_cost_nothing(protocol: str) -> None:
    cost = estimate_program(compile_function(lambda x: random.bits(100), [NOTHING]), protocol)
    assert (cost.rounds, sum(cost.bytes_sent.values()), cost.offline_bytes) == (0, 0, 0)


def test_jax_itself_draws_from_the_operating_system() -> None:
    draw = jax.jit(lambda: (random.normal((50, 2)), random.bits(100), random.uniform(())))
    first, second = draw(), draw()
    assert first[0].shape == (50, 2)
    assert first[2].shape == ()
    assert not jnp.array_equal(first[0], second[0])
    assert not jnp.array_equal(first[1], second[1])
    assert float(jnp.abs(first[0]).max()) < 6


def test_public_keys_still_give_public_numbers() -> None:
    program = compile_function(lambda x: x + jax.random.uniform(jax.random.key(0), (1,)), [NOTHING])
    assert [op.kind for op in program.ops] == ["constant", "add"]
