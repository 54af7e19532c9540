# SPDX-License-Identifier: Apache-2.0
"""Time the kernels beside their numpy twins, and the machine's own limits, on one core.

Rows are plain dictionaries for `jali bench kernels`: a limit gives `gigabytes_per_s`, a kernel `seconds` beside
`twin_seconds` and their `ratio`. Times are medians.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from jali import kernels
from jali.kernels import reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["kernel_rows", "limit_rows"]

Call = tuple[str, str, int, tuple[object, ...], dict[str, object]]

_KEY = bytes(range(16))
_LIMIT_BYTES = 1 << 27
_CACHED_WORDS = 1 << 15


def limit_rows(*, repeats: int = 5, size_bytes: int = _LIMIT_BYTES) -> list[dict[str, object]]:
    """What this machine can do at most: copying memory, a triad over memory, AES in the cache and to memory.

    Units: gigabytes (1e9) a second, all bytes read and written.
    """
    n = size_bytes // 8
    source, target = np.ones(n), np.zeros(n)
    words = np.zeros(n, np.uint64)
    cached = np.zeros(_CACHED_WORDS, np.uint64)

    def triad() -> None:
        np.multiply(source, 3.0, out=target)
        np.add(target, source, out=target)

    def cached_stream() -> None:
        for _ in range(64):
            kernels.xor_prg(cached, _KEY, 0, out=cached)

    cases: list[tuple[str, int, Callable[[], object]]] = [
        ("memory copy", 16 * n, lambda: np.copyto(target, source)),
        ("memory triad", 40 * n, triad),
        ("AES-128 stream in cache", 64 * cached.nbytes, cached_stream),
        ("AES-128 stream onto memory", 16 * n, lambda: kernels.xor_prg(words, _KEY, 0, out=words)),
    ]
    return [
        {"suite": "limits", "case": case, "n": n, "gigabytes_per_s": size / _median(call, repeats) / 1e9}
        for case, size, call in cases
    ]


def kernel_rows(*, repeats: int = 5, n: int = 1_000_000, side: int = 1000) -> list[dict[str, object]]:
    """Every kernel on `n` elements, and matrix products with `side` rows and columns, beside the twins."""
    level = kernels.report()["level"]
    rows: list[dict[str, object]] = []
    for name, case, size, arguments, options in _calls(n, side):
        native, twin = getattr(kernels, name), getattr(reference, name)
        seconds = _median(lambda: native(*arguments, **options), repeats)  # noqa: B023 (called within the iteration)
        twin_seconds = _median(lambda: twin(*arguments, **options), repeats)  # noqa: B023
        rows.append(
            {
                "suite": "kernels",
                "case": case,
                "n": size,
                "level": level,
                "seconds": seconds,
                "twin_seconds": twin_seconds,
                "ratio": twin_seconds / seconds,
            }
        )
    return rows


def _calls(n: int, side: int) -> list[Call]:
    """Kernel, case, elements, arguments and options."""
    words = [reference.prg_words(_KEY, stream, n) for stream in range(5)]
    numbers = reference.fixed_decode(words[0], 40)
    bits = words[0] % np.uint64(2) == 0
    planes, packed = reference.bit_planes(words[0]), reference.pack_bits(bits)
    a, b = (reference.prg_words(_KEY, 9 + i, side * side).reshape(side, side) for i in range(2))
    tall = reference.prg_words(_KEY, 11, 10 * side * 100).reshape(10 * side, 100)
    lead: dict[str, object] = {"leader": True}
    order = np.argsort(words[1])
    return [
        ("prg_words", "prg_words", n, (_KEY, 1, n), {}),
        ("add_prg", "add_prg", n, (words[0], _KEY, 1), {}),
        ("sub_prg", "sub_prg", n, (words[0], _KEY, 1), {}),
        ("xor_prg", "xor_prg", n, (words[0], _KEY, 1), {}),
        ("masked_product", "masked_product", n, tuple(words), lead),
        ("masked_and", "masked_and", n, tuple(words), lead),
        ("masked_truncate", "masked_truncate", n, (*words[:3], 18), lead),
        ("replicated_product", "replicated_product", n, tuple(words), {}),
        ("replicated_and", "replicated_and", n, tuple(words), {}),
        ("matmul", f"matmul {side}x{side}x{side}", side**3, (a, b), {}),
        ("matmul", f"matmul {10 * side}x100x1", 1000 * side, (tall, tall[:100, :1].copy()), {}),
        ("matmul", f"matmul 1x{10 * side}x100", 1000 * side, (tall[:, :1].reshape(1, -1).copy(), tall), {}),
        ("matmul", f"matmul {10 * side}x100x10", 10_000 * side, (tall, tall[:100, :10].copy()), {}),
        ("fixed_encode", "fixed_encode", n, (numbers, 18), {}),
        ("fixed_decode", "fixed_decode", n, (words[0], 18), {}),
        ("bit_planes", "bit_planes", n, (words[0],), {}),
        ("from_bit_planes", "from_bit_planes", n, (planes, n), {}),
        ("pack_bits", "pack_bits", n, (bits,), {}),
        ("unpack_bits", "unpack_bits", n, (packed, n), {}),
        ("gather", "gather", n, (words[0], order), {}),
        *_lookups(words, n),
        *_on_the_curve(n),
    ]


def _lookups(words: list[NDArray[np.uint64]], n: int) -> list[Call]:
    """Comparison trees of n numbers, and tables of a tenth of them."""
    lead: dict[str, object] = {"leader": True}
    width, tenth = -(-n // 64), n // 10
    rows = reference.prg_words(_KEY, 12, 240 * width)
    leaves, nodes, few = rows.reshape(15, 16, width), rows[: 88 * width].reshape(22, 4, width), rows[: 44 * width]
    planes, digits = reference.bit_planes(words[0]), rows[: 32 * width].reshape(32, width)
    where: dict[str, object] = {"factor": 1, "low": 58}
    steps, coefficients = {**where, "steps": 24}, np.ones((9, 16))
    powers = np.ones(1025, np.uint64)
    pieces = reference.pieces_dealt(words[0][:tenth], coefficients, factor=1, low=58, steps=24, scale=52)
    octaves = reference.octaves_dealt(words[0][:tenth], powers, factor=1, low=58)
    return [
        ("borrow_leaves", "borrow_leaves", n, (planes, leaves), lead),
        ("equal_leaves", "equal_leaves", n, (planes, leaves), lead),
        ("borrow_nodes", "borrow_nodes", n, (digits, digits, nodes), lead),
        ("equal_nodes", "equal_nodes", n, (digits[:16], digits[16:], few.reshape(11, 4, width)), lead),
        ("pieces_dealt", "pieces_dealt", tenth, (words[0][:tenth], coefficients), {**steps, "scale": 52}),
        ("pieces_combined", "pieces_combined", tenth, (words[1][:tenth], pieces), steps),
        ("octaves_dealt", "octaves_dealt", tenth, (words[0][:tenth], powers), where),
        ("octaves_combined", "octaves_combined", tenth, (words[1][:tenth], octaves, powers), where),
    ]


def _on_the_curve(n: int) -> list[Call]:
    """Points and the hashing that leads to them, of a thousandth of n; the twin is OpenSSL's X25519 and Python."""
    few = max(n // 1000, 2)
    raw = np.frombuffer(reference.prg_words(_KEY, 13, 6 * few).tobytes(), np.uint8)
    ends = np.arange(few + 1, dtype=np.uint64) * np.uint64(32)
    points, rows = raw[: 32 * few].reshape(few, 32), raw[: 32 * few].reshape(-1, 16)
    fill = np.zeros((len(rows) + 256 + len(rows) // 10, 16), np.uint8)
    sparse = raw.view(np.uint64).reshape(-1, 2)
    return [
        ("curve_multiply_each", "curve_multiply_each", few, (points, points), {}),
        ("curve_unmap", "curve_unmap", few, (points, raw[:few]), {}),
        ("okvs_encode", "okvs_encode", len(rows), (rows, rows, fill), {"seed": 1}),
        ("okvs_decode", "okvs_decode", len(rows), (rows, fill), {"seed": 1}),
        ("field_multiply", "field_multiply", len(rows), (rows, _KEY), {}),
        ("expand_convolute", "expand_convolute", len(sparse), (sparse, len(sparse) // 2), {"seed": _KEY}),
        ("curve_multiply", "curve_multiply", few, (raw[: 32 * few].reshape(few, 32), 2 * _KEY), {}),
        ("curve_map", "curve_map", few, (raw.reshape(few, 48),), {}),
        ("match_rows", "match_rows", 2 * few, (raw[: 32 * few].reshape(-1, 16),) * 2, {"seed": 1}),
        ("sha512_each", "sha512_each", few, (raw, ends), {"width": 16}),
    ]


def _median(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
