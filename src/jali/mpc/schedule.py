# SPDX-License-Identifier: Apache-2.0
"""The scheduler: starts every step as soon as its inputs are there, and merges the rounds of all that wait.

A step is local (a function of values) or interactive (a generator of rounds, see `jali.mpc.rounds`). Ready steps
start in program order; when none is ready, the rounds of all interactive steps that run become one message to each
peer. So a program costs the rounds of its longest chain of interactions, and every role takes the same decisions: they
depend on the program and on how many rounds each operation takes, never on data.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from jali.mpc.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.mpc.contract import MpcProtocol

__all__ = ["Plan", "Step", "run_steps"]


class Step:
    """One operation, ready to run: `start(protocol, values)` gives a result, or a generator if `interactive`.

    `many` says that the result is a tuple with one entry for each of `outputs`. `kind` and `source` say what the step
    is, and where the user wrote it.
    """

    __slots__ = ("inputs", "interactive", "kind", "many", "outputs", "source", "start")

    def __init__(
        self,
        start: Callable[[MpcProtocol, list[Any]], Any],
        inputs: Sequence[int],
        *,
        outputs: Sequence[int],
        interactive: bool,
        many: bool = False,
        kind: str = "",
        source: str = "",
    ) -> None:
        """Describe the step; `inputs` and `outputs` are value numbers."""
        self.start = start
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.interactive = interactive
        self.many = many
        self.kind = kind
        self.source = source


class Plan:
    """Steps with what the scheduler needs to know of them, computed once.

    `initial` maps value numbers to values that stand in the program (constants).
    """

    __slots__ = ("dependents", "given", "initial", "outputs", "pending", "ready", "steps", "uses")

    def __init__(
        self, steps: Sequence[Step], *, size: int, given: int, outputs: Sequence[int], initial: Mapping[int, Any]
    ) -> None:
        """`size` values in all, the first `given` of which are inputs; `outputs` are the results."""
        self.steps = tuple(steps)
        self.given = given
        self.outputs = tuple(outputs)
        self.initial: list[Any] = [initial.get(value) for value in range(size)]
        made_by = {value: index for index, step in enumerate(steps) for value in step.outputs}
        self.dependents: list[list[int]] = [[] for _ in steps]
        self.pending = [0] * len(steps)
        self.uses = [0] * size
        for index, step in enumerate(steps):
            for value in step.inputs:
                self.uses[value] += 1
            for maker in sorted({made_by[value] for value in step.inputs if value in made_by}):
                self.dependents[maker].append(index)
                self.pending[index] += 1
        for value in outputs:
            self.uses[value] += 1
        self.ready = [index for index, count in enumerate(self.pending) if count == 0]
        heapify(self.ready)


def run_steps(plan: Plan, protocol: MpcProtocol, inputs: Sequence[Any]) -> Generator[Round, Any, list[Any]]:
    """Run a plan to its end and give its outputs.

    Cost: the rounds of the longest chain of interactive steps; the bytes of all.
    """
    run = _Run(plan, protocol, inputs)
    while True:
        run.start_ready()
        if not run.active:
            return [run.values[value] for value in plan.outputs]
        replies = yield run.merged()
        run.resume(replies)


class _Run:
    """What is under way: values, counts of what is missing, and operations between two rounds."""

    __slots__ = ("active", "dependents", "locate", "pending", "protocol", "ready", "steps", "uses", "values")

    def __init__(self, plan: Plan, protocol: MpcProtocol, inputs: Sequence[Any]) -> None:
        self.values = plan.initial.copy()
        self.values[: plan.given] = inputs
        self.protocol = protocol
        self.locate = getattr(protocol, "locate", None)  # of the protocol that says where a number left its range
        self.steps, self.dependents = plan.steps, plan.dependents
        self.pending, self.uses, self.ready = plan.pending.copy(), plan.uses.copy(), plan.ready.copy()
        self.active: list[tuple[int, Generator[Round, Any, Any], Round]] = []

    def start_ready(self) -> None:
        """Start everything that can start, in program order, until all that is left waits for a round."""
        steps, values, ready, protocol = self.steps, self.values, self.ready, self.protocol
        while ready:
            index = heappop(ready)
            step = steps[index]
            if self.locate is not None:
                self.locate(step.kind, step.source)
            started = step.start(protocol, [values[value] for value in step.inputs])
            if not step.interactive:
                self.finish(index, started)
                continue
            try:
                self.active.append((index, started, next(started)))
            except StopIteration as stop:
                self.finish(index, stop.value)

    def finish(self, index: int, result: Any) -> None:
        """Keep a result, free what nobody needs any more, and note which steps became ready."""
        step, values, uses, pending = self.steps[index], self.values, self.uses, self.pending
        if step.many:
            for value, part in zip(step.outputs, result, strict=True):
                values[value] = part
        else:
            values[step.outputs[0]] = result
        for value in step.inputs:
            uses[value] -= 1
            if not uses[value]:
                values[value] = None
        for dependent in self.dependents[index]:
            pending[dependent] -= 1
            if not pending[dependent]:
                heappush(self.ready, dependent)

    def merged(self) -> Round:
        """The rounds of all active operations as one, in program order."""
        if len(self.active) == 1:
            return self.active[0][2]
        self.active.sort(key=_index)
        send: dict[int, list[Any]] = {}
        expect: dict[int, int] = {}
        for _, _, round_ in self.active:
            for role, arrays in round_.send.items():
                send.setdefault(role, []).extend(arrays)
            for role, count in round_.expect.items():
                expect[role] = expect.get(role, 0) + count
        return Round(send, expect)

    def resume(self, replies: Mapping[int, Any]) -> None:
        """Hand every active operation its part of the replies, in the order of `merged`."""
        current, self.active = self.active, []
        if len(current) == 1:
            self._continue(*current[0][:2], replies)
            return
        taken = dict.fromkeys(replies, 0)
        for index, operation, round_ in current:
            share = {}
            for role, count in round_.expect.items():
                share[role] = replies[role][taken[role] : taken[role] + count]
                taken[role] += count
            self._continue(index, operation, share)

    def _continue(self, index: int, operation: Generator[Round, Any, Any], replies: Mapping[int, Any]) -> None:
        try:
            self.active.append((index, operation, operation.send(replies)))
        except StopIteration as stop:
            self.finish(index, stop.value)


def _index(entry: tuple[int, Any, Any]) -> int:
    return entry[0]
