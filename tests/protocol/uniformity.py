# SPDX-License-Identifier: Apache-2.0
"""Chi-square tests of bytes, and the views of roles that they are applied to."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.crypto.prg import Prg
from jali.mpc.rounds import lockstep
from tests.mpc.roles import make_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]
    View = list[Words]

__all__ = ["ALPHA", "contrasts", "differing", "suspicious", "views_of"]

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

    results: dict[int, Any] = {}
    if protocol == "m2k":
        results = lockstep({2: operation(sides[2])})
        sides[2].finish()
        inbox = streams[1][2]._inbox
        for message in [inbox.get() for _ in range(inbox.qsize())]:
            inbox.put(message)
            if message:
                views[1].append(np.frombuffer(bytes(message), np.uint64))
    results |= lockstep({role: operation(side) for role, side in sides.items() if role not in results}, observe=observe)
    return views, results


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
