# SPDX-License-Identifier: Apache-2.0
"""The choice of a protocol from the numbers of keys, both parties' speed and the network between them."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from jali import kernels
from jali.core.errors import PsiKeysDiffer
from jali.crypto.randomness import random_bytes
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.hello import Speed
from jali.transport.network import network_of

if TYPE_CHECKING:
    from jali.psi.contract import Learns
    from jali.psi.hello import Hello
    from jali.transport.network import Network

__all__ = ["AUTO", "CHOSEN_FROM", "TRANSFER_POINTS", "Choice", "choose", "settled", "speed_here"]

AUTO: Final = "auto"
CHOSEN_FROM: Final = ("ecdh", "vole")
_TRIAL = 2048
_TRIES = 3
TRANSFER_POINTS = 23_000
"""Multiplications and maps of the slower side for the oblivious transfers of `vole`."""


class Choice(NamedTuple):
    """A protocol, why it was taken, and the seconds that it and the others would take."""

    protocol: str
    reason: str
    seconds: dict[str, float]


@cache
def speed_here() -> Speed:
    """How fast this machine is, measured once in a process for some hundredths of a second."""
    rows = np.frombuffer(random_bytes(32 * _TRIAL), np.uint8).reshape(-1, 32)
    keys, scalar = np.ascontiguousarray(rows[:, :16]), random_bytes(32)
    fill = np.zeros((2 * _TRIAL, 16), np.uint8)
    ends = np.arange(_TRIAL + 1, dtype=np.uint64) * np.uint64(16)
    point = key = 1.0
    for _ in range(_TRIES):
        start = time.perf_counter()
        kernels.curve_multiply(rows, scalar)
        middle = time.perf_counter()
        kernels.okvs_encode(keys, keys, fill, seed=1)
        kernels.okvs_decode(keys, fill, seed=1)
        kernels.expand_convolute(fill.view(np.uint64).reshape(-1, 2), _TRIAL, seed=scalar[:16])
        kernels.sha512_each(keys.reshape(-1), ends, width=16)
        end = time.perf_counter()
        point, key = min(point, (middle - start) / _TRIAL), min(key, (end - middle) / _TRIAL)
    return Speed(*(float(np.float32(seconds)) for seconds in (point, key)))  # as the peer will read them


def choose(
    n: tuple[int, int], speeds: tuple[Speed, Speed], *, learns: Learns, network: str | Network, first: bool = True
) -> Choice:
    """The protocol that should be done first; both parties find the same from what both know.

    `n` and `speeds` are mine and the peer's, `learns` and `first` as of `PsiProtocol.intersect`.
    """
    way = network_of(network)
    seconds = {}
    for name in CHOSEN_FROM:
        cost = PSI_PROTOCOLS.get(name)().cost(*n, learns=learns, first=first)
        work = max(_work(name, n, speed) for speed in speeds)
        if way.one_machine:
            work = sum(_work(name, n, speed) for speed in speeds)
        wire = 8 * max(cost.bytes_sent.values()) / way.bandwidth if way.bandwidth else 0.0
        rounds = {"ecdh": 2, "vole": 4}[name]  # those that are waited for, chunks being under way meanwhile
        seconds[name] = max(work, wire) + rounds * way.rtt_s if name == "ecdh" else work + wire + rounds * way.rtt_s
    best = min(seconds, key=lambda name: (seconds[name], name))
    listed = ", ".join(f"{name} about {value:.2g} s" for name, value in seconds.items())
    return Choice(best, f"{n[0]:,} and {n[1]:,} keys: {listed}", seconds)


def _work(name: str, n: tuple[int, int], speed: Speed) -> float:
    if name == "ecdh":
        return sum(n) * speed.point_s * 1.2  # and maps, hashes and comparisons
    return TRANSFER_POINTS * speed.point_s + 3 * max(n) * speed.key_s  # tables of a large set leave the cache


def settled(mine: str, theirs: Hello, choice: Choice | None, *, peer: str) -> str:
    """The protocol of both, of whom at most one may leave it to the other, or both to the choice.

    Raises: PsiKeysDiffer if both name one, and not the same, or the peer one that is unknown here.
    """
    named = {name for name in (mine, theirs.protocol) if name != AUTO}
    if len(named) > 1 or (named and named.isdisjoint(PSI_PROTOCOLS.names())):
        raise PsiKeysDiffer(
            f"{peer!r} wants the protocol {theirs.protocol!r}, this party {mine!r}: give both the same, or {AUTO!r}",
            party=peer,
        )
    if named:
        return named.pop()
    return choice.protocol if choice is not None else "ecdh"
