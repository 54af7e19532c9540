# SPDX-License-Identifier: Apache-2.0
"""MPC devices in a simulated federation: every protocol, guests, trees, predictions, and the doors that stay shut."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core.errors import DeviceInvalid, JaliError, ProgramMismatch, WouldDisclose
from jali.mpc import engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.devices.mpc import MpcDevice
    from jali.devices.report import Row


@pytest.fixture
def fed() -> Iterator[jali.Federation]:
    federation = jali.simulate("alice", "bob", "carol")
    yield federation
    federation.abandon(JaliError("the test is over"))


PROTOCOLS = ("m2k", "rep3", "aby3", "m2k with a dealing party")


def device(fed: jali.Federation, protocol: str) -> MpcDevice:
    if protocol in ("rep3", "aby3"):
        return fed.mpc("alice", "bob", "carol", protocol=None if protocol == "rep3" else protocol)
    return fed.mpc("alice", "bob", insecure_dealer="bob" if "dealing" in protocol else None)


def ramp(n: int) -> np.ndarray:
    return np.arange(float(n)) - n / 2


def model(x: Any, y: Any) -> dict[str, Any]:
    import jax.numpy as jnp

    return {"product": x * y, "most": jnp.maximum(x, y), "dot": (x * 0.5) @ y, "less": x < y}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tree_of_results_is_right_and_costs_what_was_planned(fed: jali.Federation, protocol: str) -> None:
    mpc = device(fed, protocol)
    x, y = fed.plain("alice")(ramp)(70), fed.plain("bob")(lambda: ramp(70) * 0.5 + 1)()
    found = jali.reveal(mpc(model)(x, y), to="carol")
    a, b = ramp(70), ramp(70) * 0.5 + 1
    np.testing.assert_allclose(found["product"], a * b, atol=1e-3)
    np.testing.assert_allclose(found["most"], np.maximum(a, b), atol=1e-4)
    np.testing.assert_allclose(found["dot"], a @ b / 2, atol=2e-3)
    np.testing.assert_array_equal(found["less"], a < b)
    if "dealing" not in protocol:
        assert_as_planned(fed.report().rows)


def assert_as_planned(rows: tuple[Row, ...]) -> None:
    priced = [row for row in rows if row.predicted is not None]
    assert len(priced) >= 3
    for row in priced:
        assert row.predicted is not None
        assert row.bytes_sent == sum(row.predicted.bytes_sent.values()) + row.predicted.offline_bytes, row.text
        assert row.rounds == row.predicted.rounds, row.text


@pytest.mark.parametrize("protocol", ["m2k", "rep3"])
def test_owner_outside_the_device_shares_as_a_guest(fed: jali.Federation, protocol: str) -> None:
    mpc = fed.mpc("bob", "carol") if protocol == "m2k" else fed.mpc("bob", "carol", "dealer")
    x = fed.plain("alice")(ramp)(5)
    np.testing.assert_allclose(jali.reveal(mpc(lambda v: v + v)(x), to="alice"), 2 * ramp(5), atol=1e-4)
    assert_as_planned(fed.report().rows)


@pytest.mark.parametrize("to", ["all", ["carol", "dealer"], ["carol", "alice"], ["bob", "dealer", "carol"]])
def test_a_reveal_to_many_inside_and_outside_the_device_takes_one_round(fed: jali.Federation, to: Any) -> None:
    x, y = fed.plain("alice")(ramp)(5), fed.plain("bob")(ramp)(5)
    total = fed.mpc("alice", "bob")(lambda a, b: a + b)(x, y)
    np.testing.assert_allclose(jali.reveal(total, to=to), 2 * ramp(5), atol=1e-4)
    rows = fed.report().rows
    assert_as_planned(rows)
    assert rows[-1].rounds == 1


def test_plan_of_pinned_shapes_equals_the_run(fed: jali.Federation) -> None:
    def job(fed: jali.Federation) -> None:
        x = fed.plain("alice")(ramp, returns=jali.Spec((70,)))(70)
        y = fed.plain("bob")(ramp, returns=jali.Spec((70,)))(70)
        jali.reveal(fed.mpc("alice", "bob")(model)(x, y), to="alice")

    plan = jali.explain(job, ["alice", "bob", "carol"])
    job(fed)
    ran = fed.report()
    assert [row.predicted for row in plan.rows] == [row.predicted for row in ran.rows]
    assert_as_planned(ran.rows)
    assert "nothing has run" in str(plan)
    assert "dealer" in "".join(plan.trust)


def test_a_value_is_shared_once_however_often_it_is_used(fed: jali.Federation) -> None:
    mpc = fed.mpc("alice", "bob")
    x, y = fed.plain("alice")(ramp)(100), fed.plain("bob")(ramp)(100)
    for _ in range(3):
        mpc(lambda a, b: a * b)(x, y)
    report = fed.report()
    assert [row.text for row in report.rows].count("share ramp") == 2
    assert len({row.bytes_sent for row in report.rows if "lambda" in row.text}) == 1


def test_constants_and_keywords_are_part_of_the_program(fed: jali.Federation) -> None:
    mpc = fed.mpc("alice", "bob")
    x = fed.plain("alice")(ramp)(4)
    result = mpc(lambda v, scale, shift: v * scale + shift)(x, 3, shift=np.ones(4))
    np.testing.assert_allclose(jali.reveal(result, to="alice"), 3 * ramp(4) + 1, atol=1e-4)


def test_secret_does_not_move_between_devices(fed: jali.Federation) -> None:
    x = fed.mpc("alice", "bob")(lambda v: v + v)(fed.plain("alice")(ramp)(4))
    with pytest.raises(WouldDisclose, match="cannot move"):
        fed.mpc("alice", "bob", "carol")(lambda v: v)(x)
    with pytest.raises(WouldDisclose, match="reveal"):
        fed.plain("alice")(np.sum)(x)


@pytest.mark.parametrize(
    ("parties", "options", "said"),
    [
        (("alice", "bob"), {"dealer": "alice"}, "insecure_dealer = 'alice'"),
        (("alice", "bob", "carol"), {"protocol": "m2k"}, "between 2"),
        (("alice", "alice"), {}, "different parties"),
        (("alice", "bob", "carol", "dealer"), {}, "no protocol for 4"),
    ],
)
def test_devices_that_do_not_fit_are_refused(
    fed: jali.Federation, parties: tuple[str, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(DeviceInvalid, match=said):
        fed.mpc(*parties, **options)


def test_one_party_alone_computes_in_fixed_point_by_itself(fed: jali.Federation) -> None:
    mpc = fed.mpc("alice")
    squares = mpc(lambda v: (v * v).sum())(fed.plain("alice")(ramp)(4))
    assert float(jali.reveal(squares, to="alice")) == 6.0
    assert fed.report().rows[2].bytes_sent == 0


def test_a_dealing_party_is_named_as_insecure(fed: jali.Federation) -> None:
    fed.mpc("alice", "bob", insecure_dealer="bob")(lambda v: v)(fed.plain("alice")(ramp)(4))
    [line] = fed.report().trust
    assert "INSECURE: bob computes and deals" in line
    assert "no evaluator colludes" not in line


def test_a_federation_without_a_helper_has_no_dealer(tmp_path: Any) -> None:
    fed = jali.simulate("alice", "bob")
    lonely = jali.Federation(
        type(fed.settings)(name="x", parties={p: fed.settings.parties[p] for p in ("alice", "bob")})
    )
    fed.abandon(JaliError("the test is over"))
    with pytest.raises(DeviceInvalid, match="needs a dealer"):
        lonely.mpc("alice", "bob")


def test_functions_that_differ_in_a_constant_are_noticed_before_any_message(
    fed: jali.Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    mpc = fed.mpc("alice", "bob")
    x = fed.plain("alice")(ramp)(4)
    factor = itertools.count(2)

    def scaled(v: Any) -> Any:
        return v * next(factor)

    def renewed(function: Any) -> Any:
        return lambda v: function(v) + 0

    # Each party compiles for itself: here the function gives each another program.
    compiled = engine.compile_function
    monkeypatch.setattr("jali.mpc.prepare.compile_function", lambda f, *a, **k: compiled(renewed(f), *a, **k))
    result = mpc(scaled)(x)
    with pytest.raises(ProgramMismatch, match="compiled different programs"):
        jali.reveal(result, to="alice")
