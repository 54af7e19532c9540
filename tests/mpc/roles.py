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

__all__ = ["DEALT", "SECURE", "dealing_at_once", "make_sides", "run_lockstep", "run_threads"]

DEALT = ("m2k", "m3k")
"""Those with a dealer: it waits for nobody, except for what is revealed to it."""

SECURE = (*DEALT, "rep3", "aby3")


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
    """The results by role, with every round shown to `observe`; the dealer is always first."""
    sides, _ = make_sides(protocol, seed=seed, guest=guest is not None, generator=generator)
    outside = len(sides) - 1 if guest is not None else len(sides)
    running = {role: operation(sides[role]) for role in sorted(range(outside), key=(2, 0, 1).index)}
    if protocol in DEALT:
        running[2] = dealing_at_once(running[2], sides[2])
    if guest is not None:
        running[outside] = guest(sides[outside])
    results: dict[int, Any] = lockstep(running, observe=observe)
    for role in sorted(sides, key=(2, 0, 1, 3).index):
        sides[role].finish()
    return results


def dealing_at_once(operation: Generator[Round, Any, Any], side: Any) -> Generator[Round, Any, Any]:
    """A dealer's part that holds no correction back, so that evaluators in the same thread never wait for one."""
    with side._side.hurry():
        return (yield from operation)


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
