# SPDX-License-Identifier: Apache-2.0
"""Parts of a secret join: they add up to 0 and to the cells where keys match, and show nothing alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.core.errors import PsiFrameInvalid
from jali.crypto.randomness import random_words
from jali.psi.circuit import cost, left_parts, place, right_parts
from jali.psi.cuckoo import size_for
from jali.psi.keys import Keys
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.psi.pairs import PairStream


def _run(
    a: Keys, b: Keys, cells: NDArray[np.uint64], *, streams: tuple[PairStream, PairStream] | None = None, **how: Any
) -> Any:
    placed = place(a.digests)
    return placed, run_both(
        streams or stream_pair(),
        lambda stream: left_parts(stream, placed, len(b), cells.shape[1], quiet),
        lambda stream: right_parts(stream, b.digests, cells, len(a), quiet),
        **how,
    )


def _check(a: range, b: range, columns: int) -> None:
    left, right = Keys(np.array(a, np.int64)), Keys(np.array(b, np.int64))
    cells = random_words((len(right), columns))
    streams = stream_pair()
    placed, (mine, theirs) = _run(left, right, cells, streams=streams)
    assert mine.shape == theirs.shape == (size_for(len(a)), 1 + columns)
    opened = mine + theirs
    wanted = {key.tobytes(): row for key, row in zip(right.digests, cells, strict=True)}
    found = 0
    for holder, row in zip(placed.holder, opened, strict=True):
        key = b"" if holder < 0 else left.digests[holder].tobytes()
        assert (row[0] == 0) == (key in wanted)
        if key in wanted:
            found += 1
            assert np.array_equal(row[1:], wanted[key])
    assert found == len(set(a) & set(b))
    declared, counted = cost(len(a), len(b), columns), streams[0].counters
    assert (counted.rounds, counted.bytes_sent, counted.bytes_received) == (
        declared.rounds,
        declared.bytes_sent["me"],
        declared.bytes_sent["peer"],
    )


@pytest.mark.parametrize("columns", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (range(0), range(0)),
        (range(0), range(5)),
        (range(5), range(0)),
        (range(1), range(1)),
        (range(1), range(1, 2)),
        (range(1000), range(500, 1500)),
        (range(7), range(2000)),
        (range(2000), range(5, 9)),
    ],
)
def test_exact(a: range, b: range, columns: int) -> None:
    _check(a, b, columns)


@pytest.mark.slow
def test_exact_at_fifty_thousand() -> None:
    _check(range(50_000), range(20_000, 80_000), 3)


def test_matches_do_not_show() -> None:
    """What the left party gets is uniform, and where keys match no other than elsewhere; so is what the other draws."""
    a, b = Keys(np.arange(2000)), Keys(np.arange(1000, 3000))
    placed, (mine, theirs) = _run(a, b, np.zeros((2000, 1), np.uint64))
    member = (mine + theirs)[:, 0] == 0
    assert member.sum() == 1000
    for words in (mine[member], mine[~member], theirs, theirs[member]):
        counts = np.bincount(np.ascontiguousarray(words).view(np.uint8).reshape(-1), minlength=256)
        assert chisquare(counts).pvalue > 1e-6
    assert len(placed.holder) == len(member)
    assert repr(placed) == "<Placed>"


@pytest.mark.parametrize(("side", "index"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("change", [lambda m: m[:-1], lambda m: m + b"\0", lambda m: b""])
def test_messages_of_another_form_are_named(side: int, index: int, change: Callable[[bytes], bytes]) -> None:
    streams = stream_pair()
    streams[side].tamper = lambda i, m: change(m) if i == index else m
    keys = Keys(["a", "b"])
    _, raised = _run(keys, keys, np.zeros((2, 2), np.uint64), streams=streams, errors=True)
    assert isinstance(raised[1 - side], PsiFrameInvalid)
