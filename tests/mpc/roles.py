# SPDX-License-Identifier: Apache-2.0
"""All roles of a protocol in one process: in lock-step for exact views, or in threads over real streams."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from jali.crypto.prg import Prg
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive, lockstep
from jali.transport.pipe import PipeStream, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from jali.mpc.rounds import Round
    from jali.transport.channel import Stream

    Operation = Callable[[Any], Generator[Round, Any, Any]]

__all__ = ["SECURE", "make_sides", "run_lockstep", "run_threads"]

SECURE = ("m2k", "rep3", "aby3")


def make_sides(
    protocol: str, *, seed: int = 0, guest: bool = False, generator: Callable[[bytes], Any] = Prg
) -> tuple[dict[int, Any], dict[int, dict[int, PipeStream]]]:
    """A side and its streams for each role; all generators follow from the seed."""
    made = PROTOCOLS.get(protocol)
    roles = range(len(made.roles) + guest)
    prgs: dict[int, dict[int, Any]] = {role: {} for role in roles}
    streams: dict[int, dict[int, PipeStream]] = {role: {} for role in roles}
    for low in roles:
        for high in range(low + 1, len(roles)):
            key = seed.to_bytes(14, "little") + bytes([low, high])
            prgs[low][high], prgs[high][low] = generator(key), generator(key)
            streams[low][high], streams[high][low] = stream_pair(f"role {low}", f"role {high}")
    return {role: made(role, prgs=prgs[role], streams=streams[role]) for role in roles}, streams


def run_lockstep(
    protocol: str,
    operation: Operation,
    *,
    seed: int = 0,
    guest: Operation | None = None,
    observe: Callable[[Mapping[int, Round]], None] | None = None,
    generator: Callable[[bytes], Any] = Prg,
) -> dict[int, Any]:
    """The results by role, with every round shown to `observe`; the dealer runs first, since it waits for nobody."""
    sides, _ = make_sides(protocol, seed=seed, guest=guest is not None, generator=generator)
    outside = len(sides) - 1 if guest is not None else len(sides)
    results: dict[int, Any] = {}
    if protocol == "m2k":
        results = lockstep({2: operation(sides[2])})
        sides[2].finish()
    running = {role: operation(side) for role, side in sides.items() if role < outside and role not in results}
    if guest is not None:
        running[outside] = guest(sides[outside])
    results |= lockstep(running, observe=observe)
    for role, side in sides.items():
        if role != 2 or protocol != "m2k":
            side.finish()
    return results


def run_threads(
    protocol: str, operation: Operation, *, seed: int = 0, guest: Operation | None = None
) -> tuple[dict[int, Any], dict[int, dict[int, PipeStream]]]:
    """The results by role and the streams, with their counters, of a run with one thread a role."""
    sides, streams = make_sides(protocol, seed=seed, guest=guest is not None)
    results: dict[int, Any] = {}
    errors: list[BaseException] = []

    def play(role: int, side: Any) -> None:
        part = guest if guest is not None and role == len(sides) - 1 else operation
        own: Mapping[int, Stream] = streams[role]
        try:
            results[role] = drive(part(side), own)
            side.finish()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            errors.append(error)

    threads = [threading.Thread(target=play, args=item, daemon=True) for item in sides.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results, streams
