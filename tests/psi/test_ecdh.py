# SPDX-License-Identifier: Apache-2.0
"""Diffie-Hellman intersection: chunks that fit together, and messages that say nothing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import Scalar
from jali.crypto.elligator import hash_to_curve
from jali.kernels.reference_curve import on_curve
from jali.psi import ecdh
from jali.psi.ecdh import EcdhPsi
from jali.psi.keys import Keys
from tests.psi.pairs import quiet, run_both, stream_pair
from tests.psi.test_protocols import OPPOSITE, check_exact

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.psi.contract import Learns
    from tests.psi.pairs import PairStream

ONE_IN_A_MILLION = 1e-6


def _part(keys: Keys, n_theirs: int, learns: Learns = "both") -> Callable[[PairStream], object]:
    return lambda stream: EcdhPsi().intersect(stream, keys, n_theirs, learns=learns, progress=quiet)


def _run(a: Keys, b: Keys, learns: Learns = "both") -> tuple[PairStream, PairStream]:
    streams = stream_pair()
    run_both(streams, _part(a, len(b), learns), _part(b, len(a), OPPOSITE[learns]))
    return streams


@pytest.mark.parametrize("learns", ["both", "me", "peer"])
@pytest.mark.parametrize(("n", "m"), list(itertools.product([0, 1, 3, 4, 6, 10], repeat=2)))
def test_chunks_of_three_fit_together(monkeypatch: pytest.MonkeyPatch, n: int, m: int, learns: Learns) -> None:
    """Sizes around multiples of the chunk, at both sides: results, bytes and rounds are exact."""
    monkeypatch.setattr(ecdh, "CHUNK_KEYS", 3)
    check_exact(EcdhPsi(), np.arange(n), np.arange(2, 2 + m), learns=learns)


def test_declared_cost_of_the_usual_case() -> None:
    cost = EcdhPsi().cost(1000, 500)
    assert cost.rounds == 2
    assert cost.bytes_sent == {"me": 32 * 1000 + 16 * 500, "peer": 32 * 500 + 16 * 1000}
    assert EcdhPsi().cost(10**6, 10**6).rounds == 1 + -(-(10**6) // ecdh.CHUNK_KEYS)
    assert EcdhPsi().cost(1000, 500, learns="me").bytes_sent == {"me": 32000, "peer": 16000 + 16000}


def test_sent_points_look_random_and_lie_on_the_curve() -> None:
    """Chi-square over all bytes but each point's last, whose top bit is 0; and no point on the twist."""
    streams = _run(Keys(np.arange(2000)), Keys(np.arange(1000, 1010)))
    raw = streams[0].sent[0]
    points = np.frombuffer(raw, np.uint8).reshape(2000, 32)
    assert chisquare(np.bincount(points[:, :31].reshape(-1), minlength=256)).pvalue > ONE_IN_A_MILLION
    assert int(points[:, 31].max()) < 128
    assert all(on_curve(int.from_bytes(row.tobytes(), "little")) for row in points[:64])
    tags = np.frombuffer(streams[1].sent[1], np.uint8)
    assert chisquare(np.bincount(tags, minlength=256)).pvalue > ONE_IN_A_MILLION


def test_two_runs_share_no_byte_rows() -> None:
    """Fresh scalars: nothing that a peer sees links one run to another."""
    first, second = (_run(Keys(["a", "b"]), Keys(["b", "c"])) for _ in range(2))
    rows = [
        {message[at : at + 16] for stream in run for message in stream.sent for at in range(0, len(message), 16)}
        for run in (first, second)
    ]
    assert not {row for row in rows[0] & rows[1] if len(row) == 16}


def test_no_identifier_is_sent() -> None:
    streams = _run(Keys(["customer-4711", "customer-4712"]), Keys(["customer-4711"]))
    sent = b"".join(message for stream in streams for message in stream.sent)
    assert b"customer" not in sent
    assert b"4711" not in sent


def test_what_is_sent_is_in_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the scalar fixed, the place of one key among three is uniform over runs."""
    fixed = Scalar(bytes(range(32)))
    monkeypatch.setattr(ecdh, "Scalar", lambda: fixed)
    keys = Keys(["a", "b", "c"])
    places = []
    target = fixed.multiply(hash_to_curve(ByteStrings.rows(keys.digests[:1]), domain=ecdh._TO_CURVE)).tobytes()
    for _ in range(300):
        raw = ecdh._Run(stream_pair()[0], keys, 3).mask(0).tobytes()
        places.append(raw.index(target) // 32)
    assert chisquare(np.bincount(places, minlength=3)).pvalue > ONE_IN_A_MILLION


def test_who_does_not_learn_gets_no_tags() -> None:
    at_learner, at_other = _run(Keys(["a", "b"]), Keys(["b", "c"]), "me")
    assert [len(message) for message in at_learner.sent] == [64]
    assert [len(message) for message in at_other.sent] == [64, 32]
