# SPDX-License-Identifier: Apache-2.0
"""Twins of the kernels of vector oblivious linear evaluation: key-value stores, a code, and a field of 128 bits.

Values are rows of 16 bytes, or two words: elements of GF(2^128) modulo X^128 + X^7 + X^2 + X + 1, of which bit i of the
little-endian number counts X^i. Addition is exclusive or.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali.core.errors import KernelArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]

__all__ = ["BAND", "expand_convolute", "field_multiply", "okvs_decode", "okvs_encode"]

BAND = 256
_MASK = 2**64 - 1
_VALUE = 16
_MODULUS = 0x87
_CONVOLUTION, _EXPANSION = 24, 21


def okvs_encode(keys: Bytes, values: Bytes, fill: Bytes, *, seed: int) -> tuple[Bytes, int]:
    """A table in which each key's value is the sum of those places that its band picks; and how many keys found none.

    A band are 256 places in a row, of which a key picks about half. Rows of the linear system are taken by where their
    bands start, so each meets few others; places that are not determined keep what `fill` says. If it is uniform, the
    table shows nothing of the keys when the values are uniform too.
    Shapes: keys and values (n, 16), keys distinct and like uniform; fill (m, 16), m from 256; the table (m, 16).
    References: Bienstock, Patel, Seo, Yeo 2023 (ePrint 2023/903), section 4.
    """
    _check_rows("okvs_encode", keys, values, fill)
    if len(keys) != len(values):
        raise KernelArgumentError(f"okvs_encode: expected as many keys as values, found {len(keys)} and {len(values)}")
    places = _places("okvs_encode", fill, seed)
    bands = [_band(key, seed, places) for key in _numbers(keys)]
    numbers, table = _numbers(values), _numbers(fill)
    pivots: dict[int, tuple[int, int]] = {}
    failed = 0
    for place in sorted(range(len(keys)), key=lambda i: bands[i][0]):
        (at, row), value = bands[place], numbers[place]
        while row:
            shift = (row & -row).bit_length() - 1
            at, row = at + shift, row >> shift
            if at not in pivots:
                pivots[at] = row, value
                break
            other, sum_ = pivots[at]
            row, value = row ^ other, value ^ sum_
        else:
            failed += 1
    for at in sorted(pivots, reverse=True):
        row, value = pivots[at]
        table[at] = value ^ _picked(table, at + 1, row >> 1)
    return _rows(table), failed


def okvs_decode(keys: Bytes, table: Bytes, *, seed: int) -> Bytes:
    """The sums of the places that keys pick: for keys that were encoded, their values.

    Shapes: keys (n, 16) and table (m, 16) to (n, 16).
    """
    _check_rows("okvs_decode", keys, table)
    places, numbers = _places("okvs_decode", table, seed), _numbers(table)
    return _rows([_picked(numbers, *_band(key, seed, places)) for key in _numbers(keys)])


def _places(kernel: str, table: Bytes, seed: int) -> int:
    """How many places a band can start at."""
    if len(table) < BAND or not 0 <= seed <= _MASK:
        raise KernelArgumentError(f"{kernel}: expected {BAND} places or more and a seed of 64 bits, found {len(table)}")
    return len(table) - BAND + 1


def _band(key: int, seed: int, places: int) -> tuple[int, int]:
    """Where a key's band starts, and its bits."""
    a = _mixed(key & _MASK ^ seed)
    b = _mixed((key >> 64) + a & _MASK)
    bits = sum(_mixed(b + (k + 1) * (a | 1) & _MASK) << 64 * k for k in range(BAND // 64))
    return _mixed(a ^ b) * places >> 64, bits


def _mixed(x: int) -> int:
    """Stafford's variant 13 of the finaliser of MurmurHash3."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31


def _picked(table: list[int], at: int, bits: int) -> int:
    total = 0
    for place in table[at : at + BAND]:
        total ^= place if bits & 1 else 0
        bits >>= 1
    return total


def field_multiply(x: Bytes, factor: bytes) -> Bytes:
    """Products with one element of GF(2^128).

    Shapes: (n, 16) to (n, 16).
    Security: the native kernel's time depends on neither; that of this twin does.
    """
    _check_rows("field_multiply", x)
    if len(factor) != _VALUE:
        raise KernelArgumentError(f"field_multiply: expected a factor of 16 bytes, found {len(factor)}")
    powers = [int.from_bytes(factor, "little")]
    for _ in range(127):
        doubled = powers[-1] << 1
        powers.append((doubled & (1 << 128) - 1) ^ (_MODULUS if doubled >> 128 else 0))
    products = []
    for number in _numbers(x):
        product = 0
        for bit, power in enumerate(powers):
            product ^= power if number >> bit & 1 else 0
        products.append(product)
    return _rows(products)


def expand_convolute(x: Words, m: int, *, seed: bytes) -> Words:
    """The expand-convolute code: two convolutions, then m sums of 21 places each.

    In a convolution, word i is added to those of the next 24 that bits of a key stream name, and to the 25th. What is
    added where is public, and drawn from `seed` (16 bytes).
    Shapes: (n, 2) to (m, 2).
    References: Raghuraman, Rindal, Tanguy 2023 (ePrint 2023/882).
    """
    from jali.kernels.reference import prg_words

    if x.dtype != np.uint64 or x.ndim != 2 or x.shape[1] != 2 or m < 0 or len(seed) != _VALUE:
        raise KernelArgumentError("expand_convolute: expected words (n, 2), a length and a seed of 16 bytes")
    n, rows = len(x), np.concatenate([x, np.zeros((_CONVOLUTION + 1, 2), np.uint64)])
    for nonce in range(2 if n else 0):
        stream = prg_words(seed, nonce, (n + 1) // 2)
        bits = (stream[:, None] >> np.array([0, 32], np.uint64)).reshape(-1)[:n]
        for i in range(n):
            named = (bits[i] >> np.arange(_CONVOLUTION, dtype=np.uint64)) & np.uint64(1) == 1
            rows[i + 1 : i + 1 + _CONVOLUTION][named] ^= rows[i]
            rows[i + 1 + _CONVOLUTION] ^= rows[i]
    if not n:
        return np.zeros((m, 2), np.uint64)
    half = (_EXPANSION + 1) // 2
    stream = prg_words(seed, 2, m * half).reshape(m, half)
    halves = np.stack([stream & np.uint64(2**32 - 1), stream >> np.uint64(32)], axis=-1).reshape(m, 2 * half)
    places = halves[:, :_EXPANSION] * np.uint64(n) >> np.uint64(32)
    return np.asarray(np.bitwise_xor.reduce(rows[places.astype(np.int64)], axis=1))


def _check_rows(kernel: str, *arrays: Bytes) -> None:
    for rows in arrays:
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _VALUE:
            raise KernelArgumentError(
                f"{kernel}: expected rows of 16 bytes, found {rows.dtype} of shape {list(rows.shape)}"
            )


def _numbers(rows: Bytes) -> list[int]:
    raw = rows.tobytes()
    return [int.from_bytes(raw[at : at + _VALUE], "little") for at in range(0, len(raw), _VALUE)]


def _rows(numbers: list[int]) -> Bytes:
    return np.frombuffer(bytearray().join(number.to_bytes(_VALUE, "little") for number in numbers), np.uint8).reshape(
        -1, _VALUE
    )
