# SPDX-License-Identifier: Apache-2.0
"""Diffie-Hellman intersection: chunks that fit together, messages that say nothing, and lies that are noticed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.core.errors import LowOrderPointError, PeerError, ProtocolAbort, PsiFrameInvalid
from jali.crypto.curve import Scalar
from jali.crypto.elligator import hash_to_curve, on_curve
from jali.psi import ecdh
from jali.psi.ecdh import EcdhPsi
from jali.psi.hello import HELLO_BYTES
from jali.psi.keys import Keys
from tests.psi.pairs import run_both, stream_pair
from tests.psi.test_protocols import OPPOSITE, _check, _ignore

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.psi.contract import Learns
    from tests.psi.pairs import PairStream, Tamper

ONE_IN_A_MILLION = 1e-6


def _part(keys: Keys, learns: Learns = "both") -> Callable[[PairStream], object]:
    return lambda stream: EcdhPsi().intersect(stream, keys, learns=learns, progress=_ignore)


def _run(a: Keys, b: Keys, learns: Learns = "both") -> tuple[PairStream, PairStream]:
    streams = stream_pair()
    run_both(streams, _part(a, learns), _part(b, OPPOSITE[learns]))
    return streams


@pytest.mark.parametrize("learns", ["both", "me", "peer"])
@pytest.mark.parametrize(("n", "m"), list(itertools.product([0, 1, 3, 4, 6, 10], repeat=2)))
def test_chunks_of_three_fit_together(monkeypatch: pytest.MonkeyPatch, n: int, m: int, learns: Learns) -> None:
    """Sizes around multiples of the chunk, at both sides: results, bytes and rounds are exact."""
    monkeypatch.setattr(ecdh, "CHUNK_KEYS", 3)
    _check(EcdhPsi(), np.arange(n), np.arange(2, 2 + m), learns=learns)


def test_declared_cost_of_the_usual_case() -> None:
    cost = EcdhPsi().cost(1000, 500)
    assert cost.rounds == 2
    assert cost.bytes_sent == {"me": 16 + 32 * 1000 + 16 * 500, "peer": 16 + 32 * 500 + 16 * 1000}
    assert EcdhPsi().cost(10**6, 10**6).rounds == 1 + -(-(10**6) // ecdh.CHUNK_KEYS)
    assert EcdhPsi().cost(1000, 500, learns="me").bytes_sent == {"me": 16 + 32000, "peer": 16 + 16000 + 16000}


def test_sent_points_look_random_and_lie_on_the_curve() -> None:
    """Chi-square over all bytes but each point's last, whose top bit is 0; and no point on the twist."""
    streams = _run(Keys(np.arange(2000)), Keys(np.arange(1000, 1010)))
    raw = streams[0].sent[0][HELLO_BYTES:]
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
        {message[at : at + 16] for stream in run for message in stream.sent for at in range(HELLO_BYTES, len(message))}
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
    target = fixed.multiply(hash_to_curve([keys.distinct[0]], domain=ecdh._TO_CURVE)).tobytes()
    for _ in range(300):
        raw = ecdh._Run(stream_pair()[0], keys).mask(0).tobytes()
        places.append(raw.index(target) // 32)
    assert chisquare(np.bincount(places, minlength=3)).pvalue > ONE_IN_A_MILLION


def test_who_does_not_learn_gets_no_tags() -> None:
    at_learner, at_other = _run(Keys(["a", "b"]), Keys(["b", "c"]), "me")
    assert [len(message) for message in at_learner.sent] == [HELLO_BYTES + 64]
    assert [len(message) for message in at_other.sent] == [HELLO_BYTES + 64, 32]


def _swap(message: bytes, start: int, new: bytes) -> bytes:
    return message[:start] + new + message[start + len(new) :]


@pytest.mark.parametrize(
    ("index", "change", "error", "says"),
    [
        (0, lambda m: b"", PsiFrameInvalid, "16 bytes, found 0"),
        (0, lambda m: m[:15], PsiFrameInvalid, "found 15"),
        (0, lambda m: m[:-1], PsiFrameInvalid, "4 rows of 32 bytes"),
        (0, lambda m: m + bytes(32), PsiFrameInvalid, "found 160 bytes"),
        (0, lambda m: m[:-32], PsiFrameInvalid, "found 96 bytes"),
        (0, lambda m: b"x" + m[1:], PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 4, b"\x02"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 5, b"\x09"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 6, b"\x09\x00"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 8, (5).to_bytes(8, "little")), PsiFrameInvalid, "5 rows"),
        (0, lambda m: _swap(m, 8, (2**40).to_bytes(8, "little")), PsiFrameInvalid, "at most"),
        (0, lambda m: _swap(m, HELLO_BYTES, bytes(32)), LowOrderPointError, "low order"),
        (0, lambda m: _swap(m, HELLO_BYTES, b"\x01" + bytes(31)), LowOrderPointError, "low order"),
        (0, lambda m: _swap(m, HELLO_BYTES, b"\xff" * 32), LowOrderPointError, "below"),
        (0, lambda m: _swap(m, HELLO_BYTES, m[-32:]), PsiFrameInvalid, "repeated"),
        (1, lambda m: b"", PsiFrameInvalid, "4 rows of 16 bytes"),
        (1, lambda m: m[:-16], PsiFrameInvalid, "found 48 bytes"),
        (1, lambda m: _swap(m, 0, m[-16:]), PsiFrameInvalid, "repeated"),
    ],
)
def test_lies_are_named_errors(
    index: int, change: Callable[[bytes], bytes], error: type[ProtocolAbort], says: str
) -> None:
    streams = stream_pair()
    tamper: Tamper = lambda i, message: change(message) if i == index else message  # noqa: E731 - one of two hooks
    streams[1].tamper = tamper
    keys = Keys(["a", "b", "c", "d"])
    raised, _ = run_both(streams, _part(keys), _part(keys), errors=True)
    assert isinstance(raised, error)
    assert isinstance(raised, ProtocolAbort)
    assert says in str(raised)


def test_a_changed_point_or_tag_loses_a_row_and_never_invents_one() -> None:
    """A semi-honest protocol cannot notice a well-formed lie; what it costs is the changed key only."""
    for index, start in ((0, HELLO_BYTES), (1, 0)):
        streams = stream_pair()
        streams[1].tamper = lambda i, m, index=index, start=start: (  # type: ignore[misc]
            _swap(m, start, bytes([m[start] ^ 1])) if i == index else m
        )
        keys = Keys(np.arange(5))
        found, _ = run_both(streams, _part(keys), _part(keys))
        assert len(found) == 4


def test_a_peer_that_stops_is_an_error() -> None:
    raised, _ = run_both(stream_pair(), _part(Keys(["a"])), lambda stream: stream.close(), errors=True)
    assert isinstance(raised, PeerError)
