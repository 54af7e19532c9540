# SPDX-License-Identifier: Apache-2.0
"""Sealed frames: what is changed, repeated, lost or moved does not open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import KeySpent, SealBroken, SealVersionUnknown
from jali.crypto import aead
from jali.crypto.aead import OVERHEAD_BYTES, Opener, Sealer, sealing_pair

KEY = bytes(range(32))


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=10)), max_size=5))
def test_frames_open_in_order(frames: list[tuple[bytes, bytes]]) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    sealed = [(sealer.seal(text, data), data, text) for text, data in frames]
    for frame, data, text in sealed:
        assert len(frame) == len(text) + OVERHEAD_BYTES
        assert opener.open(frame, data) == text


@given(st.data())
def test_any_changed_bit_is_noticed(data: st.DataObject) -> None:
    frame = bytearray(Sealer(KEY).seal(b"sixteen and more bytes"))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises((SealBroken, SealVersionUnknown)):
        Opener(KEY).open(frame)


def test_associated_data_is_authenticated() -> None:
    with pytest.raises(SealBroken, match="changed"):
        Opener(KEY).open(Sealer(KEY).seal(b"x", b"a"), b"b")


def test_repeats_gaps_and_order_are_noticed() -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    first, second = sealer.seal(b"1"), sealer.seal(b"2")
    with pytest.raises(SealBroken, match="expected sealed frame 0, found 1"):
        opener.open(second)
    assert opener.open(first) == b"1"
    with pytest.raises(SealBroken, match="expected sealed frame 1, found 0"):
        opener.open(first)
    assert opener.open(second) == b"2"


@pytest.mark.parametrize("size", [0, 1, OVERHEAD_BYTES - 1])
def test_short_frames(size: int) -> None:
    with pytest.raises(SealBroken, match=f"found {size}"):
        Opener(KEY).open(bytes(size))


def test_directions_and_names_have_their_own_keys() -> None:
    (alice_out, alice_in), (bob_out, bob_in) = (sealing_pair(KEY, me=a, peer=b) for a, b in (("a", "b"), ("b", "a")))
    assert bob_in.open(alice_out.seal(b"hi")) == b"hi"
    with pytest.raises(SealBroken):
        alice_in.open(Sealer(KEY).seal(b"hi"))
    with pytest.raises(SealBroken):
        alice_in.open(sealing_pair(KEY, me="a", peer="b")[0].seal(b"hi"))
    assert alice_in.open(bob_out.seal(b"yes")) == b"yes"
    with pytest.raises(ValueError, match="two different parties"):
        sealing_pair(KEY, me="a", peer="a")


def test_a_key_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead, "_MAX_BLOCKS", 10)
    sealer = Sealer(KEY)
    sealer.seal(bytes(16 * 4), bytes(16 * 2))  # 4 + 2 + 2 blocks
    with pytest.raises(KeySpent):
        sealer.seal(b"x")


def test_keys_have_32_bytes() -> None:
    for kind in (Sealer, Opener):
        with pytest.raises(ValueError, match="32 bytes, found 16"):
            kind(bytes(16))
    assert repr(Sealer(KEY)) == "<Sealer>"
