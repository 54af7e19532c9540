# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels of every level equal their numpy twins bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import KernelArgumentError
from jali.kernels import _native, reference
from tests.kernels.samples import LEVELS, SEEDS, SIZES, at_level, sample_bits, sample_numbers, sample_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = bytes(range(16))
# Around the blocks of the four levels: 4 x 4, 2 x 8, 8 x 16, tiles of 16 x 64 x 16, and their limits in depth.
EXTENTS = st.one_of(st.sampled_from([0, 1, 2, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65]), st.integers(0, 80))

pytestmark = pytest.mark.parametrize("level", LEVELS)


def same(found: NDArray[np.generic], wanted: NDArray[np.generic]) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert found.tobytes() == wanted.tobytes()


@given(n=SIZES, seed=SEEDS, leader=st.booleans())
def test_masked_product_and_masked_and(level: str, n: int, seed: int, leader: bool) -> None:  # noqa: FBT001
    x, y, lx, ly, g = (sample_words(seed, n, stream=i) for i in range(5))
    with at_level(level):
        same(
            _native.masked_product(x, y, lx, ly, g, leader=leader),
            reference.masked_product(x, y, lx, ly, g, leader=leader),
        )
        same(_native.masked_and(x, y, lx, ly, g, leader=leader), reference.masked_and(x, y, lx, ly, g, leader=leader))


@given(n=SIZES, seed=SEEDS, bits=st.integers(0, 61), leader=st.booleans())
def test_masked_truncate(level: str, n: int, seed: int, bits: int, leader: bool) -> None:  # noqa: FBT001
    c, a, b = (sample_words(seed, n, stream=i) for i in range(3))
    with at_level(level):
        found = _native.masked_truncate(c, a, b, bits, leader=leader)
    same(found, reference.masked_truncate(c, a, b, bits, leader=leader))


@given(n=SIZES, seed=SEEDS)
def test_replicated_steps(level: str, n: int, seed: int) -> None:
    x0, x1, y0, y1, zero = (sample_words(seed, n, stream=i) for i in range(5))
    with at_level(level):
        same(_native.replicated_product(x0, x1, y0, y1, zero), reference.replicated_product(x0, x1, y0, y1, zero))
        same(_native.replicated_and(x0, x1, y0, y1, zero), reference.replicated_and(x0, x1, y0, y1, zero))


@given(n=SIZES, seed=SEEDS, start=st.one_of(st.integers(0, 200), st.integers(0, 2**64 - 5000)))
def test_key_stream(level: str, n: int, seed: int, start: int) -> None:
    with at_level(level):
        found = _native.prg_words(KEY, seed, n, start=start)
    same(found, reference.prg_words(KEY, seed, n, start=start))


@pytest.mark.parametrize("border", [2**10, 2**17, 2**33, 2**41, 2**57, 2**63])
def test_key_stream_across_bytes_of_the_counter(level: str, border: int) -> None:
    with at_level(level):
        for start, n in [(border - 1, 2), (border - 15, 31), (border - 529, 1100)]:
            same(_native.prg_words(KEY, 3, n, start=start), reference.prg_words(KEY, 3, n, start=start))
        last = 2**64 - 1000
        same(_native.prg_words(KEY, 3, 999, start=last), reference.prg_words(KEY, 3, 999, start=last))


@given(key=st.binary(min_size=16, max_size=16), n=st.integers(1, 40))
def test_key_schedule(level: str, key: bytes, n: int) -> None:
    with at_level(level):
        same(_native.prg_words(key, 0, n), reference.prg_words(key, 0, n))


def test_key_streams_need_no_twin(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sample_words(6, 70_001)
    streams = ("add_prg", "sub_prg", "xor_prg")
    wanted = [reference.prg_words(KEY, 9, 70_001), *(getattr(reference, name)(x, KEY, 9) for name in streams)]
    for twin in ("prg_words", *streams):
        monkeypatch.setattr(reference, twin, None)
    with at_level(level):
        found = [_native.prg_words(KEY, 9, 70_001), *(getattr(_native, name)(x, KEY, 9) for name in streams)]
    for one, other in zip(found, wanted, strict=True):
        same(one, other)


@given(n=SIZES, seed=SEEDS)
def test_fused_masks(level: str, n: int, seed: int) -> None:
    x = sample_words(seed, n)
    with at_level(level):
        same(_native.add_prg(x, KEY, seed), reference.add_prg(x, KEY, seed))
        same(_native.sub_prg(x, KEY, seed), reference.sub_prg(x, KEY, seed))
        same(_native.xor_prg(x, KEY, seed), reference.xor_prg(x, KEY, seed))


@given(m=EXTENTS, k=EXTENTS, n=EXTENTS, seed=SEEDS)
def test_matmul(level: str, m: int, k: int, n: int, seed: int) -> None:
    a, b = sample_words(seed, m, k), sample_words(seed, k, n, stream=1)
    add = sample_words(seed, m, n, stream=2)
    with at_level(level):
        same(_native.matmul(a, b), reference.matmul(a, b))
        same(_native.matmul(a, b, add=add), reference.matmul(a, b, add=add))


@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 700, 300), (300, 700, 1), (300, 257, 270), (257, 513, 33), (5, 1100, 257), (290, 17, 5)]
)
def test_matmul_across_blocks(level: str, m: int, k: int, n: int) -> None:
    a, b = sample_words(m, m, k), sample_words(n, k, n, stream=1)
    with at_level(level):
        same(_native.matmul(a, b), reference.matmul(a, b))


def test_matmul_of_the_largest_limbs(level: str) -> None:
    a = np.full((40, 1100), 2**64 - 1, np.uint64)
    b = np.full((1100, 40), 2**64 - 1, np.uint64)
    with at_level(level):
        same(_native.matmul(a, b), np.full((40, 40), 1100, np.uint64))


@given(batch=st.integers(0, 4), m=EXTENTS, k=EXTENTS, n=EXTENTS, seed=SEEDS)
@settings(max_examples=30)
def test_matmul_of_a_batch(level: str, batch: int, m: int, k: int, n: int, seed: int) -> None:
    a, b = sample_words(seed, batch, m, k), sample_words(seed, batch, k, n, stream=1)
    add = sample_words(seed, batch, m, n, stream=2)
    with at_level(level):
        same(_native.matmul(a, b, add=add), reference.matmul(a, b, add=add))


@given(n=SIZES, seed=SEEDS, bits=st.integers(0, 61))
def test_fixed_point(level: str, n: int, seed: int, bits: int) -> None:
    numbers, words = sample_numbers(seed, n, bits), sample_words(seed, n)
    with at_level(level):
        same(_native.fixed_encode(numbers, bits), reference.fixed_encode(numbers, bits))
        same(_native.fixed_decode(words, bits), reference.fixed_decode(words, bits))


@given(n=SIZES, seed=SEEDS)
def test_bit_planes(level: str, n: int, seed: int) -> None:
    x = sample_words(seed, n)
    planes = reference.bit_planes(x)
    with at_level(level):
        same(_native.bit_planes(x), planes)
        same(_native.from_bit_planes(planes, n), x)


@given(n=SIZES, seed=SEEDS)
def test_packed_bits(level: str, n: int, seed: int) -> None:
    bits = sample_bits(seed, n)
    words = reference.pack_bits(bits)
    with at_level(level):
        same(_native.pack_bits(bits), words)
        same(_native.pack_bits(bits != 0), words)
        same(_native.unpack_bits(words, n), bits != 0)


@given(w=st.integers(0, 40), seed=SEEDS, leader=st.booleans())
def test_comparison_trees(level: str, w: int, seed: int, leader: bool) -> None:  # noqa: FBT001
    c, leaves = sample_words(seed, 64, w), sample_words(seed, 15, 16, w, stream=1)
    d, m, nodes = sample_words(seed, 32, w), sample_words(seed, 32, w, stream=1), sample_words(seed, 22, 4, w, stream=2)
    products = nodes[:11].reshape(11, 4, w)
    with at_level(level):
        for name in ("borrow_leaves", "equal_leaves"):
            same(getattr(_native, name)(c, leaves, leader=leader), getattr(reference, name)(c, leaves, leader=leader))
        same(_native.borrow_nodes(d, m, nodes, leader=leader), reference.borrow_nodes(d, m, nodes, leader=leader))
        same(
            _native.equal_nodes(d[:16], m[:16], products, leader=leader),
            reference.equal_nodes(d[:16], m[:16], products, leader=leader),
        )


@given(n=st.integers(0, 70), seed=SEEDS, pieces=st.sampled_from([1, 4, 16, 64]), terms=st.integers(1, 12))
def test_pieces(level: str, n: int, seed: int, pieces: int, terms: int) -> None:
    r, d = sample_words(seed, n), sample_words(seed, n, stream=1)
    coefficients = np.random.default_rng(seed).normal(size=(terms, pieces))
    where = {"factor": seed | 1, "low": 40, "steps": 24}
    with at_level(level):
        dealt = _native.pieces_dealt(r, coefficients, scale=50, **where)
        picked = _native.pieces_combined(d, dealt, **where)
    same(dealt, reference.pieces_dealt(r, coefficients, scale=50, **where))
    same(picked, reference.pieces_combined(d, dealt, **where))


@given(n=st.integers(0, 70), seed=SEEDS, low=st.integers(22, 60))
def test_octaves(level: str, n: int, seed: int, low: int) -> None:
    r, d = sample_words(seed, n), sample_words(seed, n, stream=1)
    table = np.rint(2 ** (4.5 * np.arange(1025) / 1024 + 26)).astype(np.uint64)
    where = {"factor": seed | 1, "low": low}
    with at_level(level):
        dealt = _native.octaves_dealt(r, table, **where)
        picked = _native.octaves_combined(d, dealt, table, **where)
    same(dealt, reference.octaves_dealt(r, table, **where))
    same(picked, reference.octaves_combined(d, dealt, table, **where))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3), (4, 5, 6)])
def test_elementwise_kernels_keep_the_shape(level: str, shape: tuple[int, ...]) -> None:
    x, y = sample_words(1, *shape), sample_words(2, *shape)
    numbers = np.zeros(shape) + 1.5
    with at_level(level):
        same(_native.masked_product(x, y, x, y, x, leader=True), reference.masked_product(x, y, x, y, x, leader=True))
        same(_native.add_prg(x, KEY, 5), reference.add_prg(x, KEY, 5))
        same(_native.fixed_encode(numbers, 18), reference.fixed_encode(numbers, 18))
        same(_native.fixed_decode(x, 18), reference.fixed_decode(x, 18))


def test_results_may_replace_an_input(level: str) -> None:
    x, y, z = (sample_words(3, 1000, stream=i) for i in range(3))
    wanted = reference.masked_product(x, y, x, y, z, leader=True)
    with at_level(level):
        found = _native.masked_product(x, y, x, y, z, leader=True, out=x)
        assert found is x
        same(x, wanted)
        same(_native.add_prg(y, KEY, 1, out=z), reference.add_prg(y, KEY, 1))


def test_strided_and_read_only_arrays_are_taken(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sample_words(4, 50, 40), sample_words(5, 50, 20)
    fixed = np.frombuffer(x.tobytes(), np.uint64).reshape(50, 40)
    product, total, half = x.T @ x, x.T @ x + x[:40].T, reference.masked_and(y, y, x[:, ::2], y, y, leader=True)
    for twin in ("matmul", "masked_and"):
        monkeypatch.setattr(reference, twin, None)  # so that the native kernel must do it
    with at_level(level):
        same(_native.matmul(x.T, fixed), product)
        same(_native.matmul(x.T, x, add=x[:40].T), total)
        same(_native.masked_and(y, y, x[:, ::2], y, y, leader=True), half)


def test_a_strided_out_is_refused(level: str) -> None:
    x = sample_words(4, 10)
    out = np.zeros((10, 2), np.uint64)[:, 0]
    with at_level(level), pytest.raises(KernelArgumentError, match="contiguous"):
        _native.masked_and(x, x, x, x, x, leader=True, out=out)


def test_large_results_do_not_share_memory(level: str) -> None:
    x = sample_words(5, 200_000)
    with at_level(level):
        first = _native.add_prg(x, KEY, 1)
        del first
        second, third = _native.add_prg(x, KEY, 2), _native.add_prg(x, KEY, 3)
    assert not np.shares_memory(second, third)
    same(second, reference.add_prg(x, KEY, 2))
    same(third, reference.add_prg(x, KEY, 3))
