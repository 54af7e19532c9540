# SPDX-License-Identifier: Apache-2.0
"""How long an operation will take, from what every role does and says in each round.

Roles have clocks of their own: a role that receives nothing runs ahead, one that receives waits for the message.
What a dealer sends comes in messages of at least 256 KiB, whenever it has made them, while the others compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jali.crypto.hashing import DIGEST_BYTES
from jali.mpc.m2k.sides import FRAME_BYTES
from jali.transport.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jali.mpc.cost.estimate import Transcript
    from jali.mpc.cost.speed import ProtocolSpeed
    from jali.transport.network import Network
    from jali.transport.timeline import MachineSpeed

    _Loads = dict[int, list[tuple[float, float]]]

__all__ = ["Duration", "duration"]

DEALT_TO = 1
NODE_S = 1.5e-3  # threads, streams and records of a node
WAKE_S = 3e-5  # a thread that has waited for a message begins with cold caches


class Duration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Predicted seconds: of all, a dealer working beside the others; of the dealer's part alone; of the rest alone.

    `cpu_seconds` is the work of all processors together.
    """

    seconds: float
    offline_seconds: float = 0.0
    online_seconds: float = 0.0
    cpu_seconds: float = 0.0


def duration(
    transcript: Transcript,
    *,
    speed: ProtocolSpeed,
    network: Network,
    machine: MachineSpeed,
    prepare_s: float | None = None,
    windows: dict[tuple[object, object], float] | None = None,
) -> Duration:
    """Play a transcript on virtual clocks; with `prepare_s`, all prepare so long and agree on a digest first.

    Who comes last to a node starts at once, the others when they hear of it, half a round trip later. `windows` are
    those of the roles' connections (see `Timeline`), as they are before it and then after it.
    """
    work = _work(transcript, speed)
    before = windows if windows is not None else {}
    alone, dealt = (Timeline(network, machine, windows=before.copy()) for _ in range(2))
    together = Timeline(network, machine, windows=before)
    for timeline in (together, alone):
        for role in transcript.names:
            timeline.wait(role, network.latency_s if role else 0.0)
            timeline.compute(role, NODE_S)
        if prepare_s is not None:
            _agree(timeline, transcript.names, prepare_s)
    _play(transcript, work, together, arrivals=_deal(transcript, work, together))
    _play(transcript, work, alone, arrivals={})
    return Duration(
        seconds=together.elapsed(),
        offline_seconds=max(_deal(transcript, work, dealt).values(), default=0.0),
        online_seconds=alone.elapsed(),
        cpu_seconds=together.busy_s,
    )


def _agree(timeline: Timeline, roles: Iterable[int], prepare_s: float) -> None:
    """Everybody sends everybody a digest."""
    everybody = tuple(roles)
    for role in everybody:
        timeline.compute(role, prepare_s)
    came = [(b, timeline.send(a, b, DIGEST_BYTES)) for a in everybody for b in everybody if a != b]
    for role, arrived in came:
        timeline.wait(role, arrived)


def _work(transcript: Transcript, speed: ProtocolSpeed) -> _Loads:
    """What each role computes before each round, and after the last: how long that takes, and the work of all cores."""
    found: _Loads = {}
    for role, works in transcript.works.items():
        seconds = found[role] = [(0.0, 0.0)] * (len(transcript.rounds) + 1)
        for work in works:
            for (before, _), (wall, cpu) in zip(work.parts, speed.seconds(role, work), strict=True):
                known = seconds[int(before)]
                seconds[int(before)] = known[0] + wall, known[1] + cpu
    return found


def _deal(transcript: Transcript, work: _Loads, timeline: Timeline) -> dict[int, float]:
    """When the corrections for each round have arrived."""
    arrivals: dict[int, float] = {}
    if transcript.dealer is None:
        return arrivals
    waiting: list[int] = []
    size = 0
    last = len(transcript.dealt_bytes) - 1
    for index, dealt in enumerate(transcript.dealt_bytes):
        timeline.compute(transcript.dealer, *work[transcript.dealer][index])
        if dealt:
            waiting.append(index)
            size += dealt
        if size >= FRAME_BYTES or (index == last and size):
            arrived = timeline.send(transcript.dealer, DEALT_TO, size)
            arrivals |= dict.fromkeys(waiting, arrived)
            waiting, size = [], 0
    return arrivals


def _play(transcript: Transcript, work: _Loads, timeline: Timeline, *, arrivals: Mapping[int, float]) -> None:
    players = [role for role in work if role != transcript.dealer]
    for index in range(len(transcript.rounds) + 1):
        timeline.wait(DEALT_TO, arrivals.get(index, 0.0))
        for role in players:
            timeline.compute(role, *work[role][index])
        if index == len(transcript.rounds):
            return
        came = [
            (receiver, timeline.send(sender, receiver, size))
            for (sender, receiver), size in transcript.rounds[index].items()
        ]
        for receiver, arrived in came:
            timeline.wait(receiver, arrived)
        for receiver in {receiver for receiver, _ in came}:
            timeline.compute(receiver, WAKE_S)
