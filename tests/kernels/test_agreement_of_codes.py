# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels on points, hashes and codes equal their twins bit for bit at every level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult

from jali.kernels import _native, reference
from tests.kernels.samples import LEVELS, SEEDS, at_level, sample_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = bytes(range(16))

pytestmark = pytest.mark.parametrize("level", LEVELS)


def same(found: NDArray[np.generic], wanted: NDArray[np.generic]) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert found.flags.writeable
    assert wanted.flags.writeable
    assert found.tobytes() == wanted.tobytes()


def points_of(seed: int, n: int, width: int) -> NDArray[np.uint8]:
    """Rows of bytes, some of them all 0 or all 1."""
    rows = np.frombuffer(reference.prg_words(KEY, seed, n * width // 8).tobytes(), np.uint8).reshape(n, width).copy()
    rows[::7] = 0
    rows[3::7] = 255
    return rows


# Around the lanes of a vector (1, 4, 8).
@given(n=st.one_of(st.sampled_from([0, 1, 3, 4, 5, 8, 9, 33]), st.integers(0, 40)), seed=SEEDS)
@settings(max_examples=20)
def test_points(level: str, n: int, seed: int) -> None:
    points, uniform, scalar = points_of(seed, n, 32), points_of(seed, n, 48), points_of(seed, 2, 32)[1].tobytes()
    with at_level(level):
        same(_native.curve_multiply(points, scalar), reference.curve_multiply(points, scalar))
        same(_native.curve_map(uniform), reference.curve_map(uniform))


def test_points_as_libsodium_has_them(level: str) -> None:
    points, scalar = np.random.default_rng(7).integers(0, 256, (2048, 32), np.uint8), bytes(range(7, 39))
    wanted = b"".join(crypto_scalarmult(scalar, row.tobytes()) for row in points)
    with at_level(level):
        assert _native.curve_multiply(points, scalar).tobytes() == wanted


P = 2**255 - 19
LOW_ORDER = [0, 1, P - 1, 325606250916557431795983626356110631294008115727848805560023387167927233504]


def test_points_at_the_borders(level: str) -> None:
    """Numbers around 0, p and 2^255, alone and beside points of low order, whose product is 0."""
    numbers = [*range(20), *LOW_ORDER, *range(P - 20, P + 19), *(2**k for k in range(254)), 2**255, 2**256 - 1]
    points = np.frombuffer(b"".join(x.to_bytes(32, "little") for x in numbers), np.uint8).reshape(-1, 32)
    for scalar in (bytes(32), b"\xff" * 32, b"\x55" * 32):
        wanted = reference.curve_multiply(points, scalar)
        assert not np.any(wanted[[0, 1, 20, 21, 22, 23]])
        with at_level(level):
            same(_native.curve_multiply(points, scalar), wanted)


@pytest.mark.parametrize("n", [31, 32, 33, 255, 256, 257, 513])
def test_points_across_shared_inversions(level: str, n: int) -> None:
    points = points_of(n, n, 32)
    with at_level(level):
        same(_native.curve_multiply(points, KEY * 2), reference.curve_multiply(points, KEY * 2))


@given(
    lengths=st.lists(st.one_of(st.sampled_from([0, 1, 110, 111, 112, 127, 128, 129, 1000]), st.integers(0, 400))),
    prefix=st.binary(max_size=300),
    suffix=st.binary(max_size=300),
    width=st.integers(1, 64),
)
def test_hashes(level: str, lengths: list[int], prefix: bytes, suffix: bytes, width: int) -> None:
    offsets = np.cumsum([3, *lengths]).astype(np.uint64)
    data = points_of(1, 1, 8 * (int(offsets[-1]) // 8 + 1))[0]
    with at_level(level):
        found = _native.sha512_each(data, offsets, width=width, prefix=prefix, suffix=suffix)
    same(found, reference.sha512_each(data, offsets, width=width, prefix=prefix, suffix=suffix))


@given(n=st.integers(0, 60), m=st.integers(0, 60), seed=SEEDS)
def test_matches(level: str, n: int, m: int, seed: int) -> None:
    """Rows of few different words, so that many are equal, and many differ in one word only."""
    rows = (sample_words(seed, n + m, 2) % np.uint64(9)).view(np.uint8)
    with at_level(level):
        found, repeated = _native.match_rows(rows[:n], rows[n:], seed=seed)
    wanted, count = reference.match_rows(rows[:n], rows[n:], seed=seed)
    same(found, wanted)
    assert repeated == count


@given(n=st.sampled_from([0, 1, 3, 4, 7, 8, 9, 17]), seed=SEEDS)
@settings(max_examples=20)
def test_points_with_scalars_of_their_own(level: str, n: int, seed: int) -> None:
    points, scalars = points_of(seed, n, 32), points_of(seed + 1 & 2**64 - 1, n, 32)
    with at_level(level):
        same(_native.curve_multiply_each(points, scalars), reference.curve_multiply_each(points, scalars))


@given(n=st.sampled_from([0, 1, 3, 4, 7, 8, 9, 17]), seed=SEEDS)
@settings(max_examples=20)
def test_the_map_backwards(level: str, n: int, seed: int) -> None:
    points, choices = points_of(seed, n, 32), np.arange(n, dtype=np.uint8) % 4
    with at_level(level):
        found, mapped = _native.curve_unmap(points, choices)
    wanted, exact = reference.curve_unmap(points, choices)
    same(found, wanted)
    same(mapped, exact)


def test_the_map_and_back(level: str) -> None:
    """Every point that the map reaches has four preimages, two even and two odd, which all lead to it."""
    uniform = sample_words(5, 64, 6).view(np.uint8) | np.uint8(1)
    with at_level(level):
        points = _native.curve_map(uniform)
        found = []
        for choice in range(4):
            u, mapped = _native.curve_unmap(points, np.full(64, choice, np.uint8))
            assert np.all(mapped)
            assert np.all(u[:, 0] & 1 == choice >> 1)
            back = np.concatenate([np.zeros((64, 16), np.uint8), u[:, ::-1]], axis=1)
            same(_native.curve_map(np.ascontiguousarray(back)), points)
            found.append(u)
    assert all(len({u[row].tobytes() for u in found}) == 4 for row in range(64))


@given(n=st.integers(0, 150), more=st.integers(0, 60), seed=SEEDS)
@settings(max_examples=30)
def test_tables_of_keys(level: str, n: int, more: int, seed: int) -> None:
    rows = sample_words(seed, 3 * n + 256 + more, 2, stream=3)
    keys, values, fill = (
        rows[:n].view(np.uint8),
        rows[n : 2 * n].view(np.uint8),
        rows[2 * n : -n or None].view(np.uint8),
    )
    with at_level(level):
        table, failed = _native.okvs_encode(keys, values, fill, seed=seed)
        same(_native.okvs_decode(keys, fill, seed=seed), reference.okvs_decode(keys, fill, seed=seed))
    wanted, count = reference.okvs_encode(keys, values, fill, seed=seed)
    same(table, wanted)
    assert failed == count


def test_a_table_holds_its_keys(level: str) -> None:
    keys, values = points_of(1, 3000, 16), points_of(2, 3000, 16)
    keys[:, :2] = np.arange(3000, dtype="<u2").view(np.uint8).reshape(-1, 2)
    fill = np.random.default_rng(3).integers(0, 256, (3556, 16), np.uint8)
    with at_level(level):
        table, failed = _native.okvs_encode(keys, values, fill, seed=9)
        assert failed == 0
        same(_native.okvs_decode(keys, table, seed=9), values)


def test_keys_that_stand_twice_find_no_place(level: str) -> None:
    keys = points_of(1, 2, 16)[[1, 1]]
    with at_level(level):
        assert _native.okvs_encode(keys, keys, np.zeros((256, 16), np.uint8), seed=1)[1] == 1


@given(n=st.integers(0, 40), factor=st.binary(min_size=16, max_size=16), seed=SEEDS)
def test_products_in_the_field(level: str, n: int, factor: bytes, seed: int) -> None:
    x = sample_words(seed, n, 2).view(np.uint8)
    with at_level(level):
        same(_native.field_multiply(x, factor), reference.field_multiply(x, factor))


def test_the_field_is_a_field(level: str) -> None:
    """1 is neutral, products commute and distribute, and X^127 times X is X^7 + X^2 + X + 1."""
    a, b, c = (points_of(seed, 2, 16)[1:] for seed in (1, 2, 3))
    one, x = (1).to_bytes(16, "little"), (2).to_bytes(16, "little")
    top = np.frombuffer((1 << 127).to_bytes(16, "little"), np.uint8).reshape(1, 16)
    with at_level(level):
        multiply = _native.field_multiply
        same(multiply(a, one), a)
        same(multiply(a, b.tobytes()), multiply(b, a.tobytes()))
        same(multiply(a ^ b, c.tobytes()), multiply(a, c.tobytes()) ^ multiply(b, c.tobytes()))
        assert int.from_bytes(multiply(top, x).tobytes(), "little") == 0x87


@given(n=st.sampled_from([0, 1, 2, 23, 24, 25, 26, 100]), m=st.sampled_from([0, 1, 7, 300]), seed=SEEDS)
@settings(max_examples=20)
def test_the_code(level: str, n: int, m: int, seed: int) -> None:
    x = sample_words(seed, n, 2)
    with at_level(level):
        same(_native.expand_convolute(x, m, seed=KEY), reference.expand_convolute(x, m, seed=KEY))


def test_the_code_across_chunks(level: str) -> None:
    x = sample_words(1, 8_195, 2)
    with at_level(level):
        same(_native.expand_convolute(x, 515, seed=KEY), reference.expand_convolute(x, 515, seed=KEY))
