# SPDX-License-Identifier: Apache-2.0
"""The scheduler: rounds are those of the longest chain, every role decides alike, values are freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jali.core.errors import InternalError
from jali.mpc.engine import compile_function
from jali.mpc.ir import ValueType
from jali.mpc.plain import PlainProtocol
from jali.mpc.program import plan_of, run_program
from jali.mpc.rounds import Round, lockstep
from jali.mpc.schedule import Plan, Step, run_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

SHAPE = (4,)
FIXED = ValueType(shape=SHAPE, kind="fixed", fraction=18)


class _Counting:
    """A stand-in for two roles: each interaction takes a given number of rounds and sends its own number."""

    def __init__(self, role: int) -> None:
        self.role = role
        self.started: list[int] = []
        self.sent: list[int] = []

    def talk(self, name: int, rounds: int) -> Generator[Round, Any, int]:
        self.started.append(name)
        total = 0
        for _ in range(rounds):
            self.sent.append(name)
            replies = yield Round({1 - self.role: [np.full(name, name, np.uint64)]}, {1 - self.role: name})
            total += int(replies[1 - self.role].sum())
        return total


def _step(name: int, rounds: int, inputs: list[int], output: int) -> Step:
    return Step(lambda p, v: p.talk(name, rounds), inputs, outputs=[output], interactive=True)  # type: ignore[attr-defined]


def _run(plan: Plan) -> tuple[dict[int, Any], dict[int, Any], int]:
    sides = {role: _Counting(role) for role in (0, 1)}
    rounds: list[object] = []
    results = lockstep(
        {role: run_steps(plan, side, [0]) for role, side in sides.items()},  # type: ignore[arg-type]
        observe=rounds.append,
    )
    return results, sides, len(rounds)


def test_independent_steps_share_their_rounds() -> None:
    steps = [_step(1, 3, [0], 1), _step(2, 2, [0], 2), _step(3, 1, [0], 3)]
    results, _, rounds = _run(Plan(steps, size=4, given=1, outputs=[1, 2, 3], initial={}))
    assert rounds == 3
    assert results[0] == results[1] == [3 * 1, 2 * 4, 9]


def test_a_chain_takes_the_sum_and_a_branch_hides_in_it() -> None:
    # 1 -> 2 -> 4 (2 + 2 + 1 rounds) and 1 -> 3 (2 + 1)
    steps = [_step(1, 2, [0], 1), _step(2, 2, [1], 2), _step(3, 1, [1], 3), _step(4, 1, [2, 3], 4)]
    _, sides, rounds = _run(Plan(steps, size=5, given=1, outputs=[4], initial={}))
    assert rounds == 5
    assert sides[0].started == sides[1].started == [1, 2, 3, 4]
    assert sides[0].sent == [1, 1, 2, 3, 2, 4]


def test_steps_start_in_program_order_when_several_become_ready() -> None:
    steps = [_step(1, 2, [0], 1), _step(2, 1, [0], 2), _step(3, 1, [1], 3), _step(4, 2, [2], 4), _step(5, 1, [1], 5)]
    _, sides, rounds = _run(Plan(steps, size=6, given=1, outputs=[3, 4, 5], initial={}))
    assert sides[0].started == sides[1].started == [1, 2, 4, 3, 5]
    assert rounds == 3


def test_a_value_is_freed_after_its_last_use() -> None:
    seen: list[int] = []

    class Tracked:
        def __del__(self) -> None:
            seen.append(1)

    steps = [
        Step(lambda p, v: Tracked(), [0], outputs=[1], interactive=False),
        Step(lambda p, v: 5, [1], outputs=[2], interactive=False),
        Step(lambda p, v: len(seen), [2], outputs=[3], interactive=False),
    ]
    results, _, _ = _run(Plan(steps, size=4, given=1, outputs=[3], initial={}))
    assert results[0] == [1]


def rounds_of(function: Callable[..., Any], *, inputs: int = 2) -> int:
    from jali.mpc.engine import estimate_program

    return estimate_program(compile_function(function, [FIXED] * inputs), "rep3").rounds


def test_independent_operations_of_a_program_cost_the_rounds_of_one() -> None:
    one = rounds_of(lambda x, y: x * y)
    assert rounds_of(lambda x, y: (x * y, (x + 1) * y, (x + 2) * y)) == one
    assert rounds_of(lambda x, y: x * y * y) == one + (1 + one)  # the second opens what the first gives


def test_a_loop_costs_its_iterations_and_runs_beside_others() -> None:
    one = rounds_of(lambda x, y: x * y)

    def loop(x: Any, y: Any) -> Any:
        return lax.fori_loop(0, 3, lambda i, a: a * y, x)

    assert rounds_of(loop) == one + 2 * (1 + one)  # from the second on, an iteration opens its carry
    assert rounds_of(lambda x, y: (loop(x, y), x * y, jnp.sum(x * x))) == rounds_of(loop)


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (lambda x, y: x * 3 - y + 7, 0),
        (lambda x, y: x / 1024 * 2, 1),
        (lambda x, y: 0.1 * (x / 64 + 0.01 * y), 1),
        (lambda x, y: x / 64 < y / 32, 0),
    ],
)
def test_public_factors_are_truncated_at_most_once(function: Callable[..., Any], products: int) -> None:
    program = compile_function(function, [FIXED, FIXED])
    assert [op.kind for op in program.ops].count("truncate") == products


def test_a_sum_of_products_is_one_inner_product() -> None:
    program = compile_function(lambda x, y: jnp.sum(x * y), [FIXED, FIXED])
    kinds = [op.kind for op in program.ops]
    assert "dot" in kinds
    assert "mul" not in kinds


def test_a_running_program_has_no_public_computation() -> None:
    def scheduled(x: Any, y: Any) -> Any:
        return lax.fori_loop(0, 5, lambda i, a: a + y * jnp.cos(i * 0.1), x)

    program = compile_function(scheduled, [FIXED, FIXED])
    loops = [op for op in program.ops if op.kind == "loop"]
    assert loops[0].body is not None
    made = [op for op in loops[0].body.ops if not any(loops[0].body.types[v].secret for v in op.outputs)]
    assert all(op.kind == "constant" for op in made)


def test_a_plan_is_made_once() -> None:
    program = compile_function(lambda x, y: x + y * 5, [FIXED, FIXED])
    assert plan_of(program) is plan_of(program)


def test_the_number_of_inputs_is_checked() -> None:
    program = compile_function(lambda x, y: x + y, [FIXED, FIXED])
    side: Any = PlainProtocol()
    with pytest.raises(InternalError, match="takes 2 inputs, found 1"):
        next(run_program(program, side, [0]))
