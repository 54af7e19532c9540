# SPDX-License-Identifier: Apache-2.0
"""The generator: the standard's key stream, nonces spent once, nothing shown."""

from __future__ import annotations

import copy
from threading import Thread

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from jali.core.errors import MaskReuseError
from jali.crypto.prg import Prg, derive_prg

KEY = bytes(range(16))


def test_words_are_the_aes_counter_stream() -> None:
    """Block i of nonce n is AES of n || i, 8 little-endian bytes each (SP 800-38A, section 6.5)."""
    nonce = 0x0123456789ABCDEF
    blocks = b"".join(nonce.to_bytes(8, "little") + i.to_bytes(8, "little") for i in range(3))
    stream = Cipher(AES(KEY), ECB()).encryptor().update(blocks)  # noqa: S305 - single blocks, the definition of CTR
    words = Prg(KEY).words(nonce, (3, 2))
    assert words.shape == (3, 2)
    assert words.astype("<u8").tobytes() == stream
    assert np.array_equal(Prg(KEY).words(nonce, 5), words.reshape(-1)[:5])


def test_zero_block_vector() -> None:
    """AES-128 of the zero block under the zero key (NIST CAVP, ECB GFSbox origin)."""
    assert Prg(bytes(16)).words(0, 2).tobytes().hex() == "66e94bd4ef8a2c3b884cfa59ca342b2e"


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (2, 3, 5), (1025,)])
def test_masking_and_unmasking_cancel(shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.uint64).reshape(shape)
    assert np.array_equal(Prg(KEY).sub(Prg(KEY).add(x, 3), 3), x)
    assert np.array_equal(Prg(KEY).xor(Prg(KEY).xor(x, 3), 3), x)
    assert np.array_equal(Prg(KEY).add(x, 9) - x, Prg(KEY).words(9, shape))


def test_views_in_any_memory_order_are_masked_in_their_own_order() -> None:
    x = np.arange(24, dtype=np.uint64).reshape(4, 6)
    for view in (x.T, x[:, ::2], x[::-1]):
        assert np.array_equal(Prg(KEY).add(view, 1), view + Prg(KEY).words(1, view.shape))


def test_a_nonce_is_spent_by_any_method() -> None:
    x = np.zeros(4, np.uint64)
    prg = Prg(KEY, label="masks")
    prg.words(5, 1)
    for method in (prg.add, prg.sub, prg.xor):
        with pytest.raises(MaskReuseError, match=r"nonce 5 .*'masks'"):
            method(x, 5)
    prg.add(x, 0)
    with pytest.raises(MaskReuseError):
        prg.words(0, 1)


def test_spent_nonces_in_any_order() -> None:
    prg = Prg(KEY)
    order = [3, 1, 0, 2, 2**64 - 1, 5, 4]
    for nonce in order:
        prg.words(nonce, 1)
    assert prg._spent_below == 6
    assert prg._spent == {2**64 - 1}
    for nonce in order:
        with pytest.raises(MaskReuseError):
            prg.words(nonce, 1)


def test_threads_cannot_share_a_nonce() -> None:
    prg, won = Prg(KEY), []

    def draw() -> None:
        for nonce in range(200):
            try:
                prg.words(nonce, 1)
            except MaskReuseError:
                continue
            won.append(nonce)

    threads = [Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(200))


@pytest.mark.parametrize("nonce", [-1, 2**64])
def test_nonces_have_64_bits(nonce: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        Prg(KEY).words(nonce, 1)


def test_keys_have_16_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes, found 15"):
        Prg(KEY[:15])


def test_derivation_separates_purposes() -> None:
    purposes: list[tuple[str | bytes | int, ...]] = [
        ("a", "b"), ("ab",), ("a", b"b"), ("b", "a"), (1,), ("1",), (b"\x01",), (), ("a", "b", 0),
    ]  # fmt: skip
    first = {derive_prg(b"shared", *purpose).words(0, 2).tobytes() for purpose in purposes}
    assert len(first) == len(purposes)
    assert derive_prg(b"other", "a", "b").words(0, 2).tobytes() not in first
    same = derive_prg(b"shared", "a", "b").words(0, 2)
    assert np.array_equal(same, derive_prg(b"shared", "a", "b").words(0, 2))


def test_a_generator_shows_nothing() -> None:
    prg = derive_prg(b"shared", "masks", b"secretive", 7)
    assert repr(prg) == "<Prg 'masks/<bytes>/<int>'>"
    for use in (bool, iter, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds a secret"):
            use(prg)
    with pytest.raises(TypeError, match="compared"):
        _ = prg == prg  # noqa: PLR0124
    with pytest.raises(TypeError):
        hash(prg)
