# SPDX-License-Identifier: Apache-2.0
"""Alignments are planned from the numbers of rows: exact scripts, played on virtual clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import jali
from jali.mpc.cost.pace import Pace
from jali.psi import forecast
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.forecast import play
from jali.psi.intersection import intersection_cost, intersection_script
from jali.transport.network import Network
from jali.transport.timeline import MachineSpeed, Timeline

if TYPE_CHECKING:
    from jali.devices.report import Row
    from jali.psi.contract import Learns

MACHINE = MachineSpeed(message_s=0.0, message_cpu_s=0.0, byte_s=0.0, cores=2.0)
SIZES = [(0, 0), (1, 0), (10, 10), (8192, 8193), (30_000, 5)]


@pytest.mark.parametrize("name", PSI_PROTOCOLS.names())
@pytest.mark.parametrize("learns", ["both", "me", "peer"])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_scripts_of_both_sides_fit_together(name: str, learns: Learns, n: int, m: int) -> None:
    protocol = PSI_PROTOCOLS.get(name)()
    opposite: Learns = {"both": "both", "me": "peer", "peer": "me"}[learns]  # type: ignore[assignment]
    ours = list(intersection_script(protocol, n, m, learns=learns, first=True))
    theirs = list(intersection_script(protocol, m, n, learns=opposite, first=False))
    for mine, other in ((ours, theirs), (theirs, ours)):
        assert [size for step, size in mine if step == "send"] == [size for step, size in other if step == "receive"]
    work = {step: 1.0 for step, _ in (*ours, *theirs) if step not in {"send", "receive"}}
    assert set(work) <= set(protocol.pace())
    timeline = Timeline(Network(), MACHINE)
    play(timeline, {"a": iter(ours), "b": iter(theirs)}, work)
    assert timeline.busy_s == pytest.approx(sum(size for step, size in (*ours, *theirs) if step in work))


def test_every_key_is_masked_and_every_masked_key_matched() -> None:
    for learns in ("both", "me", "peer"):
        script = list(PSI_PROTOCOLS.get("ecdh")().script(30_000, 5, learns=learns, first=True))
        assert sum(size for step, size in script if step == "mask") == 30_000
        assert sum(size for step, size in script if step == "match") == 5


def planned(monkeypatch: pytest.MonkeyPatch, *, network: str | Network | None, learns: str = "both", **how: Any) -> Row:
    monkeypatch.setattr(forecast, "pace_of", lambda: Pace(machine=MACHINE))

    def job(fed: Any) -> None:
        left = fed.plain("bank")(min, returns=jali.Spec((20_000, 3)))(0)
        right = fed.plain("bureau")(max, returns=jali.Spec((10_000, 2)))(0)
        jali.align(left, right, on="id", learns=learns, protocol="ecdh", **how)

    rows = jali.explain(job, ["bank", "bureau"], network=network).rows
    return next(row for row in rows if row.text.startswith("align"))


def test_an_alignment_is_planned_by_party(monkeypatch: pytest.MonkeyPatch) -> None:
    row = planned(monkeypatch, network=None)
    cost = intersection_cost(PSI_PROTOCOLS.get("ecdh")(), 20_000, 10_000, learns="both")
    assert row.predicted is not None
    assert row.predicted.bytes_sent == {
        "bank": cost.bytes_sent["me"] + 1,
        "bureau": cost.bytes_sent["peer"] + 1,
    }
    assert row.predicted_seconds is None
    alone = planned(monkeypatch, network=None, learns="bureau").predicted
    assert alone is not None
    assert alone.bytes_sent["bureau"] == 48 + 32 * 10_000 + (cost.bytes_sent["me"] - 48 - 32 * 20_000 - 16 * 10_000)


def test_a_plan_with_further_keys_assumes_that_no_row_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    one = planned(monkeypatch, network=Network(rtt_s=0.01))
    two = planned(monkeypatch, network=Network(rtt_s=0.01), otherwise=["phone"], how="full")
    assert one.predicted is not None
    assert two.predicted is not None
    assert two.predicted.bytes_sent == {party: 2 * size + 8 for party, size in one.predicted.bytes_sent.items()}
    assert one.predicted_seconds is not None
    assert two.predicted_seconds is not None
    assert 1.5 * one.predicted_seconds < two.predicted_seconds < 2.5 * one.predicted_seconds


def test_a_slower_network_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = planned(monkeypatch, network="lan").predicted_seconds
    slow = planned(monkeypatch, network=Network(bandwidth=1e5)).predicted_seconds
    assert fast is not None
    assert slow is not None
    assert 0 < fast < slow
    assert slow > 32 * 20_000 * 8 / 1e5


def test_tables_of_unknown_size_are_not_planned() -> None:
    def job(fed: Any) -> None:
        jali.align(fed.plain("bank")(min)(0), fed.plain("bureau")(max)(0), on="id")

    assert all(row.predicted is None for row in jali.explain(job, ["bank", "bureau"]).rows)
