# SPDX-License-Identifier: Apache-2.0
"""What the estimator says of every round is what really happens in it; what roles do is counted once."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.mpc.contract import Dealable, MpcProtocol
from jali.mpc.cost import meter
from jali.mpc.cost.estimate import estimate, transcribe
from jali.mpc.cost.meter import Metered, Work
from jali.mpc.engine import compile_function, share_inputs
from jali.mpc.ir import ValueType
from jali.mpc.program import run_program
from jali.mpc.registry import PROTOCOLS
from tests.mpc.operations import OPERATIONS, on_inputs
from tests.mpc.roles import SECURE, run_lockstep

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from jali.mpc.cost.estimate import Transcript
    from jali.mpc.rounds import Round

N = 640
_TREES = ("at_least", "lookup", "sign")
NOT_OPERATIONS = {
    "finish",
    "name",
    "roles",
    "threat",
    "role",
    "owners",
    "dealer",
    "holders",
    "dealt",
    "additive_part",
    "sizes",
    "prefetch",
}


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_message_of_every_round_is_foreseen(protocol: str, name: str) -> None:
    words = np.random.default_rng(0).integers(-(2**28), 2**28, (2, N)).view(np.uint64)
    seen: list[dict[tuple[int, int], int]] = []

    def observe(rounds: Mapping[int, Round]) -> None:
        sizes = {
            (sender, receiver): 8 * sum(array.size for array in arrays)
            for sender, round_ in rounds.items()
            for receiver, arrays in round_.send.items()
        }
        seen.append({pair: size for pair, size in sizes.items() if size})

    run_lockstep(protocol, on_inputs(name, words[0], words[1], (N,)), observe=observe)
    transcript = transcribe(protocol, on_inputs(name, None, None, (N,)))
    assert transcript.rounds == seen
    cost = transcript.cost
    assert cost == estimate(protocol, on_inputs(name, None, None, (N,)))
    assert sum(cost.bytes_sent.values()) == sum(size for messages in seen for size in messages.values())
    assert cost.rounds == sum(bool(messages) for messages in seen)
    assert cost.offline_bytes == sum(transcript.dealt_bytes) == sum(items.size_bytes for items in transcript.dealt)
    assert len(transcript.dealt_bytes) == len(transcript.rounds) + 1


def test_every_operation_of_the_contract_is_counted() -> None:
    """A new operation that nobody counts would be free of charge."""
    contracts = (MpcProtocol, Dealable)
    operations = {name for kind in contracts for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
    assert operations - NOT_OPERATIONS <= set(meter._WORDS)


def epoch(x: Any, y: Any) -> Any:
    import jax

    return jax.nn.sigmoid(x @ y) < 0.5


def calls(protocol: str) -> tuple[Transcript, Counter[tuple[str, int]]]:
    kinds = [ValueType(shape=shape, kind="fixed", fraction=18) for shape in ((20, 5), (5, 1))]
    program = compile_function(epoch, kinds)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        values = yield from share_inputs(side, None, owner=0, types=kinds)
        return (yield from run_program(program, side, [value.share for value in values]))

    transcript = transcribe(protocol, operation)
    return transcript, Counter((work.kind, work.size) for work in transcript.works[0])


@pytest.mark.parametrize("protocol", SECURE)
def test_a_program_is_the_same_operations_at_every_role(protocol: str) -> None:
    transcript, counted = calls(protocol)
    for role in range(len(PROTOCOLS.get(protocol).roles)):
        assert Counter((work.kind, work.size) for work in transcript.works[role]) == counted
    assert counted["dot, shifted", 20 * 5 + 5 + 20] == 1
    assert counted["input", 100] == counted["input", 5] == 1
    # The sigmoid's ends are two thresholds at once, its curve a table; then one comparison with 0.5.
    sizes = {name: sorted(size for kind, size in counted.elements() if kind == name) for name in _TREES}
    assert sizes == {"at_least": [2 * 20], "lookup": [16 * 7 * 20], "sign": [20]}


@pytest.mark.parametrize("protocol", SECURE)
def test_parts_of_an_operation_lie_between_its_rounds(protocol: str) -> None:
    transcript, _ = calls(protocol)
    for works in transcript.works.values():
        for work in works:
            rounds = [begun for begun, _ in work.parts]
            assert rounds == sorted(rounds)
            assert all(begun == ended for begun, ended in work.parts)
            assert 0 <= rounds[0] <= rounds[-1] <= len(transcript.rounds)


def test_products_are_those_beyond_one_a_word() -> None:
    noted: list[Work] = []
    side: Any = Metered(PROTOCOLS.get("rep3").sizes(0), clock=lambda: 0.0, note=noted.append)
    x, y = side.public(np.zeros((8, 8), np.uint64)), side.public(np.zeros((8, 1), np.uint64))
    for operand in (x, y):
        next(side.dot(x, operand))
        talk = side.dot(x, operand)
        size = talk.send(None).send[2][0].size
        with pytest.raises(StopIteration):
            talk.send({1: np.zeros(size, np.uint64)})
    assert [(work.size, work.products) for work in noted if work.kind == "dot"] == [(192, 320), (80, 0)]
