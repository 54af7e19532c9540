# SPDX-License-Identifier: Apache-2.0
"""Virtual clocks: latency, bandwidth, slow start and shared cores add up as they should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import UnknownName
from jali.transport.network import NETWORKS, Network, network_of
from jali.transport.timeline import FIRST_SEGMENTS, MESSAGE_BYTES, SEGMENT_BYTES, WIRE_FACTOR, MachineSpeed, Timeline

FREE = MachineSpeed(message_s=0.0, message_cpu_s=0.0, byte_s=0.0, cores=1.0)
FIRST_BYTES = FIRST_SEGMENTS * SEGMENT_BYTES * WIRE_FACTOR


def on_the_line(size: int, *, bandwidth: float) -> float:
    return (size + MESSAGE_BYTES) * WIRE_FACTOR * 8 / bandwidth


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(1e6, 1e12))
def test_a_small_message_takes_half_a_round_trip_and_its_share_of_the_bandwidth(
    size: int, rtt_s: float, bandwidth: float
) -> None:
    timeline = Timeline(Network(rtt_s=rtt_s, bandwidth=bandwidth), FREE)
    assert timeline.send("a", "b", size) == pytest.approx(rtt_s / 2 + on_the_line(size, bandwidth=bandwidth))


def test_a_sender_has_one_line_and_every_party_its_own() -> None:
    timeline = Timeline(Network(bandwidth=1e6), FREE)
    one = on_the_line(10_000, bandwidth=1e6)
    assert timeline.send("a", "b", 10_000) == pytest.approx(one)
    assert timeline.send("a", "c", 10_000) == pytest.approx(2 * one)
    assert timeline.send("b", "a", 10_000) == pytest.approx(one)


def test_a_new_connection_starts_slowly_and_a_used_one_does_not() -> None:
    windows: dict[tuple[object, object], float] = {}
    network = Network(rtt_s=0.1, bandwidth=1e9)
    size = round(5 * FIRST_BYTES / WIRE_FACTOR)  # ten segments, then twenty, then the rest
    fresh = Timeline(network, FREE, windows=windows).send("a", "b", size)
    assert fresh == pytest.approx(0.05 + 2 * 0.1, abs=0.002)
    used = Timeline(network, FREE, windows=windows).send("a", "b", round(2 * FIRST_BYTES))
    assert used == pytest.approx(0.05, abs=0.002)


def test_a_window_never_needs_to_exceed_what_the_line_holds() -> None:
    timeline = Timeline(Network(rtt_s=0.001, bandwidth=1e6), FREE)
    assert timeline.send("a", "b", 10**6) == pytest.approx(0.0005 + on_the_line(10**6, bandwidth=1e6))


def test_without_a_limit_the_processor_is_one() -> None:
    machine = MachineSpeed(message_s=0.5, message_cpu_s=0.5, byte_s=0.01, cores=1.0)
    assert Timeline(Network(), machine).send("a", "b", 100) == pytest.approx(0.5 + 1.0)


def test_parties_on_one_machine_share_its_cores() -> None:
    machine = MachineSpeed(message_s=0.0, message_cpu_s=0.0, byte_s=0.0, cores=1.5)
    apart, together = Timeline(Network(), machine), Timeline(Network(one_machine=True), machine)
    for timeline in (apart, together):
        for party in ("a", "b", "c"):
            timeline.compute(party, 1.0)
    assert apart.elapsed() == pytest.approx(1.0)
    assert 2.0 < together.elapsed() < 2.1


def test_who_waits_does_not_work() -> None:
    timeline = Timeline(Network(one_machine=True), FREE)
    timeline.wait("a", 3.0)
    timeline.wait("a", 2.0)
    assert (timeline.now("a"), timeline.busy_s) == (3.0, 0.0)
    assert timeline.elapsed() == pytest.approx(3.0)


def test_networks_have_names_and_can_be_described() -> None:
    assert network_of("wan") is NETWORKS["wan"]
    assert network_of("2.5ms/400Mbit") == Network(rtt_s=0.0025, bandwidth=400e6)
    own = Network(rtt_s=0.2)
    assert network_of(own) is own
    with pytest.raises(UnknownName, match=r"no network is called 'wna'.*did you mean 'wan'.*20ms/200Mbit"):
        network_of("wna")
