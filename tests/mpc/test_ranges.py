# SPDX-License-Identifier: Apache-2.0
"""The range analysis is never wrong (no value leaves its interval), knows what it should, and always ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jali.core.tree import flatten, unflatten
from jali.ml import LogisticRegression
from jali.mpc.bounds import largest_of
from jali.mpc.engine import compile_function, type_of
from jali.mpc.functions.basis import call, functions
from jali.mpc.ir import ValueType
from jali.mpc.numbers import Numbers
from jali.mpc.plain import PlainProtocol
from jali.mpc.prepare import prepare
from jali.mpc.program import run_program
from jali.mpc.ranges.analysis import Analysis, analyse
from jali.mpc.ranges.functions import domain, least_fraction, result
from jali.mpc.ranges.intervals import GRID, point
from jali.mpc.ranges.rules import KINDS
from jali.mpc.rounds import drive
from tests.mpc.corpus import PROGRAMS
from tests.mpc.roles import SECURE, run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.ir import Program
    from jali.mpc.rounds import Round

    Tree = tuple[Any, ...]

UNIT = 2.0**18
SHAPE = (2, 3)


def spec(shape: tuple[int, ...] = SHAPE, *, bound: float | None = None, kind: str = "fixed") -> ValueType:
    range_ = None if bound is None else (-bound, bound)
    return ValueType(shape=shape, kind=kind, fraction=18 if kind == "fixed" else 0, bound=range_)


def analysed(function: Callable[..., Any], *specs: Any) -> Analysis:
    return analyse(compile_function(function, specs))


def ends(analysis: Analysis, output: int = 0, *, at: float = 1.0) -> tuple[float, float]:
    """The interval of an output where undeclared inputs are at most `at`."""
    interval = analysis.outputs[output]
    assert interval is not None
    index = int(np.argmin(np.abs(GRID - at)))
    low, high = (float(np.broadcast_to(end, GRID.shape)[index]) / UNIT for end in interval)
    return low, high


# -- never wrong ----------------------------------------------------------------------------------------------------

leaves = st.one_of(
    st.sampled_from([("x",), ("y",)]),
    st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 0.1, 1 / 1024, 3.7, -100.0]).map(lambda c: ("constant", c)),
)
BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "quotient", "product"]
UNARY = [
    "negative", "abs", "square", "centred", "total", "turn", "softmax", "below", "sigmoid", "tanh", "relu", "clip",
    "root", "running", "wrong", "sign", "floor", "repeat", "decay", "variance", "log_sum", "twisted",
    "mirrored",
]  # fmt: skip


def grow(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from(BINARY), children, children),
        st.tuples(st.sampled_from(UNARY), children),
        st.tuples(st.just("where"), children, children, children),
    )


trees = st.recursive(leaves, grow, max_leaves=5)

OWN: dict[str, Callable[..., Any]] = {
    "constant": lambda c: jnp.full(SHAPE, c),
    "where": lambda a, b, c: jnp.where(a < b, b, jnp.where(c >= a, -a, c)),
    "quotient": lambda a, b: a / (1 + b * b),
    "product": lambda a, b: jnp.reshape(a @ b.T @ jnp.ones((2, 3)), SHAPE),
    "centred": lambda a: a - jnp.mean(a, axis=0),
    "variance": lambda a: a + jnp.var(a, axis=1, keepdims=True),
    "total": lambda a: a + jnp.sum(a * a) / 16,
    "turn": lambda a: jnp.reshape(a.T, SHAPE),
    "softmax": lambda a: jax.nn.softmax(a, axis=1),
    "log_sum": lambda a: a - jax.scipy.special.logsumexp(a, axis=0),
    "below": lambda a: a - jnp.max(a, axis=1, keepdims=True),
    "wrong": lambda a: a - jnp.max(a, axis=1)[0],
    "twisted": lambda a: jnp.where((a < 0.25).T.reshape(SHAPE), -a, a),
    "mirrored": lambda a: jnp.where((a >= 0)[:, ::-1], a[:, ::-1], -a),
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "clip": lambda a: jnp.clip(a, -2.0, 0.75),
    "root": lambda a: jnp.sqrt(1 + a * a),
    "running": lambda a: jnp.cumsum(a, axis=1),
    "repeat": lambda a: lax.fori_loop(0, 5, lambda _, s: s + 0.5 * a, jnp.zeros(SHAPE)),
    "decay": lambda a: lax.scan(lambda s, i: (0.5 * s + a * i, s.sum()), a, jnp.arange(40.0) / 40)[0],
}


def evaluate(tree: Tree, x: Any, y: Any) -> Any:
    kind, *parts = tree
    if kind in {"x", "y"}:
        return x if kind == "x" else y
    values = [evaluate(p, x, y) if isinstance(p, tuple) else p for p in parts]
    return OWN[kind](*values) if kind in OWN else getattr(jnp, kind)(*values)


def with_everything(program: Program) -> tuple[Program, list[int]]:
    """The same program with every secret number as an output."""
    places = [value for value, kind in enumerate(program.types) if kind.secret and kind.kind != "bool"]
    return msgspec.structs.replace(program, outputs=tuple(places)), places


def in_clear(program: Program, *arrays: NDArray[Any]) -> list[NDArray[np.float64]]:
    side: Any = PlainProtocol(checked=False)
    shares = [drive(side.input(np.rint(a * UNIT).astype(np.int64).view(np.uint64), 0, a.shape), {}) for a in arrays]
    return [share.data.view(np.int64).astype(np.float64) for share in drive(run_program(program, side, shares), {})]


@settings(max_examples=120, deadline=None)
@given(tree=trees, seed=st.integers(0, 2**32 - 1), place=st.integers(0, 80))
def test_no_value_leaves_its_interval(tree: Tree, seed: int, place: int) -> None:
    """Inputs up to a bound that the analysis calls safe, and at its ends; every value on the way is looked at."""
    program, places = with_everything(compile_function(lambda x, y: evaluate(tree, x, y), [spec(), spec()]))
    analysis = analyse(program)
    if analysis.unproven:
        return
    index = min(place, int(np.searchsorted(GRID, min(analysis.bound, 2.0**30))))
    random = np.random.default_rng(seed)
    inputs = random.uniform(-1, 1, (2, *SHAPE))
    inputs = np.where(random.random(inputs.shape) < 0.4, np.sign(inputs), inputs) * GRID[index]
    for value, found in zip(places, in_clear(program, *inputs), strict=True):
        interval = analysis.values[value]
        assert interval is not None
        low, high = (float(np.broadcast_to(end, GRID.shape)[index]) for end in interval)
        room = 1e-12 * max(abs(low), abs(high))
        assert low - room <= found.min()
        assert found.max() <= high + room


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("tree", [("softmax", ("x",)), ("decay", ("multiply", ("x",), ("y",))), ("variance", ("x",))])
def test_truncations_of_secure_protocols_stay_inside_too(protocol: str, tree: Tree) -> None:
    program = compile_function(lambda x, y: evaluate(tree, x, y), [spec(), spec()])
    low, high = ends(analyse(program), at=4.0)
    x = np.array([[4.0, -4.0, 4.0], [0.3, -0.1, 0.0]])
    words = np.rint(x * UNIT).astype(np.int64).view(np.uint64)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        first = yield from side.input(words if side.role == 0 else None, 0, SHAPE)
        second = yield from side.input(words if side.role == 1 else None, 1, SHAPE)
        (result,) = yield from run_program(program, side, [first, second])
        return (yield from side.reveal(result, [0]))

    found = run_lockstep(protocol, operation)[0].view(np.int64) / UNIT
    assert low <= found.min()
    assert found.max() <= high


# -- what it knows --------------------------------------------------------------------------------------------------


def test_a_product_has_room_for_what_fits_and_no_more() -> None:
    analysis = analysed(lambda x: x * x, spec())
    assert analysis.bound == 2.0**12.75
    assert not analysis.unproven
    assert analysis.limiting is not None
    assert analysis.limiting.what == "a product"
    assert analysis.limiting.limit == pytest.approx(2.0**26)
    assert analysis.limiting.source.startswith("test_ranges.py:")
    assert not analysed(lambda x: x * x, spec(bound=8191.0)).unproven
    assert analysed(lambda x: x * x, spec(bound=8193.0)).unproven


CORRELATED: dict[str, tuple[Callable[[Any], Any], tuple[float, float]]] = {
    "square": (lambda x: x * x, (0, 16)),
    "norm": (lambda x: jnp.sum(x * x, axis=1), (0, 48)),
    "absolute": (jnp.abs, (0, 4)),
    "relu": (jax.nn.relu, (0, 4)),
    "clip": (lambda x: jnp.clip(x, -1, 2), (-1, 2)),
    "softmax": (lambda x: jax.nn.softmax(x, axis=1), (0, 1)),
    "below": (lambda x: x - jnp.max(x, axis=0), (-8, 0)),
    "log-softmax": (lambda x: jax.nn.log_softmax(x, axis=1), (-9.1, 0)),
    "sigmoid": (jax.nn.sigmoid, (0.0178, 0.982)),
    "signs": (jnp.sign, (-1, 1)),
    "masked": (lambda x: (x > 0) * x, (0, 4)),
    "mean": (jnp.mean, (-4, 4)),
    "chosen": (lambda x: jnp.sum(jnp.where(jnp.arange(3)[None, :] == jnp.floor(x[:, :1]), x, 0), axis=1), (-4, 4)),
}


@pytest.mark.parametrize("name", CORRELATED)
def test_values_that_belong_together_are_known_to_do_so(name: str) -> None:
    function, (low, high) = CORRELATED[name]
    found = ends(analysed(function, spec()), at=4.0)
    assert found == pytest.approx((low, high), abs=0.01)


def test_facts_are_not_claimed_where_elements_do_not_meet() -> None:
    square = spec((3, 3))
    assert ends(analysed(lambda x: x - jnp.max(x, axis=1)[None, :], square))[1] == 2
    assert ends(analysed(lambda x: x * x.T, square))[0] == pytest.approx(-1, abs=1e-4)
    assert ends(analysed(lambda x: jnp.sum(x * x[::-1]), square))[0] == pytest.approx(-9, abs=1e-4)

    def askew(x: Any) -> Any:
        return jnp.exp(x) / jnp.sum(jnp.exp(x), axis=1)[None, :]

    assert ends(analysed(askew, square), at=4.0)[1] > 3
    same = analysed(lambda x: jnp.sum(jnp.where(jnp.zeros(3) == jnp.floor(x), x, 0), axis=1), square)
    assert ends(same) == (-3, 3)
    assert ends(analysed(lambda x: jnp.where((x < 0).T, -x, x), square)) == (-1, 1)
    assert ends(analysed(lambda x: jnp.where(x < 0, -x.T, x), square))[0] == -1
    assert ends(analysed(lambda x: jnp.where((x < 0).T, -x.T, x.T), square)) == (0, 1)


def test_denominators_and_divisions() -> None:
    safe = analysed(lambda x, y: x / (1 + y * y), spec(), spec())
    assert not safe.unproven
    assert ends(safe, at=4.0) == pytest.approx((-4, 4), abs=0.01)
    risky = analysed(lambda x, y: x / y, spec(), spec())
    assert risky.bound == pytest.approx(2.0**13.75)  # 1 / y can be 4096


@pytest.mark.parametrize(("function", "what"), [(jnp.log, "log"), (jnp.sqrt, "sqrt"), (jnp.exp, "exp")])
def test_arguments_outside_a_domain_are_reported_like_overflow(function: Callable[[Any], Any], what: str) -> None:
    analysis = analysed(function, spec())
    sites = [*analysis.unproven, analysis.limiting]
    assert any(site is not None and site.what == f"the argument of {what}" for site in sites)
    assert not analysed(lambda x: function(x * x + 1), spec(bound=3.0)).unproven


def test_whole_numbers_wrap_around_as_those_of_numpy_do() -> None:
    number = spec(kind="int")
    assert analysed(lambda x: x * x + x, number).bound == np.inf
    assert analysed(lambda x, y: x < y, number, number).bound == 2.0**61.75
    assert analysed(lambda x: x * 1.5, number).bound < 2.0**45


def test_booleans_have_no_size() -> None:
    bits = ValueType(shape=(4,), kind="bool")
    analysis = analysed(lambda b: (b, ~b, jnp.sum(b), jnp.where(b, 2.0, -1.0)), bits)
    assert analysis.outputs[0] is None
    assert ends(analysis, 2)[1] * UNIT == 4
    assert ends(analysis, 3) == (-1, 2)


@pytest.mark.parametrize("name", functions())
@pytest.mark.parametrize("seed", range(3))
def test_results_of_functions_lie_in_their_intervals(name: str, seed: int) -> None:
    random, side = np.random.default_rng(seed), PlainProtocol()
    for fraction in range(least_fraction(name), 19):
        limits = domain(name, fraction=fraction)
        low, high = np.sort(random.uniform(max(limits.low, -(2.0**24)), min(limits.high, 2.0**26), 2))
        words = np.unique(np.rint(np.append(random.uniform(low, high, 200), [low, high])).astype(np.int64))
        share: Any = drive(side.input(words.view(np.uint64), 0, words.shape), {})
        protocol: Any = side
        found = drive(call(name, protocol, share, fraction=fraction), {}).data.view(np.int64)  # type: ignore[attr-defined]
        expected = result(name, point(float(words.min()), float(words.max())), fraction=fraction)
        assert expected.low[0] <= found.min()
        assert found.max() <= expected.high[0]


def kinds_in(program: Program) -> set[str]:
    """The kinds of operations that make secret numbers."""
    own = {op.kind for op in program.ops if any(program.types[value].kind != "bool" for value in op.outputs)}
    return own.union(*(kinds_in(op.body) for op in program.ops if op.body is not None))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kind_of_operation_has_a_rule(name: str) -> None:
    function, arguments = PROGRAMS[name].function, PROGRAMS[name].inputs
    flat, structure = flatten(list(arguments))
    program = compile_function(function, unflatten(structure, [type_of(x) for x in flat]))
    assert kinds_in(program) - {"constant", "loop"} <= KINDS, "add it to jali.mpc.ranges.rules"


# -- loops ----------------------------------------------------------------------------------------------------------


def test_a_loop_grows_as_far_as_it_runs() -> None:
    analysis = analysed(lambda x: lax.fori_loop(0, 10, lambda _, s: s + x, x), spec())
    assert ends(analysis) == (-11, 11)


def test_a_loop_that_converges_is_not_followed_to_its_end() -> None:
    analysis = analysed(lambda x: lax.fori_loop(0, 50_000, lambda _, s: 0.9 * s + x, x * 0.0 + x), spec())
    assert not analysis.unproven
    low, high = ends(analysis)
    assert 9.9 < high < 11
    assert low == pytest.approx(-high, abs=1e-4)


LONG: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda s, x: s + x,
    "fading sum": lambda s, x: 0.97 * s - 0.25 * x,
    "decay": lambda s, x: s - 0.01 * s + jnp.tanh(x),
    "mixing": lambda s, x: 0.5 * s + 0.5 * s[::-1] + x,
    "differences": lambda s, x: 0.5 * s - 0.5 * s[::-1] + x,
    "reflection": lambda s, x: x - s,
    "bounded step": lambda s, x: s + jax.nn.sigmoid(s * x) - 0.5,
    "clipped": lambda s, x: jnp.clip(s + x, -9, 40),
    "turning": lambda s, x: jnp.reshape(s, SHAPE) - jnp.minimum(x, 0.5),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_foreseen_of_long_loops_holds_what_happens(name: str, seed: int) -> None:
    body = LONG[name]
    program = compile_function(lambda x: lax.fori_loop(0, 400, lambda _, s: body(s, x), 0.5 * x), [spec()])
    analysis = analyse(program)
    assert not analysis.unproven
    random = np.random.default_rng(seed)
    index = int(random.integers(0, np.searchsorted(GRID, min(analysis.bound, 1e4))))
    x = np.where(random.random(SHAPE) < 0.5, 1.0, random.uniform(-1, 1, SHAPE)) * GRID[index] * (-1) ** seed
    (found,) = in_clear(program, x)
    low, high = ends(analysis, at=float(GRID[index]))
    assert low <= found.min() / UNIT
    assert found.max() / UNIT <= high


def test_momentum_is_foreseen_over_thousands_of_steps() -> None:
    model = LogisticRegression(epochs=40, batch_size=32, l2=0.0)
    analysis = analysed(model.fit, spec((900, 5)), spec((900,), kind="int"))
    assert not analysis.unproven
    assert analysis.bound > 2


def test_a_loop_that_explodes_is_unproven_and_ends() -> None:
    analysis = analysed(lambda x: lax.fori_loop(0, 100_000, lambda _, s: s * s + x, x + 2.0), spec())
    assert any(site.what == "a product" for site in analysis.unproven)
    assert analysis.certain is None


def test_training_has_room_for_standardised_features() -> None:
    model = LogisticRegression(epochs=8, batch_size=64)
    analysis = analysed(model.fit, spec((700, 12)), spec((700,), kind="int"))
    assert not analysis.unproven
    assert analysis.bound >= 8


def test_the_first_iterations_tell_inputs_that_are_too_large() -> None:
    """Without loops the two analyses agree; with them the worst case of later iterations refuses nothing."""
    program = compile_function(lambda x: x * x + jnp.tanh(x), [spec()])
    assert analyse(program).bound == analyse(program, brief=True).bound
    long = compile_function(LogisticRegression(epochs=40).fit, [spec((700, 12)), spec((700,), kind="int")])
    worst, first = analyse(long), analyse(long, brief=True)
    assert worst.unproven or worst.bound < 4
    assert not first.unproven
    assert 30 < first.bound < 10_000


def test_a_loop_that_grows_evenly_is_not_followed_to_its_end() -> None:
    analysis = analysed(lambda x: lax.fori_loop(0, 100_000, lambda _, s: s + x, x), spec())
    assert not analysis.unproven
    assert ends(analysis) == pytest.approx((-100_001, 100_001), rel=1e-5)


def test_a_loop_that_is_too_long_to_follow_is_named() -> None:
    analysis = analysed(lambda x: lax.fori_loop(0, 100_000, lambda _, s: s * 1.001 + x, x), spec())
    assert next(map(str, analysis.unproven)).startswith("a loop of 100,000 iterations, ")


def test_outputs_carry_their_range_into_the_next_program() -> None:
    first = analysed(lambda x: jnp.clip(x, -3, 3), spec())
    second = analyse(compile_function(lambda x: x * x, [spec()]), first.outputs)
    assert second.bound == np.inf
    assert ends(second, at=8.0) == pytest.approx((0, 9), abs=1e-4)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_users_may_run_on_their_data(name: str) -> None:
    """What cannot be shown to be safe is named; owners hold their numbers to useful bounds only."""
    function, arguments = PROGRAMS[name].function, PROGRAMS[name].inputs
    flat, structure = flatten(list(arguments))
    types = unflatten(structure, [type_of(x) for x in flat])
    prepared = prepare(function, types, keywords={}, numbers=Numbers())
    assert prepared.worst.certain is None
    for (bound, reason), x in zip(prepared.limits, flat, strict=True):
        assert (largest_of(np.asarray(x)) or 0.0) <= bound, reason
    if prepared.worst.bound < np.inf or prepared.worst.unproven:
        assert any(
            "safe within" in note or "safe for inputs" in note or "not proven" in note for note in prepared.notes
        )


def test_most_programs_of_users_are_proven_for_standardised_columns() -> None:
    proven = 0
    for case in PROGRAMS.values():
        flat, structure = flatten(list(case.inputs))
        analysis = analyse(compile_function(case.function, unflatten(structure, [type_of(x) for x in flat])))
        proven += analysis.bound >= 8 and not analysis.unproven
    assert proven > len(PROGRAMS) * 0.6
