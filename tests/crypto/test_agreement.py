# SPDX-License-Identifier: Apache-2.0
"""Key agreement: both sides get one key, for one transcript, from good points only."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from jali.core.errors import KeySpent, LowOrderPointError, ProtocolAbort
from jali.crypto.agreement import EphemeralKey
from jali.crypto.hashing import hkdf

LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def _agree(a: EphemeralKey, b: EphemeralKey, *transcripts: bytes) -> tuple[bytes, bytes]:
    first, last = transcripts[0], transcripts[-1]
    a_public, b_public = a.public, b.public
    return a.agree(b_public, transcript=first), b.agree(a_public, transcript=last)


def test_both_sides_agree() -> None:
    ours, theirs = _agree(EphemeralKey(), EphemeralKey(), b"t")
    assert ours == theirs
    assert len(ours) == 32


def test_the_key_depends_on_the_transcript() -> None:
    ours, theirs = _agree(EphemeralKey(), EphemeralKey(), b"t", b"u")
    assert ours != theirs


def test_the_key_is_hkdf_of_the_diffie_hellman_value() -> None:
    key, peer = EphemeralKey(), X25519PrivateKey.generate()
    peer_public = peer.public_key().public_bytes_raw()
    secret = peer.exchange(key._private.public_key())  # type: ignore[union-attr]
    publics = sorted((key.public, peer_public))
    expected = hkdf(secret, "jali.crypto.agreement.v1", *publics, b"t", size_bytes=16)
    assert key.agree(peer_public, transcript=b"t", size_bytes=16) == expected


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_points_are_rejected(point: str) -> None:
    with pytest.raises(LowOrderPointError, match="low order"):
        EphemeralKey().agree(bytes.fromhex(point), transcript=b"")


def test_other_bad_keys_are_rejected() -> None:
    key = EphemeralKey()
    with pytest.raises(LowOrderPointError, match="32 bytes, found 31"):
        key.agree(bytes(31), transcript=b"")
    with pytest.raises(ProtocolAbort, match="reflected"):
        key.agree(key.public, transcript=b"")


def test_a_key_agrees_once() -> None:
    key = EphemeralKey()
    key.agree(EphemeralKey().public, transcript=b"")
    with pytest.raises(KeySpent):
        key.agree(EphemeralKey().public, transcript=b"")
    assert repr(key) == "<EphemeralKey>"
