# SPDX-License-Identifier: Apache-2.0
"""Predicted seconds from numbers that are given, not measured: what a network and a processor add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jali.mpc.cost import pace
from jali.mpc.cost.duration import NODE_S, Duration, duration
from jali.mpc.cost.estimate import transcribe
from jali.mpc.cost.meter import Work
from jali.mpc.cost.pace import Pace, cache_file, pace_of
from jali.mpc.cost.speed import STEP_S, ProtocolSpeed, Rates, Trial, measure_protocol
from jali.mpc.m2k.sides import FRAME_BYTES
from jali.transport.network import Network
from jali.transport.timeline import WIRE_FACTOR, MachineSpeed
from tests.mpc.operations import on_inputs
from tests.mpc.roles import SECURE

if TYPE_CHECKING:
    from pathlib import Path

FREE = MachineSpeed(message_s=0.0, message_cpu_s=0.0, byte_s=0.0, cores=8.0)
NOTHING = ProtocolSpeed(work=Rates(steps={}), wall=Rates(steps={}))
SMALL = 1e-3


def predicted(protocol: str, name: str, n: int, network: Network, **options: Any) -> Duration:
    transcript = transcribe(protocol, on_inputs(name, None, None, (n,)))
    given = {"speed": NOTHING, "machine": FREE, **options}
    return duration(transcript, network=network, **given)


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("name", ["mul, shifted", "sign", "conjunction"])
def test_over_a_long_line_a_round_takes_half_a_round_trip(protocol: str, name: str) -> None:
    rounds = transcribe(protocol, on_inputs(name, None, None, (64,))).cost.rounds
    found = predicted(protocol, name, 64, Network(rtt_s=10.0))
    hops, rest = divmod(found.online_seconds, 5.0)
    assert rest == pytest.approx(0.0, abs=SMALL + 10 * NODE_S)
    # Some hear half a round trip late that it begins; not every round waits for the one before it at the same role.
    assert rounds - 2 <= hops <= rounds + 1


def test_an_agreement_adds_half_a_round_trip_and_the_preparation() -> None:
    without = predicted("m2k", "sign", 64, Network(rtt_s=10.0)).online_seconds
    assert predicted("m2k", "sign", 64, Network(rtt_s=10.0), prepare_s=3.0).online_seconds >= without + 3.0 + 2.5


def test_over_a_thin_line_bytes_decide() -> None:
    n, bandwidth = 10_000, 1e6
    found = predicted("rep3", "mul", n, Network(bandwidth=bandwidth))
    # Both inputs leave from different parties at the same time, then everybody sends a product.
    assert found.seconds == pytest.approx(3 * 8 * n * WIRE_FACTOR * 8 / bandwidth, rel=0.02)
    assert found.offline_seconds == 0.0


def test_the_others_wait_for_a_dealer_that_sends_more_than_they_do() -> None:
    n, bandwidth = 100_000, 1e8
    found = predicted("m2k", "mul, shifted", n, Network(bandwidth=bandwidth))
    assert 24 * n > FRAME_BYTES
    assert found.offline_seconds == pytest.approx(24 * n * WIRE_FACTOR * 8 / bandwidth, rel=0.02)
    assert found.online_seconds == pytest.approx(3 * 8 * n * WIRE_FACTOR * 8 / bandwidth, rel=0.02)
    assert found.seconds == pytest.approx(found.offline_seconds, rel=0.05)


def test_work_is_at_the_role_that_does_it_and_parts_count_once() -> None:
    steps = {"sign/3/0": [(64, [1.0, 2.0, 4.0])], "sign/3/1": [(64, [1.0, 2.0, 4.0])], "sign/3/2": [(64, [50.0] * 3)]}
    found = predicted(
        "m2k", "sign", 64, Network(), speed=ProtocolSpeed(work=Rates(steps=steps), wall=Rates(steps=steps))
    )
    assert found.online_seconds == pytest.approx(7.0, abs=0.1)
    assert found.offline_seconds == pytest.approx(150.0, abs=0.1)
    assert found.seconds == pytest.approx(157.0, abs=7.1)


def test_between_sizes_times_are_interpolated_and_beyond_they_grow() -> None:
    speed = Rates(steps={"mul/2/0": [(10, [1.0, 2.0]), (20, [2.0, 4.0])]}, products={"mul/2/0": [(5, [0.0, 7.0])]})

    def seconds(size: int, *, parts: int = 2, role: int = 0, products: int = 0) -> list[float]:
        return speed.seconds(role, Work("mul", size, ((0.0, 0.0),) * parts, products))

    assert seconds(1) == pytest.approx([1.0, 2.0], abs=SMALL)
    assert seconds(15) == pytest.approx([1.5, 3.0], abs=SMALL)
    assert seconds(40) == pytest.approx([4.0, 8.0], abs=SMALL)
    assert seconds(10, products=5) == pytest.approx([1.0, 9.0], abs=SMALL)
    assert seconds(10, parts=1) == pytest.approx([2.0], abs=SMALL)
    assert seconds(10, parts=3) == pytest.approx([0.0, 1.0, 2.0], abs=SMALL)
    assert seconds(10, role=3) == seconds(10)  # a guest works as role 0
    assert speed.seconds(0, Work("unknown", 10, ((0.0, 0.0),))) == [STEP_S]


@pytest.mark.parametrize("protocol", SECURE)
def test_the_self_test_times_every_operation_at_every_role(protocol: str) -> None:
    speed = measure_protocol(protocol, trials=[Trial(64, 8, 1)])
    assert speed.wall.steps.keys() == speed.work.steps.keys()
    kinds = {name.split("/")[0] for name in speed.work.steps}
    wanted = {*("mul", "mul, shifted", "dot", "dot, shifted", "truncate", "sign", "is_zero", "conjunction", "select")}
    wanted |= {"to_arithmetic", "linear", "add_public", "public", "public_bits", "permute_bits", "xor", "invert"}
    wanted |= {"at_least", "all_of", "compare_with_zero", "lookup", "random_bits", "shuffle", "disclose", "input_bits"}
    wanted |= {"sign of 32 bits", "sign of 16 bits", "is_zero of 16 bits", "at_least of 32 bits", "mul, shifted, wide"}
    assert wanted | {"input", "from_parts", "reveal", "reveal_bits", "encode", "decode"} <= kinds
    for kind in wanted:
        for role in range(3):
            rows = [rows for name, rows in speed.work.steps.items() if name.split("/")[::2] == [kind, str(role)]]
            assert rows
            assert all(0 <= sum(took) < 10 for found in rows for _, took in found)
    assert {name.split("/")[0] for name in speed.work.products} == {
        *("dot", "dot, shifted", "dot, shifted, wide", "dot, shifted, wide, exact")
    }


def test_speeds_are_measured_once_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def counted(name: str, result: Any) -> Any:
        measured.append(name)
        return result

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(pace, "measure_machine", lambda: counted("machine", FREE))
    monkeypatch.setattr(pace, "measure_protocol", lambda name: counted(name, NOTHING))
    assert pace_of("m2k") == Pace(machine=FREE, protocols={"m2k": NOTHING})
    assert pace_of("m2k", "rep3").protocols.keys() == {"m2k", "rep3"}
    assert pace_of("rep3") == pace_of("m2k")
    assert measured == ["machine", "m2k", "rep3"]
    assert cache_file().is_relative_to(tmp_path)
    cache_file().write_text("not what was written")
    pace_of("m2k")
    assert measured[3:] == ["machine", "m2k"]


def test_measuring_anew_replaces_what_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = measure_protocol("m2k", trials=[Trial(64, 8, 1)])
    monkeypatch.setattr(pace, "measure_machine", lambda: FREE)
    monkeypatch.setattr(pace, "measure_protocol", lambda name: measured)
    found = list(pace.rows())
    assert found[0]["cores"] == FREE.cores
    assert {row["protocol"] for row in found[1:]} == set(SECURE)
    assert all(isinstance(row["seconds"], float) and row["seconds"] > 0 for row in found[1:])
    assert pace_of(*SECURE) == Pace(machine=FREE, protocols=dict.fromkeys(SECURE, measured))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(pace, "measure_machine", lambda: FREE)
    assert pace_of().machine == FREE
