# SPDX-License-Identifier: Apache-2.0
"""Secrets move between mpc devices of any protocols and parties, cost what was planned, and stay secret."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core.errors import JaliError, WouldDisclose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.devices.mpc import MpcDevice
    from jali.devices.report import Row

PARTIES = ("alice", "bob", "carol", "dave", "erin")

# Protocol, parties, dealer. Together they have every way in which a party can play on two sides.
DEVICES: dict[str, tuple[str, tuple[str, ...], str | None]] = {
    "m2k of alice, bob": ("m2k", ("alice", "bob"), None),
    "m2k of bob, alice": ("m2k", ("bob", "alice"), "carol"),
    "m2k of alice, carol": ("m2k", ("alice", "carol"), "bob"),
    "m2k of dave, erin": ("m2k", ("dave", "erin"), "alice"),
    "m2k of carol, dave": ("m2k", ("carol", "dave"), None),
    "rep3 of alice, bob, carol": ("rep3", ("alice", "bob", "carol"), None),
    "rep3 of carol, dave, alice": ("rep3", ("carol", "dave", "alice"), None),
    "rep3 of carol, dave, erin": ("rep3", ("carol", "dave", "erin"), None),
    "aby3 of bob, erin, dave": ("aby3", ("bob", "erin", "dave"), None),
    "aby3 of carol, dealer, dave": ("aby3", ("carol", "dealer", "dave"), None),
}
PAIRS = [pair for pair in itertools.product(DEVICES, DEVICES) if pair[0] != pair[1]]


@pytest.fixture
def fed() -> Iterator[jali.Federation]:
    federation = jali.simulate(*PARTIES)
    yield federation
    federation.abandon(JaliError("the test is over"))


def device(fed: jali.Federation, name: str) -> MpcDevice:
    protocol, parties, dealer = DEVICES[name]
    return fed.mpc(*parties, protocol=protocol, dealer=dealer)


def numbers() -> dict[str, np.ndarray]:
    return {
        "fixed": np.linspace(-1000.0, 1000.0, 70).reshape(7, 10),
        "int": np.array([0, 1, -1, 2**62, -(2**63)]),
        "bool": np.arange(130) % 3 == 0,
        "scalar": np.array(2.5),
        "none": np.zeros((0, 3)),
    }


def model(v: Any) -> dict[str, Any]:
    return {
        "square": v["fixed"] * 0.5 * v["scalar"],
        "ints": v["int"] + 1,
        "less": v["fixed"] < 0,
        "not": ~v["bool"],
        "none": v["none"],
    }


def after(v: Any) -> dict[str, Any]:
    import jax.numpy as jnp

    return {
        **v,
        "chosen": jnp.where(v["less"], v["square"], 1.0),
        "product": v["square"] * v["square"],
        "and": v["not"] & v["not"],
    }


def assert_as_planned(rows: tuple[Row, ...]) -> None:
    for row in rows:
        if row.device.startswith("mpc"):
            assert row.predicted is not None, row.text
            assert row.bytes_sent == sum(row.predicted.bytes_sent.values()) + row.predicted.offline_bytes, row.text
            assert row.rounds == row.predicted.rounds, row.text


def check(result: dict[str, np.ndarray]) -> None:
    given = numbers()
    square = given["fixed"] * 1.25
    np.testing.assert_allclose(result["square"], square, atol=1e-4)
    np.testing.assert_array_equal(result["ints"], given["int"] + 1)
    np.testing.assert_array_equal(result["less"], given["fixed"] < 0)
    np.testing.assert_array_equal(result["not"], ~given["bool"])
    np.testing.assert_allclose(result["chosen"], np.where(square < 0, square, 1.0), atol=1e-4)
    np.testing.assert_allclose(result["product"], square * square, rtol=1e-5, atol=0.02)
    np.testing.assert_array_equal(result["and"], ~given["bool"])
    assert result["none"].shape == (0, 3)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_tree_of_secrets_moves_and_is_computed_on(fed: jali.Federation, first: str, second: str) -> None:
    source, target = device(fed, first), device(fed, second)
    made = source(model)(fed.plain("alice")(numbers)())
    check(jali.reveal(target(after)(made), to="erin"))
    rows = fed.report().rows
    assert_as_planned(rows)
    (move,) = [row for row in rows if row.text.startswith("move")]
    assert move.rounds == 1
    assert move.visibility == f"secret({target.name})"
    outsiders = {p for p in target.participants if p not in source.participants}
    assert {leak.to for leak in move.disclosures} == outsiders
    assert all("shapes" in leak.what for leak in move.disclosures)


@pytest.mark.parametrize("first", ["m2k of alice, bob", "rep3 of alice, bob, carol"])
def test_a_chain_of_explicit_moves_comes_back(fed: jali.Federation, first: str) -> None:
    value = device(fed, first)(model)(fed.plain("bob")(numbers)())
    for name in ("rep3 of carol, dave, erin", "m2k of alice, carol", "aby3 of carol, dealer, dave", first):
        value = value.to(device(fed, name))
    check(jali.reveal(device(fed, first)(after)(value), to=["alice", "dave"]))
    assert_as_planned(fed.report().rows)


def test_a_value_moves_once_and_an_element_by_itself(fed: jali.Federation) -> None:
    source, target = device(fed, "m2k of alice, bob"), device(fed, "rep3 of carol, dave, erin")
    made = source(model)(fed.plain("alice")(numbers)())
    ints = made["ints"]
    for _ in range(3):
        target(lambda v: v + v)(ints)
    assert ints.to(target) is ints.to(target)
    assert ints.to(source) is ints
    moves = [row for row in fed.report().rows if row.text.startswith("move")]
    assert [row.bytes_sent for row in moves] == [2 * 32 * 5]
    assert moves[0].text == "move model['ints']"


@pytest.mark.parametrize(
    ("first", "second", "size"),
    [
        # Bytes for 640 numbers: two inputs of evaluators, or of guests, of m2k.
        ("m2k of alice, bob", "m2k of bob, alice", 16),
        ("m2k of alice, bob", "m2k of dave, erin", 16),
        ("m2k of alice, bob", "m2k of alice, carol", 16),
        # Two inputs of roles of rep3; of one role and the guest; of two guests.
        ("m2k of alice, bob", "rep3 of alice, bob, carol", 16),
        ("m2k of alice, bob", "rep3 of carol, dave, alice", 40),
        ("rep3 of alice, bob, carol", "rep3 of carol, dave, erin", 64),
    ],
)
def test_what_a_move_costs(fed: jali.Federation, first: str, second: str, size: int) -> None:
    x = fed.plain("alice")(lambda: np.arange(640.0))()
    bits = fed.plain("alice")(lambda: np.arange(640) % 2 == 0)()
    for value in (x, bits):
        value.to(device(fed, first)).to(device(fed, second))
    moves = [row for row in fed.report().rows if row.text.startswith("move")]
    assert [row.bytes_sent for row in moves] == [size * 640, size * 640 // 64]
    assert [row.rounds for row in moves] == [1, 1]


def test_a_plan_shows_moves_with_their_cost_and_what_is_trusted_from_then_on() -> None:
    def job(fed: jali.Federation) -> None:
        x = fed.plain("alice")(numbers, returns=jali.Spec((640,)))()
        first = fed.mpc("alice", "bob")(lambda v: v * v)(x)
        jali.reveal(fed.mpc("carol", "dave", "erin")(lambda v: v + v)(first), to="carol")

    plan = jali.explain(job, PARTIES)
    (move,) = [row for row in plan.rows if row.text.startswith("move")]
    assert move.predicted is not None
    assert sum(move.predicted.bytes_sent.values()) == 2 * 32 * 640
    (line,) = [line for line in plan.trust if "moves" in line]
    assert "from m2k of alice, bob (dealer: dealer) to rep3 of carol, dave, erin: from then on rep3 of" in line
    assert "test_secret_moves.py" in line
    assert sum("may be corrupt" in line for line in plan.trust) == 2


def test_the_ledger_has_the_change_of_trust(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: np.arange(3.0))().to(device(fed, "m2k of alice, bob"))
    x.to(device(fed, "rep3 of carol, dave, erin"))
    fed.report()
    for party in ("alice", "bob", "carol", "dave", "erin"):
        entries = fed.program.runtimes[party].ledger.entries
        (entry,) = [e for e in entries if e.kind == "node" and e.body["text"].startswith("move")]
        assert "rep3 of carol, dave, erin protects it" in entry.body["trust"]


def test_a_secret_does_not_move_to_where_one_party_could_read_it(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: np.arange(4.0))()
    secret = x.to(fed.mpc("alice", "bob"))
    with pytest.raises(WouldDisclose, match=r"carol plays every role.*jali.reveal\(x, to='carol'\)"):
        secret.to(fed.mpc("carol"))
    with pytest.raises(WouldDisclose, match="bob plays every role"):
        secret.to(fed.mpc("alice", "bob", insecure_dealer="bob"))
    with pytest.raises(WouldDisclose, match=r"jali\.reveal"):
        secret.to(fed.plain("alice"))
    with pytest.raises(WouldDisclose, match="computes in the clear at bob"):
        x.to(fed.mpc("bob"))


def test_who_can_read_it_anyway_may_read_it_again(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: np.arange(4.0))()
    insecure = fed.mpc("alice", "bob", insecure_dealer="bob")
    once = insecure(lambda v: v + 1)(x)
    there = fed.mpc("carol", "bob", insecure_dealer="bob")(lambda v: v + v)(once)
    np.testing.assert_allclose(jali.reveal(there, to="bob"), 2 * np.arange(4.0) + 2)
    with pytest.raises(WouldDisclose, match=r"jali\.reveal"):
        there.to(fed.mpc("bob"))
    alone = fed.mpc("alice")(lambda v: v * v)(x)
    np.testing.assert_allclose(jali.reveal(alone.to(fed.mpc("bob", "carol")), to="all"), np.arange(4.0) ** 2)
    rows = fed.report().rows
    assert_as_planned(tuple(row for row in rows if row.device in ("mpc(alice)", "mpc(bob, carol)")))


def test_a_plain_device_takes_what_its_party_may_see(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: np.arange(4.0))()
    assert x.to(fed.plain("alice")) is x
    with pytest.raises(WouldDisclose):
        x.to(fed.plain("bob"))
