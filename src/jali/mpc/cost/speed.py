# SPDX-License-Identifier: Apache-2.0
"""How fast this machine does the operations of a protocol: a self-test of a second or two, kept for the next time.

All roles run in lock-step, on arrays of a few sizes; every part of every operation is timed at every role, twice: how
long it takes with all threads that kernels may use, and in one thread by the processor's time, which is what parties
have to share that run on one machine. Between the sizes times are interpolated, beyond the largest they grow in
proportion.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from jali.crypto.prg import Prg
from jali.kernels.dispatch import one_thread
from jali.mpc.cost.meter import Metered, Work
from jali.mpc.fixed import decode, encode
from jali.mpc.functions.tables import pieces
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import lockstep
from jali.transport.pipe import stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.mpc.rounds import Round

    Talk = Generator[Round, Any, Any]

__all__ = ["STEP_S", "TRIALS", "ProtocolSpeed", "Rates", "Trial", "measure_protocol"]


class Trial(NamedTuple):
    """What is timed at once: operations on `n` words, products of matrices of `side` rows and columns."""

    n: int
    side: int
    repeats: int


TRIALS: Final = (Trial(64, 8, 8), Trial(4096, 64, 4), Trial(65_536, 256, 3), Trial(524_288, 512, 2))
_SHIFT: Final = 18
_THRESHOLDS: Final = 8
_MOST_IN_OTHER_RINGS: Final = 4096  # words; beyond, they take as many times longer as there are more
_LOOKUPS: Final = 65_536  # with 112 words each; more would measure how memory is given out
STEP_S: Final = 1e-5  # the scheduler starts and ends an operation
_MOST_PARTS: Final = 20

Rows = list[tuple[int, list[float]]]


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of a protocol's operations.

    `steps` maps "kind/parts/role" to rows of (words, seconds of each part); `products` likewise for the
    multiplications of matrix products beyond one a word. Beside the contract's operations there are "encode" and
    "decode", from numbers to ring elements and back.
    """

    steps: dict[str, Rows]
    products: dict[str, Rows] = {}

    def seconds(self, role: int, work: Work) -> list[float]:
        """Of each part of an operation; zeros for one that was never measured."""
        parts = len(work.parts)
        found = [STEP_S, *[0.0] * (parts - 1)]
        for table, size in ((self.steps, work.size), (self.products, work.products)):
            rows = _rows(table, role, work)
            if size and rows is not None:
                found = [a + b for a, b in zip(found, _interpolated(rows, size, parts), strict=True)]
        return found


class ProtocolSpeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast this machine does a protocol's operations: what they cost its processors, and how long they take."""

    work: Rates
    wall: Rates

    def seconds(self, role: int, work: Work) -> list[tuple[float, float]]:
        """Of each part of an operation: how long it takes, and what it costs the processors."""
        return list(zip(self.wall.seconds(role, work), self.work.seconds(role, work), strict=True))


def measure_protocol(protocol: str, *, trials: Sequence[Trial] = TRIALS) -> ProtocolSpeed:
    """Time every operation of a protocol; the least of the repeats counts. Cost: a few seconds of one core."""
    with one_thread():
        work = _measured(protocol, trials, time.thread_time)
    return ProtocolSpeed(work=work, wall=_measured(protocol, trials, time.perf_counter))


def _measured(protocol: str, trials: Sequence[Trial], clock: Callable[[], float]) -> Rates:
    steps, squares = _Best(), _Best()
    for trial in trials:
        for _ in range(trial.repeats):
            for role, works in _run(protocol, trial, clock).items():
                for work in works:
                    (squares if work.products else steps).add(role, work)
    rates = Rates(steps=steps.rows())
    return msgspec.structs.replace(rates, products=squares.rows(beyond=rates))


def _rows(table: Mapping[str, Rows], role: int, work: Work) -> Rows | None:
    """Of the operation in as many parts, which depends on what was opened before; else in nearly as many.

    A guest does what role 0 does.
    """
    wanted = len(work.parts)
    near = sorted(range(1, _MOST_PARTS), key=lambda parts: abs(parts - wanted))
    names = (f"{work.kind}/{parts}/{player}" for player in (role, 0) for parts in near)
    return next((table[name] for name in names if name in table), None)


class _Best:
    """The least seconds seen of each operation."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, Work], list[float]] = {}

    def add(self, role: int, work: Work) -> None:
        took = [end - begun for begun, end in work.parts]
        key = role, work._replace(parts=((0.0, 0.0),) * len(took))
        known = self._seconds.get(key, took)
        self._seconds[key] = list(map(min, known, took))

    def rows(self, *, beyond: Rates | None = None) -> dict[str, Rows]:
        """By size; `beyond` what is known already, by the number of products."""
        found: dict[str, Rows] = {}
        for (role, work), took in self._seconds.items():
            rows = found.setdefault(f"{work.kind}/{len(took)}/{role}", [])
            if beyond is None:
                rows.append((work.size, took))
            else:
                known = beyond.seconds(role, work._replace(products=0))
                rows.append((work.products, [max(0.0, a - b) for a, b in zip(took, known, strict=True)]))
        return {name: sorted(rows) for name, rows in found.items()}


def _interpolated(rows: Rows, size: int, parts: int) -> list[float]:
    """Seconds of each part at a size between two that were measured; aligned at the end if there are more or fewer."""
    index = min(max(1, bisect_right(rows, size, key=lambda row: row[0])), len(rows) - 1)
    if len(rows) == 1 or size <= rows[0][0]:
        found = rows[0][1]
    elif size >= rows[-1][0]:
        found = [seconds * size / rows[-1][0] for seconds in rows[-1][1]]
    else:
        (low, less), (high, more) = rows[index - 1], rows[index]
        weight = (size - low) / (high - low)
        found = [a + weight * (b - a) for a, b in zip(less, more, strict=True)]
    return [*[0.0] * (parts - len(found)), *found[-parts:]]


def _run(protocol: str, trial: Trial, clock: Callable[[], float]) -> dict[int, list[Work]]:
    """What every role did, and when. A dealer runs first, since it waits for nobody."""
    kind = PROTOCOLS.get(protocol)
    roles = range(len(kind.roles))
    prgs: dict[int, dict[int, Prg]] = {role: {} for role in roles}
    streams: dict[int, dict[int, Any]] = {role: {} for role in roles}
    for low in roles:
        for high in range(low + 1, len(roles)):
            key = bytes([low, high]) * 8
            prgs[low][high], prgs[high][low] = Prg(key), Prg(key)
            streams[low][high], streams[high][low] = stream_pair(f"role {low}", f"role {high}")
    sides = {role: kind(role, prgs=prgs[role], streams=streams[role]) for role in roles}
    works: dict[int, list[Work]] = {role: [] for role in roles}
    courses = {role: _course(Metered(own, clock=clock, note=works[role].append), trial) for role, own in sides.items()}
    if kind.dealer is not None:
        lockstep({kind.dealer: courses.pop(kind.dealer)})
        sides[kind.dealer].finish()
    lockstep(courses)
    works[0] += _conversions(trial.n, clock)
    return works


def _conversions(n: int, clock: Callable[[], float]) -> list[Work]:
    times = [clock()]
    words = encode(np.arange(n, dtype=np.float64), kind="fixed", fraction=_SHIFT)
    times.append(clock())
    decode(words, kind="fixed", fraction=_SHIFT)
    times.append(clock())
    return [Work("encode", n, ((times[0], times[1]),)), Work("decode", n, ((times[1], times[2]),))]


def _course(side: Any, trial: Trial) -> Talk:
    """All operations, each on operands that no product has needed before and again on operands that one has."""
    n = trial.n
    numbers = np.arange(n, dtype=np.uint64)
    x = yield from side.input(numbers if side.role == 0 else None, 0, (n,))
    y = yield from side.input(numbers if side.role == 1 else None, 1, (n,))
    base = yield from side.mul(x, y, shift=_SHIFT)
    bits = yield from side.sign(side.linear(np.negative, base, shape=(n,)))

    def fresh() -> Any:
        return side.linear(np.negative, base, shape=(n,))

    def fresh_bits() -> Any:
        return side.xor(bits, bits)

    for operation, operands in (
        (side.mul, (fresh(), fresh())),
        (lambda a, b: side.mul(a, b, shift=_SHIFT), (fresh(), fresh())),
        (side.sign, (fresh(),)),
        (side.is_zero, (fresh(),)),
        (side.conjunction, (fresh_bits(), fresh_bits())),
        (side.to_arithmetic, (fresh_bits(),)),
        (side.select, (fresh_bits(), fresh())),
    ):
        for _ in range(2):
            yield from operation(*operands)
    if n <= _MOST_IN_OTHER_RINGS:
        yield from _in_other_rings(side, fresh, trial)
    yield from _truncations_and_openings(side, fresh(), fresh(), fresh_bits())
    yield from _trees_and_tables(side, fresh, fresh_bits)
    yield from _shares_and_orders(side, fresh, n)
    yield from _matrix_products(side, fresh, trial)
    side.linear(np.subtract, fresh(), fresh(), shape=(n,))
    side.add_public(fresh(), numbers)
    side.public(numbers)
    side.public_bits(numbers > n // 2)
    side.invert(fresh_bits())
    side.permute_bits(lambda a: a[::-1], fresh_bits(), shape=(n,))


def _in_other_rings(side: Any, fresh: Any, trial: Trial) -> Talk:
    """Of operands that no product has needed before, and of those that one has."""
    for bits in (16, 32):
        x = fresh()
        for operation in (side.sign, side.is_zero, side.compare_with_zero):
            yield from operation(x, bits=bits)
        yield from side.at_least(x, [_SHIFT * k for k in range(_THRESHOLDS)], bits=bits)
        yield from side.mul(x, x)
        for operation in (side.sign, side.is_zero, side.compare_with_zero):
            yield from operation(x, bits=bits)
    x, y = fresh(), fresh()
    for exact in (False, False, True):
        yield from side.mul(x, y, shift=_SHIFT, wide=True, exact=exact)
    for exact in (False, True):
        yield from _dots(side, fresh, trial, shift=_SHIFT, wide=True, exact=exact)


def _truncations_and_openings(side: Any, x: Any, y: Any, bits: Any) -> Talk:
    yield from side.truncate(x, _SHIFT)
    yield from side.reveal(x, [0, 1])
    yield from side.reveal_bits(bits, [0, 1])
    if hasattr(side, "settle"):
        yield from side.settle(x, y)
        yield from side.truncate(x, _SHIFT)


def _trees_and_tables(side: Any, fresh: Any, fresh_bits: Any) -> Talk:
    n = fresh().shape[0]
    pairs = side.permute_bits(lambda a, b: np.stack([a, b]), fresh_bits(), fresh_bits(), shape=(2, n))
    table = pieces(np.tanh, -4.0, 4.0, degree=6, unit=1 << _SHIFT)
    few = min(n, _LOOKUPS)
    for operation, size in (
        (lambda x: side.at_least(x, [_SHIFT * k for k in range(_THRESHOLDS)]), n),
        (side.compare_with_zero, n),
        (lambda x: side.lookup(x, table), few),
    ):
        x = side.linear(partial(np.resize, new_shape=(size,)), fresh(), shape=(size,))
        for _ in range(2):
            yield from operation(x)
    yield from side.all_of(pairs)


def _shares_and_orders(side: Any, fresh: Any, n: int) -> Talk:
    own = side.role == 0
    yield from side.input_bits(np.zeros(n, np.bool_) if own else None, 0, (n,))
    x = fresh()
    part = side.additive_part(side.role, x) if side.role in side.holders else None
    yield from side.from_parts(part, (n,), bits=False)
    side.random_bits((n,))
    row = side.linear(lambda a: a.reshape(1, n), x, shape=(1, n))
    shuffled = yield from side.shuffle(row)
    yield from side.disclose(shuffled[0])
    if hasattr(side, "scatter"):
        yield from side.scatter(np.zeros(n, np.uint64) if own else None, 0, (n,))
        side.detach(x)


def _matrix_products(side: Any, fresh: Any, trial: Trial) -> Talk:
    for shift in (0, _SHIFT):
        yield from _dots(side, fresh, trial, shift=shift)


def _dots(side: Any, fresh: Any, trial: Trial, **options: Any) -> Talk:
    for rows, inner, columns in ((trial.n // 64, 64, 1), (trial.side, trial.side, trial.side)):
        left = side.linear(partial(np.resize, new_shape=(rows, inner)), fresh(), shape=(rows, inner))
        right = side.linear(partial(np.resize, new_shape=(inner, columns)), fresh(), shape=(inner, columns))
        for _ in range(2):
            yield from side.dot(left, right, **options)
