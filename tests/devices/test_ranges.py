# SPDX-License-Identifier: Apache-2.0
"""Numbers that do not fit end in an error, at the owner or before anything runs; never in garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.scipy.special import gammaln

import jali
from jali.core.errors import DeviceInvalid, FixedPointRangeError, JaliError, RangesUnsafe, UnsupportedOperation
from jali.ml import LogisticRegression
from jali.mpc.bounds import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def fed() -> Iterator[jali.Federation]:
    federation = jali.simulate("alice", "bob", "carol")
    yield federation
    federation.abandon(JaliError("the test is over"))


def column(size: float) -> np.ndarray:
    return np.array([0.5, -1.0, size])


def square(x: Any) -> Any:
    return x * x


PARTIES = [("alice", "bob"), ("alice", "bob", "carol"), ("alice",)]


@pytest.mark.parametrize("parties", PARTIES)
def test_a_product_that_would_overflow_is_an_error_at_the_owner(fed: jali.Federation, parties: tuple[str, ...]) -> None:
    """The default configuration: nothing is declared, and 1e10 squared has no room."""
    squares = fed.mpc(*parties)(square)(fed.plain("alice")(column)(1e10))
    with pytest.raises(FixedPointRangeError, match=r"J1310 .*beyond 6889, .*a product at test_ranges\.py") as caught:
        jali.reveal(squares, to="alice")
    assert caught.value.party == "alice"
    assert "e+10" not in str(caught.value)


@pytest.mark.parametrize("parties", PARTIES)
def test_numbers_up_to_the_bound_are_right(fed: jali.Federation, parties: tuple[str, ...]) -> None:
    squares = fed.mpc(*parties)(square)(fed.plain("alice")(column)(5700.0))
    np.testing.assert_array_equal(jali.reveal(squares, to="alice"), column(5700.0) ** 2)


def test_every_owner_checks_its_own_numbers(fed: jali.Federation) -> None:
    product = fed.mpc("alice", "bob")(lambda x, y: x * y)(
        fed.plain("alice")(column)(2.0), fed.plain("bob")(column)(1e6)
    )
    with pytest.raises(FixedPointRangeError) as caught:
        jali.reveal(product, to="alice")
    assert caught.value.party == "bob"


@pytest.mark.parametrize("size", [2.0, 1e6])
def test_an_owner_outside_the_device_checks_too(fed: jali.Federation, size: float) -> None:
    mpc = fed.mpc("bob", "carol")
    x = fed.plain("alice")(column)(size)
    twice, _ = mpc(lambda v: (v + v, v), returns=2)(x)
    squares = mpc(square)(twice)
    if size == 2.0:
        np.testing.assert_array_equal(jali.reveal(squares, to="bob"), 4 * column(size) ** 2)
        return
    with pytest.raises(FixedPointRangeError, match="beyond 3444") as caught:
        jali.reveal(squares, to="bob")
    assert caught.value.party == "alice"


@pytest.mark.parametrize("size", [2.0, 1e6])
def test_an_owner_outside_a_device_with_a_bound_checks_when_it_shares(fed: jali.Federation, size: float) -> None:
    mpc = fed.mpc("bob", "carol", input_bound=3.0)

    def squares() -> Any:
        return jali.reveal(mpc(square)(fed.plain("alice")(column)(size)), to="bob")

    if size == 2.0:
        np.testing.assert_array_equal(squares(), column(size) ** 2)
        return
    # the owner may find out before this program has said what comes next
    with pytest.raises(FixedPointRangeError, match=r"1 of 3 numbers lie outside -3\.\.3") as caught:
        squares()
    assert caught.value.node == "#1 share column"


def test_a_chain_of_programs_is_followed_back_to_the_owners(fed: jali.Federation) -> None:
    """The first program has room for 1e6, the second has not: the owner learns it when the second runs."""
    mpc = fed.mpc("alice", "bob")
    half = mpc(lambda x: x * 0.5)(fed.plain("alice")(column)(1e6))
    np.testing.assert_allclose(jali.reveal(half, to="alice"), column(1e6) / 2)
    squares = mpc(square)(half)
    with pytest.raises(FixedPointRangeError, match=r"beyond 1\.378e"):
        jali.reveal(squares, to="alice")


def test_declared_bounds_make_room_for_large_numbers_beside_small_ones(fed: jali.Federation) -> None:
    mpc = fed.mpc("alice", "bob")
    x = fed.plain("alice")(lambda: bounded(column(1e6), 2e6))()
    y = fed.plain("bob")(lambda: bounded(np.full(3, 0.25), 1.0, low=0.0))()
    np.testing.assert_allclose(
        jali.reveal(mpc(lambda a, b: a * b)(x, y), to="bob"), column(1e6) * 0.25, rtol=1e-5, atol=1e-5
    )


def test_a_program_that_can_overflow_within_declared_bounds_is_refused(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: bounded(column(1.0), 1e5))()
    squares = fed.mpc("alice", "bob", ring=64)(square)(x)
    said = r"J2105 square can overflow within the declared bounds .*a product .*room for inputs within -6889\.\.6889"
    with pytest.raises(RangesUnsafe, match=said) as caught:
        jali.reveal(squares, to="alice")
    assert str(caught.value.source).startswith("test_ranges.py:")


@pytest.mark.parametrize(("parties", "protocol"), [*((p, None) for p in PARTIES), (("alice", "bob", "carol"), "aby3")])
def test_products_of_large_numbers_are_made_in_a_larger_ring(
    fed: jali.Federation, parties: tuple[str, ...], protocol: str | None
) -> None:
    """What Z_2^64 has no room for is neither refused nor wrong, once the owners have said how large it is."""
    amounts, rates = np.array([9.1e5, -3.25e5, 0.5]), np.array([12_345.678, -0.125, 1e4])
    x = fed.plain("alice")(lambda: bounded(amounts, 1e6))()
    y = fed.plain("bob" if len(parties) > 1 else "alice")(lambda: bounded(rates, 2e4))()

    def function(a: Any, b: Any) -> Any:
        return a * b, a @ b, a * 54_321.5, jnp.where(a * b < 0, b, -b)

    results = fed.mpc(*parties, protocol=protocol)(function, returns=4)(x, y)
    product, total, scaled, chosen = (jali.reveal(result, to="alice") for result in results)
    unit = 2.0**-18
    encoded = (np.round(column * 2**18).astype(np.int64).astype(object) for column in (amounts, rates))
    nearest = np.array([(2 * a * b + 2**18) >> 19 for a, b in zip(*encoded, strict=True)])
    np.testing.assert_array_equal(product * 2**18, nearest.astype(np.float64))
    np.testing.assert_allclose(total, amounts @ rates, rtol=0, atol=3e6 * unit)
    np.testing.assert_allclose(scaled, amounts * 54_321.5, rtol=0, atol=2 * unit)
    np.testing.assert_allclose(chosen, np.where(amounts * rates < 0, rates, -rates), rtol=0, atol=unit)


@pytest.mark.parametrize("where", ["at the owner", "on the device"])
def test_numbers_outside_their_declared_range_are_refused(fed: jali.Federation, where: str) -> None:
    if where == "at the owner":
        x = fed.plain("alice")(lambda: bounded(column(9.0), 8.0))()
        mpc = fed.mpc("alice", "bob")
    else:
        x = fed.plain("alice")(column)(9.0)
        mpc = fed.mpc("alice", "bob", input_bound=8.0)
    with pytest.raises(FixedPointRangeError, match=r"1 of 3 numbers lie outside -8\.\.8"):
        jali.reveal(mpc(square)(x), to="alice")


def test_what_always_overflows_is_refused(fed: jali.Federation) -> None:
    x = fed.plain("alice")(column)(1.0)
    with pytest.raises(RangesUnsafe, match="whatever its inputs are"):
        jali.reveal(fed.mpc("alice", "bob")(lambda v: jnp.exp(jnp.abs(v) + 40))(x), to="alice")


def test_what_cannot_be_proven_runs_unless_strict_and_is_named(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: np.full(3, -0.5))()
    mpc = fed.mpc("alice", "bob")
    jali.reveal(mpc(lambda v: jnp.log(v + 1.0))(x), to="alice")
    [line] = [line for line in fed.report().ranges if "not proven" in line]
    assert "the argument of log at test_ranges.py" in line
    strict = fed.mpc("alice", "bob", ranges="strict")
    with pytest.raises(RangesUnsafe, match="not proven"):
        jali.reveal(strict(lambda v: jnp.log(v + 1.0))(x), to="alice")


def many_steps(x: Any, y: Any) -> Any:
    return LogisticRegression(epochs=300, batch_size=8).fit(x, y)


def test_worst_cases_of_long_loops_refuse_nothing_but_what_the_first_steps_cannot_take(fed: jali.Federation) -> None:
    mpc = fed.mpc("alice", "bob", "carol", ranges="checked")

    def rows(scale: float) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(8, 2)) * scale

    y = fed.plain("bob")(lambda: np.arange(8) % 2)()
    weights = jali.reveal(mpc(many_steps)(fed.plain("alice")(rows)(3.0), y), to="alice")
    assert np.abs(np.asarray(weights[0])).max() < 10
    lines = [line for line in fed.report().ranges if line.startswith("many_steps")]
    assert "takes inputs within" in lines[0]
    assert "proven safe within" in lines[1] or "not proven" in lines[1]
    with pytest.raises(FixedPointRangeError):
        jali.reveal(mpc(many_steps)(fed.plain("alice")(rows)(1e5), y), to="alice")


@pytest.mark.parametrize(("steps", "proven", "checked"), [(6, 11.31, 11.31), (13, 3.364, 362.0)])
def test_what_is_proven_of_loops_is_held_to_where_it_is_not_a_mere_worst_case(
    steps: int, proven: float, checked: float
) -> None:
    def job(fed: jali.Federation) -> None:
        x = fed.plain("alice")(column, returns=jali.Spec((3,)))(1.0)
        fed.mpc("alice", "bob", ranges="strict")(grow)(x)
        fed.mpc("alice", "bob")(grow)(x)

    def grow(x: Any) -> Any:
        return lax.fori_loop(0, steps, lambda _, s: s * x, x)

    first, *rest = jali.explain(job, ["alice", "bob"]).ranges
    assert f"proven safe for inputs within -{proven:.4g}..{proven:.4g}" in first
    if proven != checked:
        assert f"takes inputs within -{checked:.4g}..{checked:.4g}, which their owners check" in rest[0]
        assert f"proven safe within -{proven:.4g}..{proven:.4g}" in rest[1]


def test_strict_devices_hold_owners_to_what_is_proven(fed: jali.Federation) -> None:
    def grow(x: Any) -> Any:
        return lax.fori_loop(0, 13, lambda _, s: s * x, x)

    strict = fed.mpc("alice", "bob", ranges="strict")
    small, large = (fed.plain("alice")(lambda size=size: np.array([size]))() for size in (3.0, 4.0))
    assert float(jali.reveal(strict(grow)(small), to="bob")[0]) == 3.0**14
    with pytest.raises(FixedPointRangeError, match=r"beyond 3\.364"):
        jali.reveal(strict(grow)(large), to="bob")


def test_unchecked_devices_leave_it_to_the_user(fed: jali.Federation) -> None:
    x = fed.plain("alice")(column)(1e10)
    result = jali.reveal(fed.mpc("alice", "bob", ranges="unchecked")(square)(x), to="alice")
    assert not np.isclose(result[2], 1e20)


def test_the_plan_says_how_large_inputs_may_be() -> None:
    def job(function: Callable[[Any], Any], **options: Any) -> Any:
        def program(fed: jali.Federation) -> None:
            x = fed.plain("alice")(column, returns=jali.Spec((3,)))(1.0)
            jali.reveal(fed.mpc("alice", "bob", **options)(function)(x), to="alice")

        return jali.explain(program, ["alice", "bob"])

    plan = job(square)
    assert "square: proven safe for inputs within -6889..6889, which their owners check" in "".join(plan.ranges)
    assert "How large numbers may be" in str(plan)
    assert "How large" not in str(job(lambda x: x + 1).to_json())
    assert "16 bits" in "".join(job(square, fraction="auto", ring=64, input_bound=3e4).ranges)
    assert "1 product in Z_2^128: at test_ranges.py:" in "".join(job(square, input_bound=1e5).ranges)
    with pytest.raises(RangesUnsafe, match="within -6889"):
        job(square, ring=64, input_bound=1e5)
    plan = job(lambda x: jnp.where(x < 0.5, x, jnp.max(x)), input_bound=100.0)
    assert "2 comparisons in Z_2^32" in "".join(plan.ranges)


def test_fewer_fraction_bits_are_chosen_where_that_is_safe(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: bounded(column(25_000.0), 3e4))()
    squares = jali.reveal(fed.mpc("alice", "bob", fraction="auto", ring=64)(square)(x), to="alice")
    np.testing.assert_allclose(squares, column(25_000.0) ** 2, atol=2)
    with pytest.raises(RangesUnsafe):
        jali.reveal(fed.mpc("alice", "bob", ring=64)(square)(x), to="alice")


def test_a_fixed_number_of_fraction_bits(fed: jali.Federation) -> None:
    x = fed.plain("alice")(column)(20_000.0)
    squares = jali.reveal(fed.mpc("alice", "bob", fraction=14)(square)(x), to="alice")
    np.testing.assert_allclose(squares, column(20_000.0) ** 2, atol=1e-3)


def test_functions_that_need_more_fraction_bits_say_so(fed: jali.Federation) -> None:
    x = fed.plain("alice")(column)(2.0)
    few = fed.mpc("alice", "bob", fraction=14)
    np.testing.assert_allclose(jali.reveal(few(jnp.tanh)(x), to="alice"), np.tanh(column(2.0)), atol=3e-3)
    with pytest.raises(UnsupportedOperation, match="lgamma, which needs 18 fraction bits"):
        jali.reveal(few(gammaln)(x), to="alice")


def test_a_plan_and_a_run_know_the_declared_range(fed: jali.Federation) -> None:
    pinned = jali.Spec((3,), bound=(-2e7, 2e7))
    x = fed.plain("alice")(column, returns=pinned)(1e4)
    with pytest.raises(RangesUnsafe, match="within the declared bounds"):
        jali.reveal(fed.mpc("alice", "bob")(square)(x), to="alice")


def test_numbers_outside_a_pinned_range_are_refused(fed: jali.Federation) -> None:
    x = fed.plain("alice")(column, returns=jali.Spec((3,), bound=(-1.0, 1.0)))(1e4)
    with pytest.raises(FixedPointRangeError, match="1 of 3 numbers"):
        jali.reveal(fed.mpc("alice", "bob")(square)(x), to="alice")


@pytest.mark.parametrize(
    "options",
    [{"fraction": 40}, {"fraction": "many"}, {"rounding": "up"}, {"ranges": "no"}, {"input_bound": 0.0}, {"ring": 32}],
)
def test_impossible_settings_are_named(fed: jali.Federation, options: dict[str, Any]) -> None:
    with pytest.raises(DeviceInvalid, match=next(iter(options))):
        fed.mpc("alice", "bob", **options)
