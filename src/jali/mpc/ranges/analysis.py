# SPDX-License-Identifier: Apache-2.0
"""Range analysis: how large every value of a program can get, before anything runs.

Nobody sees a secret overflow, so it must not happen. The inputs' bounds are public; from them follows an interval for
every value: worst case for sums and products, known ranges for functions, and what `jali.mpc.ranges.facts` knows of
values that belong together. What must fit is a *site*: a product before it is truncated (|z| < 2^62), a sum and the
difference of two numbers that are compared (2^63), the argument of a function (its domain).

Where nobody said how large the inputs are, the analysis finds the largest bound on all of them for which every site
fits, and for each input the largest for which those sites fit that it has part in; owners compare their numbers with
that. A site that does not fit for any bound is *unproven*: worst
cases of long chains (deep networks in training) grow faster than any data do.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from jali.mpc.ranges.facts import Facts
from jali.mpc.ranges.growth import Growth, grown
from jali.mpc.ranges.intervals import ANYTHING, GRID, Interval, hull, point, symmetric
from jali.mpc.ranges.rules import HEADROOM, Check, Known, Transfer, constant_interval, transfer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.mpc.ir import Op, Program, ValueType

__all__ = ["Analysis", "Compared", "Site", "analyse", "input_interval", "products_to_widen"]

_BUDGET = 20_000  # operations that are looked at, loops repeated; about a quarter of a second
_BRIEF = 2  # iterations from which inputs that are much too large can be told
_ACCELERATE = (8, 24, 72, 216)  # iterations after which the limit of a sequence that slows down is guessed
_FORESEE = (48, 192)  # and after which what an iteration adds is bounded,
_SOON = 2  # or sooner, when half of the budget is spent
_ATTEMPTS = 5

_FLOWS: WeakKeyDictionary[Program, _Flow] = WeakKeyDictionary()
_FOUND: WeakKeyDictionary[Program, dict[Any, Analysis]] = WeakKeyDictionary()
_MOST_FOUND = 8
_LOCK = RLock()


class Site(NamedTuple):
    """Something that may not fit. `reach` is how large it can get, `limit` how large it may, in the user's units.

    `reach` is infinite for a loop that was not followed to its end.
    """

    what: str
    source: str
    reach: float
    limit: float

    def __str__(self) -> str:
        """For instance "a product at fit.py:12 can reach 1.2e+09, and only less than 6.71e+07 fits"."""
        where = f"{self.what} at {self.source}" if self.source else self.what
        if np.isinf(self.reach):
            return where
        if self.reach < self.limit:
            return f"{where} can be as low as {self.reach:.3g}, and nothing below {self.limit:.3g} fits"
        return f"{where} can reach {self.reach:.3g}, and only less than {self.limit:.3g} fits"


class Compared(NamedTuple):
    """How large something gets, by the points of the grid, and the inputs on which that depends, as a set of bits."""

    size: NDArray[np.float64]
    origins: int

    def within(self, limits: Sequence[float]) -> float:
        """How large it gets if each input is held to its limit."""
        most = max((limit for index, limit in enumerate(limits) if self.origins >> index & 1), default=np.inf)
        index = min(int(np.searchsorted(GRID, most)), len(GRID) - 1)
        return float(self.size[index if self.size.size > 1 else 0])


_NOTHING = Compared(np.zeros(1), 0)


class Analysis(NamedTuple):
    """What is known of a program before it runs.

    `bound` is the largest bound on inputs of unknown size for which all sites fit, other than the `unproven` ones
    (infinite where their size does not matter), and `limiting` the first site that does not fit above it; `limits` are
    the same for each input, from the sites that depend on it. `certain` is a site that cannot fit whatever the inputs
    are. `outputs` are the intervals of the results, None for bits; `values` those of all values. `origins` say of each
    result on which inputs it depends, as a set of bits. `compared` says how large the numbers can get that an operation
    compares with zero, by the operation's identity.
    """

    bound: float
    limiting: Site | None
    limits: tuple[tuple[float, Site | None], ...]
    unproven: tuple[Site, ...]
    certain: Site | None
    outputs: tuple[Known, ...]
    values: tuple[Known, ...]
    origins: tuple[int, ...]
    compared: Mapping[int, Compared]


def input_interval(kind: ValueType) -> Known:
    """What is known of an input from its type: its bound, or one for each point of the grid."""
    if kind.kind == "bool":
        return None
    unit = 2.0**kind.fraction
    if kind.bound is not None:
        low, high = kind.bound
        return point(np.floor(low * unit), np.ceil(high * unit))
    return symmetric(2.0 ** (62 - kind.fraction), unit=unit)


def analyse(program: Program, given: Sequence[Known] | None = None, *, brief: bool = False) -> Analysis:
    """The range of every value, found once in a process; `given` are the intervals of inputs that come from elsewhere.

    A `brief` analysis looks at the first two iterations of each loop. It proves nothing of the others, and is the
    better guide to what inputs are too large: the worst case of a long loop grows faster than any data do.

    Cost: about 50 us an operation; a loop is followed until its intervals settle or what it adds is bounded, for 20,000
    operations in all. One that takes longer is among the `unproven`.
    """
    inputs = [input_interval(kind) for kind in program.input_types] if given is None else list(given)
    key = (brief, *(None if x is None else (x.low.tobytes(), x.high.tobytes()) for x in inputs))
    with _LOCK:  # the parties of a simulation ask at the same time; the first one walks
        known = _FOUND.setdefault(program, {})
        if key not in known:
            if len(known) >= _MOST_FOUND:
                known.pop(next(iter(known)))
            walk, flow = _Walk(brief=brief), _flow_of(program)
            known[key] = walk.found(flow, walk.values(flow, inputs))
        return known[key]


def products_to_widen(program: Program, given: Sequence[Known]) -> frozenset[int]:
    """The products that fit Z_2^128 alone, however small inputs of undeclared size are, by their operations' identity.

    Loops are followed for two iterations, as by a `brief` analysis.
    """
    walk = _Walk(brief=True, widening=True)
    walk.values(_flow_of(program), given)
    return frozenset(walk.wide)


# -- what a program is to the analysis ------------------------------------------------------------------------------


class _Flow:
    """The transfers of a program, made once."""

    def __init__(self, program: Program) -> None:
        facts = Facts(program)
        self.inputs = len(program.input_types)
        self.size = len(program.types)
        self.outputs = program.outputs
        self.growth = Growth(program)
        self.constants = {op.outputs[0]: constant_interval(op) for op in program.ops if op.constant is not None}
        self.steps: list[tuple[Op, Transfer | _Flow]] = []
        for op in program.ops:
            if op.constant is None:
                step = transfer_of(op, program, facts) if op.body is None else _flow_of(op.body)
                self.steps.append((op, step))
        self.origins = self._origins()

    def _origins(self) -> list[int]:
        """The inputs on which each value depends, as sets of bits."""
        found = [1 << index if index < self.inputs else 0 for index in range(self.size)]
        for op, _ in self.steps:
            for value in op.outputs:
                found[value] = reduce(or_, (found[used] for used in op.inputs), 0)
        return found

    def origins_of(self, op: Op, step: Transfer | _Flow) -> int:
        """Those of what an operation and the rule for it look at."""
        reads = () if isinstance(step, _Flow) else step.reads
        return reduce(or_, (self.origins[value] for value in (*op.inputs, *reads)), 0)


def _flow_of(program: Program) -> _Flow:
    with _LOCK:
        if program not in _FLOWS:
            _FLOWS[program] = _Flow(program)
        return _FLOWS[program]


# -- the walk -------------------------------------------------------------------------------------------------------


class _Tally:
    """Where a site does not fit, by the points of the grid, and how large it gets."""

    def __init__(self, check: Check, side: str) -> None:
        self.check = check
        self.side = side
        self.failing: NDArray[np.bool_] = np.zeros(1, np.bool_)
        self.certain: NDArray[np.bool_] = np.zeros(1, np.bool_)
        self.reach: NDArray[np.float64] = np.zeros(1)
        self.first: NDArray[np.float64] = np.full(1, np.inf)
        self.origins = 0

    def add(
        self,
        failing: NDArray[np.bool_],
        certain: NDArray[np.bool_],
        reach: NDArray[np.float64],
        *,
        clock: int,
        origins: int,
    ) -> None:
        """Note one more look at it; of sites that do not fit, the one that did not first makes the others overflow."""
        self.first = np.minimum(self.first, np.where(failing, clock, np.inf))
        self.failing = self.failing | failing
        self.certain = self.certain | certain
        self.reach = np.maximum(self.reach, reach)
        self.origins |= origins

    def fails(self, index: int) -> bool:
        """Whether it does not fit at a point of the grid."""
        return bool(self.failing[index if self.failing.size > 1 else 0])

    def since(self, index: int) -> float:
        """When it did not fit for the first time, at a point of the grid."""
        return float(self.first[index if self.first.size > 1 else 0])

    @property
    def one_sided(self) -> bool:
        """Whether only positive arguments will do: no bound on the size of inputs can say that of them."""
        return self.side == "low" and self.check.low is not None and self.check.low >= 0

    def site(self, index: int) -> Site:
        """How large it gets at a point of the grid, in the user's units."""
        unit = 2.0**-self.check.fraction
        reach = float(self.reach[index if self.reach.size > 1 else 0]) * unit
        if self.side == "low" and self.check.low is not None:
            return Site(self.check.what, self.check.source, -reach, self.check.low * unit)
        return Site(self.check.what, self.check.source, reach, self.check.limit * unit)


class _Walk:
    """One pass over a program, with its loops repeated; or, if `brief`, with their first iterations only."""

    def __init__(self, *, brief: bool, widening: bool = False) -> None:
        self.brief = brief
        self.widening = widening
        self.wide: set[int] = set()  # products that do not fit for any bound, by the identity of their operations
        self.compared: dict[int, Compared] = {}
        self.tallies: dict[tuple[int, str], _Tally] = {}  # by the identity of the check, which its flow keeps
        self.cut: dict[int, Site] = {}  # loops that were not followed to their end
        self.left = _BUDGET
        self.clock = 0
        self.quiet = False
        self.depth = 0
        self.origins = 0

    def require(self, check: Check, x: Interval) -> None:
        """Note where the interval does not fit."""
        if self.quiet:
            return
        if check.low is None:
            bad = x.magnitude >= check.limit
            if bad.any():
                self._note(check, "", bad, (x.low >= check.limit) | (x.high <= -check.limit), x.magnitude)
            return
        bad = x.high >= check.limit
        if bad.any():
            self._note(check, "high", bad, x.low >= check.limit, x.high)
        bad = x.low < check.low
        if bad.any():
            self._note(check, "low", bad, x.high < check.low, -x.low)

    def widens(self, op: Op, z: Interval) -> bool:
        """Take products in Z_2^128 that do not fit Z_2^64 however small the inputs of undeclared size are."""
        if self.widening and z.magnitude[0] >= HEADROOM:
            self.wide.add(id(op))
        return id(op) in self.wide

    def _note(self, check: Check, side: str, *masks: Any) -> None:
        key = (id(check), side)
        if key not in self.tallies:
            self.tallies[key] = _Tally(check, side)
        self.clock += 1
        self.tallies[key].add(*masks, clock=self.clock, origins=self.origins)

    def values(self, flow: _Flow, inputs: Sequence[Known]) -> list[Known]:
        """The interval of every value."""
        found: list[Known] = [*inputs, *(None for _ in range(flow.size - len(inputs)))]
        for value, interval in flow.constants.items():
            found[value] = interval
        for op, step in flow.steps:
            self.left -= 1
            if not self.depth:  # all that is inside a loop is taken to depend on all that goes in
                self.origins = flow.origins_of(op, step)
            if isinstance(step, _Flow):
                self.depth += 1
                results = self._loop(op, step, [found[value] for value in op.inputs])
                self.depth -= 1
                for value, interval in zip(op.outputs, results, strict=True):
                    found[value] = interval
                continue
            if step.gap is not None and not self.quiet:
                gap, (known, origins) = (
                    step.gap([found[value] for value in op.inputs]),
                    self.compared.get(id(op), _NOTHING),
                )
                self.compared[id(op)] = Compared(np.maximum(known, gap), origins | self.origins)
            result = step.compute(self, [found[value] for value in step.reads])
            # what is sorted is rearranged: each column keeps its interval
            results = [found[value] for value in op.inputs] if op.kind == "sort" else [result]
            for value, interval in zip(op.outputs, results, strict=True):
                found[value] = interval
        return found

    def once(self, flow: _Flow, inputs: Sequence[Known], *, quiet: bool = False) -> list[Known]:
        """The intervals of the outputs; nothing is noted if `quiet`."""
        before, self.quiet = self.quiet, quiet or self.quiet
        values = self.values(flow, inputs)
        self.quiet = before
        return [values[value] for value in flow.outputs]

    def _loop(self, op: Op, body: _Flow, inputs: list[Known]) -> list[Known]:
        """Repeat the body until nothing grows any more: F(S) within S holds for all later iterations too."""
        count, constants, carries = (_number(op, key) for key in ("count", "constants", "carries"))
        count = min(count, _BRIEF) if self.brief else count
        loop = _Loop(self, body, inputs, carried=range(constants, constants + carries))
        piles: list[list[Known]] = []
        for index in range(count):
            results = self.once(body, loop.inputs)
            piles.append(results[carries:])
            if loop.has_settled(results[:carries]) or index == count - 1:
                break
            loop.advance(index, left=count - index - 1)
            if self.left < 0:
                loop.give_up()
                if not self.quiet:
                    what = f"a loop of {count:,} iterations, {index + 1:,} of which were followed"
                    self.cut.setdefault(id(op), Site(what, op.source, np.inf, 0.0))
        return [*loop.after, *(_together(column) for column in zip(*piles, strict=True))]

    # -- the end ------------------------------------------------------------------------------------------------

    def found(self, flow: _Flow, values: Sequence[Known]) -> Analysis:
        """The largest bounds for which all sites fit that fit for any."""
        tallies = list(self.tallies.values())
        bound, limiting, best = _limit_of(tallies)
        failing = sorted((tally for tally in tallies if tally.fails(best)), key=lambda tally: tally.since(best))
        return Analysis(
            bound=bound,
            limiting=limiting,
            limits=tuple(
                _limit_of([tally for tally in tallies if tally.origins >> index & 1])[:2]
                for index in range(flow.inputs)
            ),
            unproven=(*self.cut.values(), *(tally.site(best) for tally in failing)),
            certain=next((tally.site(0) for tally in tallies if tally.certain.all()), None),
            outputs=tuple(values[value] for value in flow.outputs),
            values=tuple(values),
            origins=tuple(flow.origins[value] for value in flow.outputs),
            compared=self.compared,
        )


def _limit_of(tallies: Sequence[_Tally]) -> tuple[float, Site | None, int]:
    """The largest bound for which sites fit, the first that does not fit above it, and the place of that bound."""
    firsts = [int(tally.failing.argmax()) for tally in tallies if not tally.failing[0] and not tally.one_sided]
    above = min(firsts, default=len(GRID))
    best = above - 1
    if above == len(GRID):
        return np.inf, None, best
    limiting = [tally for tally in tallies if tally.fails(above) and not tally.fails(best)]
    return float(GRID[best]), min(limiting, key=lambda tally: tally.since(above)).site(above), best


class _Loop:
    """The carries of a loop from one iteration to the next.

    At some points of the grid they are done: what is known of them holds for all iterations that are left.
    """

    def __init__(self, walk: _Walk, body: _Flow, inputs: list[Known], *, carried: range) -> None:
        self.walk = walk
        self.body = body
        self.inputs = inputs
        self.carried = carried
        self.after = self.state
        self.earlier: list[list[Known]] = []
        self.done: NDArray[np.bool_] = np.zeros(1, np.bool_)
        self.foreseen: NDArray[np.bool_] = np.zeros(1, np.bool_)

    @property
    def state(self) -> list[Known]:
        """The carries before the iteration that comes next."""
        return self.inputs[self.carried.start : self.carried.stop]

    def _with(self, state: Sequence[Known]) -> list[Known]:
        return [*self.inputs[: self.carried.start], *state, *self.inputs[self.carried.stop :]]

    def has_settled(self, after: Sequence[Known]) -> bool:
        """Take the carries after an iteration; whether they are done everywhere."""
        self.after = _chosen(self.foreseen, self.state, after)
        self.done = _within(self.after, self.state)
        return bool(self.done.all())

    def advance(self, index: int, *, left: int) -> None:
        """Go on to the next iteration, or to what holds of all that are left, where that can be seen."""
        self.earlier = [*self.earlier[-1:], self.state]
        self.inputs = self._with(_chosen(self.done, self.state, self.after))
        if index in _ACCELERATE and len(self.earlier) > 1:
            self._come_to_rest()
        if index in _FORESEE or (index == _SOON and self.walk.left < _BUDGET / 2):
            self._foresee(left)

    def give_up(self) -> None:
        """Let the carries be anything where they are not done."""
        anything = [None if x is None else ANYTHING for x in self.state]
        self.inputs = self._with(_chosen(self.done | self.foreseen, self.state, anything))

    def _come_to_rest(self) -> None:
        """Where a sequence seems to slow down geometrically, take its limit with some room, if the body stays in it."""
        state = self.state
        guess = [_limit(x, y, z) for x, y, z in zip(*self.earlier, state, strict=True)]
        after = self.walk.once(self.body, self._with(guess), quiet=True)[: len(guess)]
        self.inputs = self._with(_chosen(_within(after, guess), guess, state))

    def _foresee(self, left: int) -> None:
        """Where what an iteration adds is bounded, take what holds the carries of all iterations that are left."""
        state = reached = self.state
        inside = np.zeros(1, np.bool_)
        before, self.walk.quiet = self.walk.quiet, True
        for _ in range(_ATTEMPTS):
            rests = self.body.growth.rests(self.walk.values(self.body, self._with(reached)), self.carried)
            wider = [
                None if x is None or rest is None else grown(x, *rest, times=left)
                for x, rest in zip(state, rests, strict=True)
            ]
            inside = _within(wider, reached)
            if inside.all():
                break
            reached = [None if x is None else _roomier(x) for x in wider]
        self.walk.quiet = before
        fresh = inside & ~self.done
        self.foreseen = self.foreseen | fresh
        self.inputs = self._with(_chosen(fresh, reached, state))


def _within(after: Sequence[Known], before: Sequence[Known]) -> NDArray[np.bool_]:
    """Where no carry grew."""
    settled = np.ones(1, np.bool_)
    for new, old in zip(after, before, strict=True):
        if new is not None and old is not None:
            settled = settled & new.inside(old)
    return settled


def _chosen(where: NDArray[np.bool_], first: Sequence[Known], second: Sequence[Known]) -> list[Known]:
    return [
        None if x is None or y is None else Interval(np.where(where, x.low, y.low), np.where(where, x.high, y.high))
        for x, y in zip(first, second, strict=True)
    ]


def _roomier(x: Interval) -> Interval:
    """A little more on either side, so that the next attempt need not match to the last digit."""
    room = 1 + x.magnitude * 2.0**-20
    return Interval(x.low - room, x.high + room).clipped()


def _limit(before: Known, middle: Known, last: Known) -> Known:
    """The limit of a geometric sequence through three intervals, and a little more."""
    if before is None or middle is None or last is None:
        return None
    ends = []
    for a, b, c in zip(before, middle, last, strict=True):
        step, ratio = c - b, (c - b) / np.where(b == a, 1.0, b - a)
        rest = np.where((ratio > 0) & (ratio < 0.999), step * ratio / (1 - np.clip(ratio, 0, 0.999)), 0.0)
        ends.append(c + 1.05 * rest + 4 * np.sign(step))
    return hull([last, Interval(*ends).clipped()])


def _together(column: Sequence[Known]) -> Known:
    parts = [x for x in column if x is not None]
    return hull(parts) if parts else None


def _number(op: Op, key: str) -> int:
    value = op.attributes[key]
    return value if isinstance(value, int) else 0
