# SPDX-License-Identifier: Apache-2.0
"""`jali.explain` and reports with a network: seconds of what can be predicted, and a word on the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import jali
from jali.core.errors import UnknownName
from jali.devices import predict
from jali.mpc.cost.pace import Pace
from jali.mpc.cost.speed import ProtocolSpeed, Rates
from jali.transport.timeline import MachineSpeed

if TYPE_CHECKING:
    from jali.devices.report import Report, Row

MACHINE = MachineSpeed(message_s=5e-5, message_cpu_s=5e-5, byte_s=1e-9, cores=2.0)
NOTHING = ProtocolSpeed(work=Rates(steps={}), wall=Rates(steps={}))
N = 100_000


@pytest.fixture(autouse=True)
def given_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose only work is to talk."""
    monkeypatch.setattr(predict, "seconds_to_compile", lambda program: 0.0)
    monkeypatch.setattr(
        predict, "pace_of", lambda *protocols: Pace(machine=MACHINE, protocols=dict.fromkeys(protocols, NOTHING))
    )


def product(x: Any, y: Any) -> Any:
    return x * y


def job(fed: Any, *, parties: tuple[str, ...] = ("alice", "bob"), n: int = N) -> None:
    x = fed.plain("alice")(min, returns=jali.Spec((n,)))(0)
    y = fed.plain("bob")(max, returns=jali.Spec((n,)))(0)
    z = fed.mpc(*parties)(product)(x, y)
    jali.reveal(z, to="alice")


def planned(network: str | jali.Network | None, **options: Any) -> dict[str, Row]:
    report = jali.explain(lambda fed: job(fed, **options), ["alice", "bob", "carol"], network=network)
    return {row.text: row for row in report.rows}


def seconds(row: Row) -> float:
    assert row.predicted_seconds is not None
    return row.predicted_seconds


def test_seconds_follow_from_the_network() -> None:
    product_of = {name: planned(name)["product"] for name in ("loopback", "lan", "wan")}
    assert 0 < seconds(product_of["loopback"]) < seconds(product_of["lan"]) < seconds(product_of["wan"])
    # The dealer sends 24 bytes for each element over 100 Mbit/s, while the others wait.
    line_s = 24 * N * 8 / 100e6
    assert line_s < seconds(product_of["wan"]) < 1.1 * line_s + 0.5
    offline = product_of["wan"].predicted_offline_seconds
    assert offline is not None
    assert line_s < offline <= seconds(product_of["wan"])
    assert product_of["wan"].predicted == product_of["lan"].predicted


def test_the_parts_of_a_program_are_predicted_one_by_one() -> None:
    rows = planned(jali.Network(rtt_s=10.0), n=4)
    assert seconds(rows["share min"]) == pytest.approx(5.0, abs=0.1)  # the owner comes last
    assert seconds(rows["share max"]) == pytest.approx(10.0, abs=0.1)  # the owner hears of it late
    # Who came last is heard of, then its digest; then corrections come, and with them the products are swapped.
    assert seconds(rows["product"]) == pytest.approx(4 * 5.0, abs=0.1)
    assert seconds(rows["reveal product"]) == pytest.approx(10.0, abs=0.1)
    assert rows["share min"].predicted_offline_seconds == 0.0


def test_three_parties_have_no_dealer_to_wait_for() -> None:
    rows = planned("wan", parties=("alice", "bob", "carol"))
    assert rows["product"].predicted_offline_seconds == 0.0
    assert seconds(rows["product"]) > 32 * N * 8 / 100e6


CHAIN = {"share max", "product", "round product", "reveal product"}


def test_the_report_says_what_its_seconds_are_and_are_not() -> None:
    report = jali.explain(job, ["alice", "bob"], network="wan")
    text = str(report)
    assert "planned seconds" in text
    assert "network wan (40 ms there and back, 100 Mbit/s out of each party)" in text
    assert "not predicted, and not in the sum: #0 min, #1 max" in text
    chain = [seconds(row) for row in report.rows if row.text in CHAIN]
    assert f"in all at least {sum(chain):.3f} s" in text
    assert "Planned seconds" in report._repr_html_()


def test_without_a_network_nothing_is_predicted_or_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "pace_of", lambda *protocols: pytest.fail("measured"))
    assert "planned seconds" not in str(jali.explain(job, ["alice", "bob"]))
    assert all(row.predicted_seconds is None for row in planned(None).values())


def test_a_network_that_does_not_exist() -> None:
    with pytest.raises(UnknownName, match="did you mean 'wan'"):
        jali.explain(job, ["alice", "bob"], network="wann")


def doubled(x: Any) -> Any:
    return x * 2.0


def after_a_run() -> Report:
    with jali.simulate("alice", "bob") as fed:
        x, y = fed.plain("alice")(lambda: [1.0, 2.0])(), fed.plain("bob")(lambda: [3.0, 4.0])()
        jali.reveal(fed.mpc("alice", "bob")(lambda a, b: (a[0] * b[0], a[1] + b[1]))(x, y), to="bob")
        return fed.report(network="20ms/10Mbit")


def test_after_a_run_predicted_stands_beside_actual() -> None:
    rows = [row for row in after_a_run().rows if row.predicted is not None]
    assert len(rows) == 5
    for row in rows:
        assert row.seconds is not None
        assert seconds(row) >= 0.01  # half a round trip
        assert row.bytes_sent == sum(row.predicted.bytes_sent.values()) + row.predicted.offline_bytes  # type: ignore[union-attr]


def test_a_program_is_traced_where_it_is_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(fed: Any) -> None:
        x = fed.plain("alice")(min, returns=jali.Spec((4,)))(0)
        mpc = fed.mpc("alice", "bob")
        for _ in range(2):
            mpc(doubled)(x)

    monkeypatch.setattr(predict, "seconds_to_compile", lambda program: 100.0)
    calls = [row for row in jali.explain(twice, ["alice", "bob"], network="lan").rows if row.text == "doubled"]
    assert [seconds(row) > 100.0 for row in calls] == [True, False]
