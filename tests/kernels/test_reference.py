# SPDX-License-Identifier: Apache-2.0
"""The numpy twins, which are the specification, against known vectors and plain integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali import kernels
from jali.core.errors import FixedPointRangeError, KernelArgumentError
from jali.kernels import reference
from tests.kernels.samples import SEEDS, sample_words

WORD = 1 << 64
INTEGERS = st.integers(0, WORD - 1)
# NIST FIPS 197, appendix B; SP 800-38A, F.1.1 (ECB-AES128, blocks 1 and 4): key, plaintext, ciphertext. The others
# of these pages lie beyond the last counter that the key stream reaches.
VECTORS = [
    ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
    ("2b7e151628aed2a6abf7158809cf4f3c", "6bc1bee22e409f96e93d7e117393172a", "3ad77bb40d7a3660a89ecaf32466ef97"),
    ("2b7e151628aed2a6abf7158809cf4f3c", "f69f2445df4f9b17ad2b417be66c3710", "7b0c785e27e8ad3f8223207104725dd4"),
]


def vector(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([value % WORD for value in values], np.uint64)


@pytest.mark.parametrize(("key", "plain", "cipher"), VECTORS)
def test_a_counter_block_is_an_aes_block(key: str, plain: str, cipher: str) -> None:
    nonce, block = (int.from_bytes(bytes.fromhex(half), "little") for half in (plain[:16], plain[16:]))
    for prg_words in (reference.prg_words, kernels.prg_words):
        assert prg_words(bytes.fromhex(key), nonce, 2, start=2 * block).tobytes().hex() == cipher


@given(seed=SEEDS, start=st.integers(0, 300), count=st.integers(0, 300))
def test_key_stream_has_random_access(seed: int, start: int, count: int) -> None:
    key = bytes(range(16))
    whole = reference.prg_words(key, seed, start + count)
    assert (reference.prg_words(key, seed, count, start=start) == whole[start:]).all()


@given(dx=INTEGERS, dy=INTEGERS, lx=INTEGERS, ly=INTEGERS, g=INTEGERS)
def test_masked_product(dx: int, dy: int, lx: int, ly: int, g: int) -> None:
    arguments = [vector(value) for value in (dx, dy, lx, ly, g)]
    assert reference.masked_product(*arguments, leader=False) == (g - dx * ly - dy * lx) % WORD
    assert reference.masked_product(*arguments, leader=True) == (dx * dy + g - dx * ly - dy * lx) % WORD


@given(seed=SEEDS)
def test_two_masked_products_make_a_product(seed: int) -> None:
    x, y, lx0, lx1, ly0, ly1, g0 = (sample_words(seed, 20, stream=i) for i in range(7))
    g1 = (lx0 + lx1) * (ly0 + ly1) - g0
    dx, dy = x + lx0 + lx1, y + ly0 + ly1
    first = reference.masked_product(dx, dy, lx0, ly0, g0, leader=True)
    second = reference.masked_product(dx, dy, lx1, ly1, g1, leader=False)
    assert (first + second == x * y).all()


@given(seed=SEEDS)
def test_two_masked_ands_make_an_and(seed: int) -> None:
    a, b, la0, la1, lb0, lb1, g0 = (sample_words(seed, 20, stream=i) for i in range(7))
    g1 = ((la0 ^ la1) & (lb0 ^ lb1)) ^ g0
    da, db = a ^ la0 ^ la1, b ^ lb0 ^ lb1
    first = reference.masked_and(da, db, la0, lb0, g0, leader=True)
    second = reference.masked_and(da, db, la1, lb1, g1, leader=False)
    assert (first ^ second == a & b).all()


@given(seed=SEEDS)
def test_three_replicated_steps_make_a_product_and_an_and(seed: int) -> None:
    x, y = [sample_words(seed, 9, stream=i) for i in range(3)], [sample_words(seed, 9, stream=3 + i) for i in range(3)]
    zero = [sample_words(seed, 9, stream=6), sample_words(seed, 9, stream=7)]
    turns = [(0, 1), (1, 2), (2, 0)]
    zeros = [*zero, -zero[0] - zero[1]]
    parts = [reference.replicated_product(x[i], x[j], y[i], y[j], zeros[i]) for i, j in turns]
    assert (parts[0] + parts[1] + parts[2] == (x[0] + x[1] + x[2]) * (y[0] + y[1] + y[2])).all()
    zeros = [*zero, zero[0] ^ zero[1]]
    parts = [reference.replicated_and(x[i], x[j], y[i], y[j], zeros[i]) for i, j in turns]
    assert (parts[0] ^ parts[1] ^ parts[2] == (x[0] ^ x[1] ^ x[2]) & (y[0] ^ y[1] ^ y[2])).all()


@given(c=INTEGERS, a=INTEGERS, b=INTEGERS, bits=st.integers(0, 61))
def test_masked_truncate(c: int, a: int, b: int, bits: int) -> None:
    chosen = b if c >= WORD // 2 else a
    leads = reference.masked_truncate(vector(c), vector(a), vector(b), bits, leader=True)
    follows = reference.masked_truncate(vector(c), vector(a), vector(b), bits, leader=False)
    assert leads == ((c >> bits) - (1 << (62 - bits)) - chosen) % WORD
    assert follows == -chosen % WORD


def test_matmul_wraps_around() -> None:
    a, b = vector(WORD - 1, 2**63, 3, 5).reshape(2, 2), vector(2, 4, 2, 7).reshape(2, 2)
    wanted = [[-2 + 2**64, -4 + 7 * 2**63], [16, 47]]
    assert kernels.matmul(a, b).tolist() == [[value % WORD for value in row] for row in wanted]


@given(x=st.floats(-(2.0**43), 2.0**43))
def test_fixed_point_is_within_half_a_unit(x: float) -> None:
    back = reference.fixed_decode(reference.fixed_encode(np.array([x]), 18), 18)
    assert abs(back[0] - x) <= 2.0**-19


def test_fixed_point_rounds_ties_to_even() -> None:
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    assert kernels.fixed_encode(halves, 0).view(np.int64).tolist() == [0, 2, 2, 0, -2, -2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**44, -(2.0**44)])
def test_fixed_point_refuses_what_it_cannot_hold(bad: float) -> None:
    for encode in (reference.fixed_encode, kernels.fixed_encode):
        with pytest.raises(FixedPointRangeError, match=r"1 of 3 numbers") as caught:
            encode(np.array([0.0, bad, 1.0]), 18)
        assert "nan" not in str(caught.value)


def test_bit_planes_by_hand() -> None:
    x = np.zeros(70, np.uint64)
    x[0], x[69] = 1, 1 << 63
    planes = kernels.bit_planes(x)
    assert planes.shape == (64, 2)
    assert planes[0].tolist() == [1, 0]
    assert planes[63].tolist() == [0, 1 << 5]
    assert planes[1:63].any() == np.False_


def test_packed_bits_by_hand() -> None:
    bits = np.zeros(65, np.uint8)
    bits[1], bits[63], bits[64] = 1, 255, 2
    assert kernels.pack_bits(bits).tolist() == [2 | 1 << 63, 1]
    assert kernels.unpack_bits(vector(5), 4).tolist() == [True, False, True, False]


def test_gather_and_permute() -> None:
    x = np.arange(12, dtype=np.uint64).reshape(4, 3)
    assert kernels.gather(x, np.array([3, 3, 0])).tolist() == [[9, 10, 11], [9, 10, 11], [0, 1, 2]]
    assert kernels.permute(x, np.array([1, 0, 3, 2]))[:, 0].tolist() == [3, 0, 9, 6]
    with pytest.raises(KernelArgumentError, match="leaves"):
        kernels.gather(x, np.array([-1]))
    with pytest.raises(KernelArgumentError, match="leaves"):
        kernels.gather(x, np.array([4]))
    with pytest.raises(KernelArgumentError, match="no order"):
        kernels.permute(x, np.array([0, 1]))
