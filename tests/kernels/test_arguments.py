# SPDX-License-Identifier: Apache-2.0
"""Arguments that do not fit are refused with the same words by the twins and by the C++ kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import KernelArgumentError
from jali.kernels import _native, reference

if TYPE_CHECKING:
    from collections.abc import Callable

X = np.arange(6, dtype=np.uint64)
Y = np.arange(7, dtype=np.uint64)
KEY = bytes(16)
FLOATS = np.zeros(6)
BYTES = np.zeros(96, np.uint8)
ROWS, TABLE = BYTES.reshape(6, 16), np.zeros((256, 16), np.uint8)
PLANES = np.zeros((64, 1), np.uint64)

CASES: list[tuple[str, Callable[[Any], object], str]] = [
    ("unequal shapes", lambda k: k.masked_product(X, X, X, Y, X, leader=True), "shapes must be equal"),
    ("unequal shapes in and", lambda k: k.masked_and(X, X, X, X, Y, leader=False), "shapes must be equal"),
    ("wrong type", lambda k: k.replicated_product(X, X, X, X, X.astype(np.int64)), "expected uint64"),
    ("another wrong type", lambda k: k.replicated_and(X, X, X, X, FLOATS), "expected uint64"),
    ("short key", lambda k: k.prg_words(b"short", 0, 1), "16 bytes, not 5"),
    ("negative count", lambda k: k.prg_words(KEY, 0, -1), "start and count"),
    ("stream too long", lambda k: k.prg_words(KEY, 0, 2, start=2**64 - 2), "start and count"),
    ("negative nonce", lambda k: k.add_prg(X, KEY, -1), "nonce"),
    ("large nonce", lambda k: k.xor_prg(X, KEY, 2**64), "nonce"),
    ("out of another shape", lambda k: k.sub_prg(X, KEY, 0, out=Y.copy()), "out must be"),
    ("out of another type", lambda k: k.sub_prg(X, KEY, 0, out=FLOATS.copy()), "expected uint64"),
    ("too many bits", lambda k: k.masked_truncate(X, X, X, 62, leader=True), r"bits must lie in 0\.\.61"),
    ("negative bits", lambda k: k.fixed_encode(FLOATS, -1), r"bits must lie in 0\.\.61"),
    ("integers to encode", lambda k: k.fixed_encode(X, 18), "expected float64"),
    ("floats to decode", lambda k: k.fixed_decode(FLOATS, 18), "expected uint64"),
    ("inner sizes", lambda k: k.matmul(X.reshape(2, 3), X.reshape(2, 3)), "do not fit"),
    ("vectors", lambda k: k.matmul(X, X), "do not fit"),
    ("batch sizes", lambda k: k.matmul(X.reshape(2, 1, 3), X.reshape(1, 3, 2)), "do not fit"),
    ("shape of add", lambda k: k.matmul(X.reshape(2, 3), X.reshape(3, 2), add=X), "add has the shape"),
    ("planes of a matrix", lambda k: k.bit_planes(X.reshape(2, 3)), "expected one axis"),
    ("too few planes", lambda k: k.from_bit_planes(X.reshape(6, 1), 6), "expected the shape"),
    ("bits of words", lambda k: k.pack_bits(X), "expected bool or uint8"),
    ("too few words", lambda k: k.unpack_bits(X, 400), "do not hold 400 bits"),
    ("leaves of another width", lambda k: k.borrow_leaves(PLANES, PLANES.reshape(4, 16, 1), leader=True), "leaves"),
    ("nodes not in fours", lambda k: k.borrow_nodes(PLANES[:6], PLANES[:6], PLANES, leader=True), "borrow_nodes"),
    ("masks of another shape", lambda k: k.equal_nodes(PLANES[:4], PLANES[:8], PLANES, leader=True), "equal_nodes"),
    ("three pieces", lambda k: k.pieces_dealt(X, np.ones((2, 3)), factor=1, low=40, steps=20, scale=40), "pieces"),
    ("a coarse scale", lambda k: k.pieces_dealt(X, np.ones((2, 4)), factor=1, low=40, steps=20, scale=9), "scale"),
    ("steps above", lambda k: k.pieces_combined(X, X.reshape(6, 1, 1), factor=1, low=10, steps=20), "steps"),
    ("a short table", lambda k: k.octaves_dealt(X, Y, factor=1, low=40), "octaves"),
    ("octaves too low", lambda k: k.octaves_dealt(X, np.zeros(1025, np.uint64), factor=1, low=9), "octaves"),
    ("a wide point", lambda k: k.curve_multiply(BYTES.reshape(2, 48), bytes(32)), "rows of 32 bytes"),
    ("a short scalar", lambda k: k.curve_multiply(BYTES.reshape(3, 32), bytes(31)), "31 bytes"),
    ("points of words", lambda k: k.curve_multiply(X.reshape(1, 6), bytes(32)), "found uint64"),
    ("a narrow field", lambda k: k.curve_map(BYTES.reshape(3, 32)), "rows of 48 bytes"),
    ("offsets beyond", lambda k: k.sha512_each(BYTES, X * np.uint64(20), width=16), "within the data"),
    ("offsets that fall", lambda k: k.sha512_each(BYTES, X[::-1].copy(), width=16), "ascending"),
    (
        "rows to find of another width",
        lambda k: k.match_rows(BYTES.reshape(-1, 16), BYTES.reshape(-1, 8), seed=1),
        "16 bytes",
    ),
    ("a negative seed", lambda k: k.match_rows(BYTES.reshape(-1, 16), BYTES.reshape(-1, 16), seed=-1), "seed"),
    ("a scalar too few", lambda k: k.curve_multiply_each(BYTES.reshape(3, 32), BYTES[:64].reshape(2, 32)), "as many"),
    ("a choice too few", lambda k: k.curve_unmap(BYTES.reshape(3, 32), BYTES[:2]), "a choice for each"),
    ("a value too few", lambda k: k.okvs_encode(ROWS, ROWS[:5], TABLE, seed=1), "as many keys"),
    ("a short table of keys", lambda k: k.okvs_encode(ROWS, ROWS, ROWS, seed=1), "256 places"),
    ("a short table to read", lambda k: k.okvs_decode(ROWS, ROWS, seed=1), "256 places"),
    ("wide rows", lambda k: k.field_multiply(BYTES.reshape(3, 32), bytes(16)), "rows of 16 bytes"),
    ("a short factor", lambda k: k.field_multiply(ROWS, bytes(15)), "found 15"),
    ("bytes in a code", lambda k: k.expand_convolute(ROWS, 3, seed=KEY), "expected words"),
    ("a code without a seed", lambda k: k.expand_convolute(X.reshape(3, 2), 3, seed=b""), "seed of 16 bytes"),
    ("no offsets", lambda k: k.sha512_each(BYTES, X[:0], width=16), "offsets"),
    ("a long hash", lambda k: k.sha512_each(BYTES, X, width=65), "1 to 64"),
    ("words to hash", lambda k: k.sha512_each(X, X, width=16), "expected bytes"),
    ("negative size", lambda k: k.unpack_bits(X, -1), "do not hold -1 bits"),
]


@pytest.mark.parametrize("kernels", [reference, _native], ids=["reference", "native"])
@pytest.mark.parametrize(("call", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refused(kernels: object, call: Callable[[Any], object], words: str) -> None:
    with pytest.raises(KernelArgumentError, match=words):
        call(kernels)


@pytest.mark.parametrize("count", [2**61, 2**62, 2**45])
def test_a_result_beyond_memory_is_a_memory_error(count: int) -> None:
    with pytest.raises(MemoryError):
        _native.prg_words(KEY, 0, count)


def test_a_matrix_beyond_memory_is_a_memory_error() -> None:
    column, row = np.zeros((2**40, 0), np.uint64), np.zeros((0, 2**40), np.uint64)
    with pytest.raises(MemoryError):
        _native.matmul(column, row)
