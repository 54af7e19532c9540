# SPDX-License-Identifier: Apache-2.0
"""Intersection by oblivious evaluation: what is sent looks random, in random order, and lies are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.core.errors import PsiFrameInvalid
from jali.crypto.randomness import random_order
from jali.psi import vole
from jali.psi.keys import Keys
from jali.psi.vole import VolePsi, tag_bytes
from tests.psi.pairs import quiet, run_both, stream_pair
from tests.psi.test_protocols import check_exact

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.psi.pairs import PairStream

ONE_IN_A_MILLION = 1e-6


def _run(a: Keys, b: Keys, *, errors: bool = False, streams: tuple[PairStream, PairStream] | None = None) -> Any:
    streams = streams or stream_pair()
    parts = [
        lambda stream, keys=keys, n=n, first=first: VolePsi().intersect(
            stream, keys, n, learns="both", first=first, progress=quiet
        )
        for keys, n, first in ((a, len(b), True), (b, len(a), False))
    ]
    return run_both(streams, *parts, errors=errors), streams


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 3000), (3000, 1), (2999, 3000), (3000, 3000)])
def test_either_side_may_be_larger(n: int, m: int) -> None:
    check_exact(VolePsi(), np.arange(n), np.arange(n - 1, n - 1 + m))


@pytest.mark.slow
@pytest.mark.parametrize("n", [100_000, 300_000])
def test_exact_at_sizes_that_cross_threads_and_chunks(n: int) -> None:
    check_exact(VolePsi(), np.arange(n), np.arange(n // 3, n // 3 + n)[::-1])


def test_what_is_sent_looks_uniform() -> None:
    _, (encoder, tagger) = _run(Keys(np.arange(2000)), Keys(np.arange(1000, 3100)))
    for message in (encoder.sent[1], encoder.sent[2], tagger.sent[1], tagger.sent[2]):
        assert chisquare(np.bincount(np.frombuffer(message, np.uint8), minlength=256)).pvalue > ONE_IN_A_MILLION


def test_tags_are_in_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder learns which tags it has, and from their places nothing."""
    orders = []

    def noted(n: int) -> NDArray[np.int64]:
        orders.append(random_order(n))
        return orders[-1]

    monkeypatch.setattr(vole, "random_order", noted)
    for _ in range(60):
        _run(Keys(["a"]), Keys(["a", "b", "c"]))
    places = [int(np.flatnonzero(order == 0)[0]) for order in orders]
    assert chisquare(np.bincount(places, minlength=3)).pvalue > ONE_IN_A_MILLION


def test_a_key_that_is_not_in_common_stays_hidden() -> None:
    """No tag is a function of the key alone: two runs share none."""
    first, second = (_run(Keys(["a", "b"]), Keys(["b", "c", "d"]))[1][1].sent[2] for _ in range(2))
    width = tag_bytes(2, 3)
    rows = [{message[at : at + width] for at in range(0, len(message), width)} for message in (first, second)]
    assert len(rows[0]) == 3
    assert not rows[0] & rows[1]


@pytest.mark.parametrize(
    ("side", "index", "change"),
    [
        (0, 0, lambda m: m[:-1]),
        (0, 1, lambda m: m + b"\0"),
        (0, 2, lambda m: m[16:]),
        (1, 0, lambda m: b""),
        (1, 1, lambda m: m[:64]),
        (1, 2, lambda m: m[: -tag_bytes(3, 3)]),
        (1, 2, lambda m: m[: -tag_bytes(3, 3)] + m[-2 * tag_bytes(3, 3) : -tag_bytes(3, 3)]),
        (0, 3, lambda m: m + m),
    ],
)
def test_messages_of_another_form_are_named(side: int, index: int, change: Callable[[bytes], bytes]) -> None:
    streams = stream_pair()
    streams[side].tamper = lambda i, m: change(m) if i == index else m
    raised, _ = _run(Keys(["a", "b", "c"]), Keys(["c", "b", "a"]), errors=True, streams=streams)
    assert isinstance(raised[1 - side], PsiFrameInvalid)


@pytest.mark.parametrize(
    ("n", "m", "width"), [(1, 1, 5), (2, 2, 6), (2**20, 2**20, 10), (10**6, 10**7, 11), (2**45, 2**45, 16)]
)
def test_tags_are_as_wide_as_certainty_needs(n: int, m: int, width: int) -> None:
    assert tag_bytes(n, m) == width


def test_bytes_of_a_million() -> None:
    """Below 33 bytes a key, both ways together."""
    cost = VolePsi().cost(10**6, 10**6)
    assert sum(cost.bytes_sent.values()) == 29_279_760
    assert cost.rounds == 2
