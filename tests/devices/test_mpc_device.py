# SPDX-License-Identifier: Apache-2.0
"""MPC devices in a simulated federation: every protocol, guests, trees, predictions, and the doors that stay shut."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core.errors import DeviceInvalid, JaliError, ProgramMismatch, WouldDisclose
from jali.devices.report import Report
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


PROTOCOLS = ("m2k", "m3k", "rep3", "aby3", "m2k with a dealing party")


def device(fed: jali.Federation, protocol: str) -> MpcDevice:
    if protocol in ("m3k", "rep3", "aby3"):
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


@pytest.mark.parametrize("protocol", ["m2k", "m3k", "rep3"])
def test_owner_outside_the_device_shares_as_a_guest(fed: jali.Federation, protocol: str) -> None:
    mpc = fed.mpc("bob", "carol") if protocol == "m2k" else fed.mpc("bob", "carol", "dealer", protocol=protocol)
    x = fed.plain("alice")(ramp)(5)
    np.testing.assert_allclose(jali.reveal(mpc(lambda v: v + v)(x), to="alice"), 2 * ramp(5), atol=1e-4)
    assert_as_planned(fed.report().rows)


@pytest.mark.parametrize("protocol", ["m2k", "rep3", "aby3"])
def test_owner_outside_the_device_shares_bits_too(protocol: str) -> None:
    fed = jali.simulate("alice", "bob", "carol", "dave")
    mpc = fed.mpc("bob", "carol") if protocol == "m2k" else fed.mpc("bob", "carol", "dave", protocol=protocol)
    bits = fed.plain("alice")(lambda: (np.arange(130) % 3 == 0, np.array(0.5)))()
    found = jali.reveal(mpc(lambda v: (~v[0], v[1] + 1))(bits), to=["alice", "bob"])
    np.testing.assert_array_equal(found[0], np.arange(130) % 3 != 0)
    assert float(found[1]) == 1.5
    assert_as_planned(fed.report().rows)
    fed.close()


def test_the_dealer_may_own_an_input(fed: jali.Federation) -> None:
    x = fed.plain("dealer")(ramp)(5)
    np.testing.assert_allclose(jali.reveal(fed.mpc("alice", "bob")(lambda v: v * v)(x), to="bob"), ramp(5) ** 2)
    assert_as_planned(fed.report().rows)


LISTS = ["bob", "dave", ["bob", "dave"], ["dave", "erin", "alice"], "all"]


@pytest.mark.parametrize("to", LISTS, ids=str)
@pytest.mark.parametrize("protocol", ["m2k", "rep3", "aby3", "plain"])
def test_reveals_of_every_protocol_to_one_some_and_all_take_one_round(protocol: str, to: Any) -> None:
    fed = jali.simulate("alice", "bob", "carol", "dave", "erin")
    parties = {"m2k": ("alice", "bob"), "plain": ("alice",)}.get(protocol, ("alice", "bob", "carol"))
    mpc = fed.mpc(*parties, protocol=protocol)
    x = fed.plain("alice")(ramp, returns=jali.Spec((70,)))(70)
    made = mpc(lambda v: {"fixed": v * v, "less": v < 0, "int": (v < 0).sum()})(x)
    found = jali.reveal(made, to=to)
    names = fed.parties if to == "all" else [to] if isinstance(to, str) else to
    node = fed.program.graph.nodes[-1]
    for party in names:  # each holds the same, by itself
        value = fed.program.runtimes[party].value(node)
        np.testing.assert_allclose(value["fixed"], ramp(70) ** 2, atol=1e-3)
        np.testing.assert_array_equal(value["less"], ramp(70) < 0)
        assert int(value["int"]) == 35
    assert found is not None
    rows = fed.report().rows
    assert_as_planned(rows)
    assert rows[-1].rounds == 1
    assert {leak.to for leak in rows[-1].disclosures} == set(names)
    fed.close()


def test_others_data_is_not_shared_with_a_device_in_the_clear(fed: jali.Federation) -> None:
    with pytest.raises(WouldDisclose, match="computes in the clear at bob"):
        fed.mpc("bob")(lambda v: v)(fed.plain("alice")(ramp)(4))


@pytest.mark.parametrize("protocol", ["m3k", "rep3", "aby3"])
def test_three_parties_own_data_and_get_results(fed: jali.Federation, protocol: str) -> None:
    """With m3k, the third party deals too: it owns numbers and bits, and learns both."""

    def winner(x: Any, y: Any, z: Any, counted: Any) -> dict[str, Any]:
        import jax.numpy as jnp

        return {"most": jnp.maximum(jnp.maximum(x, y), z), "product": x * y * z, "some": counted & (x < z)}

    mpc = device(fed, protocol)
    own = {party: fed.plain(party)(lambda k: ramp(70) * k)(k) for k, party in enumerate(("alice", "bob", "carol"), 1)}
    counted = fed.plain("carol")(lambda: np.arange(70) % 2 == 0)()
    result = mpc(winner)(*own.values(), counted)
    a, b, c = (ramp(70) * k for k in (1, 2, 3))
    for party in (*own, "all"):
        found = jali.reveal(result, to=party)
        np.testing.assert_allclose(found["most"], np.maximum(np.maximum(a, b), c), atol=1e-4)
        np.testing.assert_allclose(found["product"], a * b * c, rtol=1e-3, atol=1e-2)
        np.testing.assert_array_equal(found["some"], (np.arange(70) % 2 == 0) & (a < c))
    assert_as_planned(fed.report().rows)
    if protocol == "m3k":
        [line] = fed.report().trust
        assert line.startswith("m3k of alice (evaluator0), bob (evaluator1), carol (dealer): semi-honest, 1 of 3")


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


@pytest.mark.parametrize("protocol", ["m2k", "m3k", "rep3"])
def test_the_dealers_cost_stands_beside_the_online_cost(fed: jali.Federation, protocol: str) -> None:
    mpc = device(fed, protocol)
    x, y = fed.plain("alice")(ramp)(70), fed.plain("bob")(ramp)(70)
    jali.reveal(mpc(lambda a, b: (a * b, a < b))(x, y), to="alice")
    report = fed.report()
    [called] = [row for row in report.rows if row.text == "<lambda>" and row.predicted]
    assert called.predicted is not None
    if protocol == "rep3":
        assert (called.dealt_bytes, called.dealing_s, report.dealt) == (None, None, {})
        assert "dealer sends" not in str(report)
        return
    assert called.dealt_bytes == called.predicted.offline_bytes > 0
    assert sum(row.dealt_bytes or 0 for row in report.rows) == sum(report.dealt.values())
    assert called.dealing_s is not None
    assert 0 < called.dealing_s < 60
    assert {"mul", "rescaled", "compared"} <= set(report.dealt)
    assert f"mul: {report.dealt['mul']:,} bytes" in str(report)
    header = next(line for line in str(report).splitlines() if line.startswith("#"))
    assert "dealt bytes  planned dealt  dealing s" in header
    assert Report.from_json(report.to_json()) == report


def test_every_party_learns_what_the_dealing_cost(fed: jali.Federation) -> None:
    """Also one that hosts no dealer: each keeps a record of its own."""
    x = fed.plain("alice")(ramp)(70)
    jali.reveal(fed.mpc("alice", "bob")(lambda a: a * a)(x), to="alice")
    fed.report()
    records = {party: runtime.records for party, runtime in fed.program.runtimes.items()}
    [index, _] = [i for i, record in records["alice"].items() if record.dealt_bytes]  # the product, and its rounding
    found = {
        (records[party][index].dealt_bytes, records[party][index].dealing_s) for party in ("alice", "bob", "dealer")
    }
    assert found == {(70 * 24, records["dealer"][index].dealing_s)}


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


def test_secret_is_not_shown_to_a_plain_device(fed: jali.Federation) -> None:
    x = fed.mpc("alice", "bob")(lambda v: v + v)(fed.plain("alice")(ramp)(4))
    with pytest.raises(WouldDisclose, match="reveal"):
        fed.plain("alice")(np.sum)(x)


@pytest.mark.parametrize(
    ("parties", "options", "said"),
    [
        (("alice", "bob"), {"dealer": "alice"}, "insecure_dealer = 'alice'"),
        (("alice", "bob", "carol"), {"protocol": "m2k"}, "between 2"),
        (("alice", "alice"), {}, "different parties"),
        (("alice", "bob", "carol"), {"protocol": "m3k", "dealer": "dealer"}, "'carol', its last party, deals"),
        (("alice", "bob", "carol"), {"dealer": "dealer"}, "'rep3' takes no other party as dealer: it has no dealer"),
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
