# SPDX-License-Identifier: Apache-2.0
"""A peer that lies in an intersection: malformed messages are named errors, well-formed lies never invent a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import LowOrderPointError, PeerError, ProtocolAbort, PsiFrameInvalid, PsiKeysDiffer
from jali.psi import ecdh
from jali.psi.intersection import intersect
from jali.psi.keys import Keys
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.psi.pairs import PairStream, Tamper


def _part(keys: Keys) -> Callable[[PairStream], object]:
    return lambda stream: intersect(
        stream, keys, protocol="ecdh", learns="both", first=stream.peer == "bob", progress=quiet
    )


def _swap(message: bytes, start: int, new: bytes) -> bytes:
    return message[:start] + new + message[start + len(new) :]


@pytest.mark.parametrize(
    ("index", "change", "error", "says"),
    [
        (0, lambda m: b"", PsiFrameInvalid, "48 bytes, found 0"),
        (0, lambda m: m[:47], PsiFrameInvalid, "found 47"),
        (0, lambda m: m + b"\0", PsiFrameInvalid, "found 49"),
        (0, lambda m: b"x" + m[1:], PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 4, b"\x02"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 5, b"\x09"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 6, b"\x04\x00"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 8, (5).to_bytes(8, "little")), PsiFrameInvalid, "5 rows"),
        (0, lambda m: _swap(m, 8, (2**40).to_bytes(8, "little")), PsiFrameInvalid, "at most"),
        (0, lambda m: _swap(m, 16, b"vole"), PsiKeysDiffer, "'vole'"),
        (0, lambda m: _swap(m, 16, b"\xff"), PsiFrameInvalid, "another format"),
        (0, lambda m: _swap(m, 32, b"\xff" * 4), PsiFrameInvalid, "another format"),
        (1, lambda m: m[:-1], PsiFrameInvalid, "4 rows of 32 bytes"),
        (1, lambda m: m + bytes(32), PsiFrameInvalid, "found 160 bytes"),
        (1, lambda m: m[:-32], PsiFrameInvalid, "found 96 bytes"),
        (1, lambda m: _swap(m, 0, bytes(32)), LowOrderPointError, "low order"),
        (1, lambda m: _swap(m, 0, b"\x01" + bytes(31)), LowOrderPointError, "low order"),
        (1, lambda m: _swap(m, 0, b"\xff" * 32), LowOrderPointError, "below"),
        (1, lambda m: _swap(m, 0, m[-32:]), PsiFrameInvalid, "repeated"),
        (2, lambda m: b"", PsiFrameInvalid, "4 rows of 16 bytes"),
        (2, lambda m: m[:-16], PsiFrameInvalid, "found 48 bytes"),
        (2, lambda m: _swap(m, 0, m[-16:]), PsiFrameInvalid, "repeated"),
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
    for index in (1, 2):
        streams = stream_pair()
        streams[1].tamper = lambda i, m, index=index: (  # type: ignore[misc]
            _swap(m, 0, bytes([m[0] ^ 1])) if i == index else m
        )
        keys = Keys(np.arange(5))
        found, _ = run_both(streams, _part(keys), _part(keys))
        assert len(found) == 4


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("stage", range(7))
def test_a_peer_that_stops_at_any_message_is_an_error(monkeypatch: pytest.MonkeyPatch, stage: int) -> None:
    """Eight keys in chunks of three: seven messages each way, and the peer ends instead of sending number `stage`."""
    monkeypatch.setattr(ecdh, "CHUNK_KEYS", 3)
    streams, keys = stream_pair(), Keys(np.arange(8))

    def die(index: int, message: bytes) -> bytes:
        if index == stage:
            raise Killed
        return message

    streams[1].tamper = die
    raised, died = run_both(streams, _part(keys), _part(keys), errors=True)
    assert isinstance(died, Killed)
    assert isinstance(raised, PeerError)
    assert raised.party == "bob"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.binary(max_size=200) | st.binary(min_size=48, max_size=48), st.booleans())
def test_any_bytes_end_in_a_named_error(index: int, noise: bytes, keep_start: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever comes instead of a message, the run ends at once, by name, and without another exception."""
    streams = stream_pair()
    start = 16 if keep_start and index == 0 else 0
    streams[1].tamper = lambda i, m: m[:start] + noise if i == index else m
    keys = Keys(["a", "b", "c"])
    raised, _ = run_both(streams, _part(keys), _part(keys), errors=True)
    if raised is None:
        assert len(noise) == (32, 96, 48)[index], "only a message of the right length can pass"
    else:
        assert isinstance(raised, ProtocolAbort)
