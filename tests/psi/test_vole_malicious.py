# SPDX-License-Identifier: Apache-2.0
"""The checked intersection: exact, and each lie of either party is named."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import CheckFailed, PsiFrameInvalid
from jali.crypto.randomness import random_bytes
from jali.psi import vole_oprf
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.keys import Keys
from jali.psi.vole_malicious import VoleMaliciousPsi
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.psi.pairs import PairStream

ENCODER, TAGGER = Keys(np.arange(40)), Keys(np.arange(20, 61))


def _run(*, streams: tuple[PairStream, PairStream] | None = None, errors: bool = False) -> Any:
    """The first party encodes: it has fewer keys."""
    parts = [
        lambda stream, keys=keys, n=n, first=first: VoleMaliciousPsi().intersect(
            stream, keys, n, learns="both", first=first, progress=quiet
        )
        for keys, n, first in ((ENCODER, len(TAGGER), True), (TAGGER, len(ENCODER), False))
    ]
    return run_both(streams or stream_pair(), *parts, errors=errors)


def test_it_is_named_but_never_chosen() -> None:
    from jali.psi.choice import CHOSEN_FROM

    assert "vole-malicious" in PSI_PROTOCOLS
    assert "vole-malicious" not in CHOSEN_FROM
    threat = VoleMaliciousPsi.threat
    assert (threat.adversary, threat.parties, threat.corrupt) == ("malicious", 2, 1)


def test_it_costs_tags_in_full_and_a_few_kilobytes_more() -> None:
    usual, checked = (PSI_PROTOCOLS.get(name)().cost(10**6, 10**6) for name in ("vole", "vole-malicious"))
    more = {side: checked.bytes_sent[side] - usual.bytes_sent[side] for side in ("me", "peer")}
    assert more == {"me": 4_176 + 32, "peer": 6 * 10**6 + 96}
    assert checked.rounds == usual.rounds + 2


def test_it_never_fails_where_both_follow_the_protocol() -> None:
    for _ in range(25):
        mine, theirs = _run()
        assert len(mine) == len(theirs) == 20


def _flip(place: int, bit: int = 1) -> Callable[[bytes], bytes]:
    def change(message: bytes) -> bytes:
        bent = bytearray(message)
        bent[place] ^= bit
        return bytes(bent)

    return change


@pytest.mark.parametrize(
    ("side", "index", "change", "words"),
    [
        (0, 1, _flip(0), "products"),  # a product
        (0, 1, _flip(-1), "products"),  # the proof
        (0, 2, _flip(0), "trees"),  # the point of the challenge
        (0, 2, _flip(-1), "trees"),  # its value
        (1, 1, _flip(-1), "trees"),  # a total
        (1, 2, _flip(0), "trees"),  # the answer
        (1, 3, _flip(0), "committed"),  # the value that is added
        (1, 3, _flip(-1), "committed"),  # what opens the commitment
        (1, 0, _flip(-1), "committed"),  # the commitment to it
        (0, 4, _flip(-1), "proof"),  # the claim of what is in common
        (0, 4, _flip(0, 255), "proof"),  # other keys than those
        (0, 4, lambda m: bytes([255] * (len(m) - 32)) + m[-32:], "proof"),  # all of them
    ],
)
def test_each_lie_is_named(side: int, index: int, change: Callable[[bytes], bytes], words: str) -> None:
    streams = stream_pair()
    streams[side].tamper = lambda i, m: change(m) if i == index else m
    raised = _run(streams=streams, errors=True)
    lies = [error for error in raised if isinstance(error, CheckFailed)]
    assert len(lies) == 1
    assert words in lies[0].message
    assert str(lies[0]).count("J4107") == 1
    assert lies[0].party == ("alice", "bob")[side] or (side, index) == (0, 2)  # who notices names the other
    assert "does not follow the protocol" in str(lies[0])


@pytest.mark.parametrize(
    ("index", "change"), [(1, _flip(-1)), (1, lambda m: bytes(255 - byte for byte in m)), (2, _flip(0))]
)
def test_a_tagger_that_is_caught_has_seen_nothing_of_the_table(index: int, change: Callable[[bytes], bytes]) -> None:
    """The encoder ends before it sends anything that depends on its keys, or on its holes but by what was caught."""
    streams = stream_pair()
    streams[1].tamper = lambda i, m: change(m) if i == index else m
    raised = _run(streams=streams, errors=True)
    assert isinstance(raised[0], CheckFailed)
    assert [len(message) for message in streams[0].sent[2:]] == [32]  # the challenge, and no table


@pytest.mark.parametrize("known", [False, True])
def test_a_repeated_tag_ends_the_run_whoever_has_its_key(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """It stands in the place of another one, whose key the encoder has not; its own key the encoder has, or not."""
    theirs = {digest.tobytes() for digest in ENCODER.digests}
    has = [digest.tobytes() in theirs for digest in TAGGER.digests]
    twice = has.index(known)
    other = max(i for i, there in enumerate(has) if not there)
    assert other != twice
    tags = vole_oprf.OprfServer.outputs

    def repeated(self: Any, digests: Any, **options: Any) -> Any:
        found = tags(self, digests, **options)
        found[other] = found[twice]
        return found

    monkeypatch.setattr(vole_oprf.OprfServer, "outputs", repeated)
    raised = _run(errors=True)
    assert isinstance(raised[0], PsiFrameInvalid)
    assert "repeated" in raised[0].message


def _log2_of_tables(n: int, m: int) -> float:
    """For 2^64 keys that were hashed and 2^64 seeds: of the chance that some table of m places has n of them, at most.

    The n of them, at most (2^64 e / n)^n; each beyond m has its value by chance, in 2^128.
    """
    return n * (64 + math.log2(math.e) - math.log2(n)) + 64 - 128 * (n - m)


@pytest.mark.parametrize(("n", "factor"), [(10**3, 1.74), (10**6, 1.54), (1 << 20, 1.54)])
def test_the_bound_of_keys_is_that_of_the_docs(n: int, factor: float) -> None:
    m = vole_oprf.table_places(n)
    assert _log2_of_tables(int(factor * m), m) < -64
    assert _log2_of_tables(int((factor - 0.01) * m), m) > -64


def test_a_table_that_is_bent_gives_no_key_that_is_not_there() -> None:
    """The table is the encoder's input: another one is another set, of which nothing is in common."""
    streams = stream_pair()
    streams[0].tamper = lambda i, m: m[:8] + random_bytes(len(m) - 24) + m[-16:] if i == 3 else m
    mine, theirs = _run(streams=streams)
    assert len(mine) == len(theirs) == 0


def test_messages_of_another_size_are_named() -> None:
    for side in (0, 1):
        for index in range(5):
            streams = stream_pair()
            streams[side].tamper = lambda i, m, at=index: m[:-1] if i == at else m  # type: ignore[misc]
            raised = _run(streams=streams, errors=True)
            assert isinstance(raised[1 - side], PsiFrameInvalid)
