# SPDX-License-Identifier: Apache-2.0
"""Chi-square tests of bytes, and the views of roles that they are applied to."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.crypto.prg import Prg
from jali.mpc.rounds import lockstep
from tests.mpc.roles import DEALT, dealing_at_once, make_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]
    View = list[Words]

__all__ = ["ALPHA", "contrasts", "differing", "noting", "suspicious", "views_of"]

ALPHA = 1e-6


def views_of(
    protocol: str, operation: Callable[[Any], Any], *, seed: int, generator: Callable[[bytes], Any] = Prg
) -> tuple[dict[int, View], dict[int, Any]]:
    """Every message that each role receives, in order, with the dealer's corrections; and the results."""
    sides, streams = make_sides(protocol, seed=seed, generator=generator)
    views: dict[int, View] = {role: [] for role in sides}

    def observe(rounds: Mapping[int, Round]) -> None:
        for sender in sorted(rounds):
            for receiver, arrays in rounds[sender].send.items():
                views[receiver].extend(array.reshape(-1).copy() for array in arrays)

    running = {role: operation(sides[role]) for role in (2, 0, 1)}
    if protocol in DEALT:
        running[2] = dealing_at_once(running[2], sides[2])
        corrections: Any = streams[1][2]
        corrections.receive = noting(corrections.receive, views[1])
    return views, lockstep(running, observe=observe)


def noting(receive: Callable[[], memoryview], view: View) -> Callable[[], memoryview]:
    """The same, with every message kept."""

    def receive_and_keep() -> memoryview:
        message = receive()
        view.append(np.frombuffer(bytes(message), np.uint64))
        return message

    return receive_and_keep


def contrasts(views: Sequence[View]) -> Iterator[tuple[str, Words]]:
    """What a reader of many views looks at: each message, and the difference of any two of one length.

    Words under independent masks are uniform one by one and in any sum; a mask used twice shows in a difference.
    """
    messages = [np.stack(column) for column in zip(*views, strict=True)]
    for i, message in enumerate(messages):
        yield f"message {i}", message
        for j in range(i):
            if messages[j].shape == message.shape:
                yield f"messages {i} - {j}", message - messages[j]
                yield f"messages {i} ^ {j}", message ^ messages[j]


def suspicious(samples: Sequence[tuple[str, Words]]) -> list[str]:
    """The samples whose bytes are not uniform, at ALPHA for all of them together."""
    limit = NormalDist().inv_cdf(1 - ALPHA / max(1, len(samples)))
    found = []
    for name, words in samples:
        counts = _bytes(words)
        expected = counts.sum() / 256
        score = _as_normal(float(((counts - expected) ** 2 / expected).sum()), 255) if expected else 0.0
        if score > limit:
            found.append(f"{name}: {score:.1f} > {limit:.1f} over {int(counts.sum())} bytes")
    return found


def differing(pairs: Sequence[tuple[str, Words, Words]]) -> list[str]:
    """The pairs of samples whose bytes have different distributions, at ALPHA for all of them together."""
    limit = NormalDist().inv_cdf(1 - ALPHA / max(1, len(pairs)))
    found = []
    for name, first, second in pairs:
        a, b = _bytes(first), _bytes(second)
        both = a + b
        seen = both > 0
        statistic = float(((a - b)[seen] ** 2 / both[seen]).sum()) if seen.any() else 0.0
        score = _as_normal(statistic, max(1, int(seen.sum()) - 1))
        if score > limit:
            found.append(f"{name}: {score:.1f} > {limit:.1f}")
    return found


def _bytes(words: Words) -> NDArray[np.float64]:
    return np.bincount(np.ascontiguousarray(words).reshape(-1).view(np.uint8), minlength=256).astype(np.float64)


def _as_normal(statistic: float, freedom: int) -> float:
    """A chi-square statistic as a standard normal one (Wilson and Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - spread)) / spread**0.5)
