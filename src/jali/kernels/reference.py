# SPDX-License-Identifier: Apache-2.0
"""The specification of every kernel: what it computes, in numpy, for reading and for machines without a compiler.

The C++ in `native/` has the same names and signatures, and tests compare the two bit for bit. Elements are those of
Z_2^64, so `+`, `-` and `*` wrap around. Elementwise kernels take arrays of any one shape and return it; `out` may be
one of the inputs. Nothing branches on, or looks up by, the values of an array (but for the errors of `fixed_encode`).
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from jali.core.errors import FixedPointRangeError, KernelArgumentError
from jali.kernels.reference_codes import expand_convolute, field_multiply, okvs_decode, okvs_encode
from jali.kernels.reference_curve import (
    curve_map,
    curve_multiply,
    curve_multiply_each,
    curve_unmap,
    match_rows,
    sha512_each,
)
from jali.kernels.reference_lookup import octaves_combined, octaves_dealt, pieces_combined, pieces_dealt
from jali.kernels.reference_trees import borrow_leaves, borrow_nodes, equal_leaves, equal_nodes

__all__ = [
    "add_prg",
    "bit_planes",
    "borrow_leaves",
    "borrow_nodes",
    "curve_map",
    "curve_multiply",
    "curve_multiply_each",
    "curve_unmap",
    "equal_leaves",
    "equal_nodes",
    "expand_convolute",
    "field_multiply",
    "fixed_decode",
    "fixed_encode",
    "from_bit_planes",
    "gather",
    "masked_and",
    "masked_product",
    "masked_truncate",
    "match_rows",
    "matmul",
    "octaves_combined",
    "octaves_dealt",
    "okvs_decode",
    "okvs_encode",
    "pack_bits",
    "permute",
    "pieces_combined",
    "pieces_dealt",
    "prg_words",
    "replicated_and",
    "replicated_product",
    "sha512_each",
    "sub_prg",
    "unpack_bits",
    "xor_prg",
]

Words = NDArray[np.uint64]

_HEADROOM_BITS = 62
_MAX_FRACTION_BITS = 61


# -- pseudo-random words --------------------------------------------------------------------------------------------
def prg_words(key: bytes, nonce: int, count: int, *, start: int = 0) -> Words:
    """Words `start` to `start + count` of the AES-128 counter-mode key stream of (key, nonce).

    Block i is AES(key, nonce || i), both as 8 little-endian bytes, and gives two little-endian words.
    Shapes: (count,).
    Security: pseudo-random while the key is secret and each (key, nonce, word) serves once.
    Raises: KernelArgumentError if the key has not 16 bytes or a number is out of range.
    References: NIST SP 800-38A, section 6.5; FIPS 197.
    """
    _check_prg(key, nonce)
    if min(count, start) < 0 or start + count >= 1 << 64:
        raise KernelArgumentError(f"prg_words: start and count must lie in 0..2^64-1, not {start} and {count}")
    first, last = start // 2, (start + count + 1) // 2
    blocks = np.empty((last - first, 2), np.uint64)
    blocks[:, 0] = nonce
    blocks[:, 1] = np.uint64(first) + np.arange(last - first, dtype=np.uint64)
    # Our counter is little-endian, that of the library's CTR mode is not; hence the raw block cipher on counters.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    stream = encryptor.update(blocks.tobytes()) + encryptor.finalize()
    skip = start % 2
    return np.frombuffer(stream, np.uint64)[skip : skip + count].copy()


def add_prg(x: Words, key: bytes, nonce: int, *, out: Words | None = None) -> Words:
    """x + r, where r is the key stream of (key, nonce) from word 0. The native kernel never stores r."""
    (flat,) = _flatten("add_prg", x)
    return _finish(flat + prg_words(key, nonce, flat.size), x, out)


def sub_prg(x: Words, key: bytes, nonce: int, *, out: Words | None = None) -> Words:
    """x - r, where r is the key stream of (key, nonce) from word 0."""
    (flat,) = _flatten("sub_prg", x)
    return _finish(flat - prg_words(key, nonce, flat.size), x, out)


def xor_prg(x: Words, key: bytes, nonce: int, *, out: Words | None = None) -> Words:
    """x ^ r, where r is the key stream of (key, nonce) from word 0."""
    (flat,) = _flatten("xor_prg", x)
    return _finish(flat ^ prg_words(key, nonce, flat.size), x, out)


# -- local steps of protocols ---------------------------------------------------------------------------------------
def masked_product(
    dx: Words, dy: Words, lx: Words, ly: Words, g: Words, *, leader: bool, out: Words | None = None
) -> Words:
    """One role's share of x y + r, where x = dx - [lx], y = dy - [ly] and g shares lx ly + r.

    Computes [leader] dx dy - dx ly - dy lx + g.
    References: Patra, Schneider, Suresh, Yalame 2021, ABY2.0 (ePrint 2020/1225), section 3.1.
    """
    dx_, dy_, lx_, ly_, g_ = _flatten("masked_product", dx, dy, lx, ly, g)
    result = g_ - dx_ * ly_ - dy_ * lx_
    return _finish(result + dx_ * dy_ if leader else result, dx, out)


def masked_and(
    da: Words, db: Words, la: Words, lb: Words, g: Words, *, leader: bool, out: Words | None = None
) -> Words:
    """One role's share of a & b on packed words: `masked_product` over Z_2.

    Computes [leader] da & db ^ da & lb ^ db & la ^ g.
    """
    da_, db_, la_, lb_, g_ = _flatten("masked_and", da, db, la, lb, g)
    result = (da_ & lb_) ^ (db_ & la_) ^ g_
    return _finish(result ^ (da_ & db_) if leader else result, da, out)


def masked_truncate(c: Words, a: Words, b: Words, bits: int, *, leader: bool, out: Words | None = None) -> Words:
    """One role's share of a truncation from the opened c = x + 2^62 + r, choosing a or b by the top bit of c.

    Computes [leader] ((c >> bits) - 2^(62 - bits)) - (b if c >= 2^63 else a), with a logical shift.
    Raises: KernelArgumentError unless 0 <= bits < 62.
    """
    c_, a_, b_ = _flatten("masked_truncate", c, a, b)
    _check_bits("masked_truncate", bits)
    wrapped = np.where(c_ >> np.uint64(63) != 0, b_, a_)
    shifted = (c_ >> np.uint64(bits)) - np.uint64(1 << (_HEADROOM_BITS - bits))
    return _finish(shifted - wrapped if leader else np.zeros_like(c_) - wrapped, c, out)


def replicated_product(x0: Words, x1: Words, y0: Words, y1: Words, zero: Words, *, out: Words | None = None) -> Words:
    """One party's additive share of x y from replicated shares: x0 y0 + x0 y1 + x1 y0 + zero.

    References: Araki et al. 2016 (ePrint 2016/768), section 2.2.
    """
    a0, a1, b0, b1, z = _flatten("replicated_product", x0, x1, y0, y1, zero)
    return _finish(a0 * b0 + a0 * b1 + a1 * b0 + z, x0, out)


def replicated_and(x0: Words, x1: Words, y0: Words, y1: Words, zero: Words, *, out: Words | None = None) -> Words:
    """One party's xor share of x & y on packed words: x0 & y0 ^ x0 & y1 ^ x1 & y0 ^ zero."""
    a0, a1, b0, b1, z = _flatten("replicated_and", x0, x1, y0, y1, zero)
    return _finish((a0 & b0) ^ (a0 & b1) ^ (a1 & b0) ^ z, x0, out)


# -- matrices -------------------------------------------------------------------------------------------------------
def matmul(a: Words, b: Words, *, add: Words | None = None) -> Words:
    """a @ b over Z_2^64, plus `add` if given.

    Shapes: (m, k) @ (k, n) -> (m, n), or a batch (b, m, k) @ (b, k, n) -> (b, m, n); `add` has the result's shape.
    Cost: for 1000 x 1000 x 1000 the native kernel needs about 35 ms with AMX, 60 with IFMA, 80 with AVX-512, one core.
    Raises: KernelArgumentError if the shapes do not fit.
    """
    batched = a.ndim == b.ndim == 3 and a.shape[0] == b.shape[0]
    plain = a.ndim == b.ndim == 2
    if not (batched or plain) or a.shape[-1] != b.shape[-2]:
        raise KernelArgumentError(f"matmul: the shapes {a.shape} and {b.shape} do not fit")
    _check_words("matmul", a, b)
    result = a @ b
    if add is None:
        return result
    _check_words("matmul", add)
    if add.shape != result.shape:
        raise KernelArgumentError(f"matmul: add has the shape {add.shape}, expected {result.shape}")
    return result + add


# -- fixed point ----------------------------------------------------------------------------------------------------
def fixed_encode(x: NDArray[np.float64], bits: int) -> Words:
    """round(x 2^bits) as a signed ring element, ties to even.

    Shapes: any; the result has that of x.
    Raises: FixedPointRangeError if an element is not finite or not below 2^(62 - bits) in magnitude.
    """
    _check_bits("fixed_encode", bits)
    if x.dtype != np.float64:
        raise KernelArgumentError(f"fixed_encode: expected float64, found {x.dtype}")
    limit = 2.0 ** (_HEADROOM_BITS - bits)
    bad = int(np.count_nonzero(~(np.abs(x) < limit)))
    if bad:
        raise FixedPointRangeError(
            f"{bad} of {x.size} numbers are not finite or not below {limit:g} in magnitude, which fixed point with "
            f"{bits} fraction bits can hold. Impute missing values, scale the column, or use fewer fraction bits."
        )
    return np.asarray(np.rint(np.ldexp(x, bits)), np.int64).view(np.uint64)


def fixed_decode(x: Words, bits: int) -> NDArray[np.float64]:
    """The number that a ring element stands for: signed(x) / 2^bits, rounded to float64 once.

    Shapes: any; the result has that of x.
    """
    _check_bits("fixed_decode", bits)
    _check_words("fixed_decode", x)
    return np.asarray(x.view(np.int64).astype(np.float64) * 2.0**-bits)


# -- bits -----------------------------------------------------------------------------------------------------------
def bit_planes(x: Words) -> Words:
    """Bit-slice: word i of plane j holds bit j of x[64 i] to x[64 i + 63], the first in the lowest bit.

    Shapes: (n,) -> (64, ceil(n / 64)), padded with zeros.
    """
    _check_vector("bit_planes", x)
    _check_words("bit_planes", x)
    blocks = -(-x.size // 64)
    padded = np.zeros(blocks * 64, np.uint64)
    padded[: x.size] = x
    bits = np.unpackbits(padded.view(np.uint8), bitorder="little").reshape(blocks, 64, 64)
    packed = np.packbits(bits.transpose(2, 0, 1).reshape(-1), bitorder="little")
    return packed.view(np.uint64).reshape(64, blocks)


def from_bit_planes(planes: Words, n: int) -> Words:
    """The n words that `bit_planes` sliced.

    Shapes: (64, ceil(n / 64)) -> (n,).
    """
    _check_words("from_bit_planes", planes)
    blocks = -(-n // 64)
    if n < 0 or planes.shape != (64, blocks):
        raise KernelArgumentError(f"from_bit_planes: expected the shape (64, {blocks}), found {planes.shape}")
    bits = np.unpackbits(np.ascontiguousarray(planes).reshape(-1).view(np.uint8), bitorder="little")
    packed = np.packbits(bits.reshape(64, blocks, 64).transpose(1, 2, 0).reshape(-1), bitorder="little")
    return packed.view(np.uint64)[:n]


def pack_bits(bits: NDArray[np.bool_] | NDArray[np.uint8]) -> Words:
    """Bits, 64 to a word, the first in the lowest bit; any byte but 0 is a 1.

    Shapes: (n,) -> (ceil(n / 64),), padded with zeros.
    """
    _check_vector("pack_bits", bits)
    if bits.dtype not in (np.bool_, np.uint8):
        raise KernelArgumentError(f"pack_bits: expected bool or uint8, found {bits.dtype}")
    padded = np.zeros(-(-bits.size // 64) * 8, np.uint8)
    packed = np.packbits(bits, bitorder="little")
    padded[: packed.size] = packed
    return padded.view(np.uint64)


def unpack_bits(words: Words, n: int) -> NDArray[np.bool_]:
    """The n bits that `pack_bits` packed.

    Shapes: (ceil(n / 64),) -> (n,).
    """
    _check_vector("unpack_bits", words)
    _check_words("unpack_bits", words)
    if n < 0 or words.size != -(-n // 64):
        raise KernelArgumentError(f"unpack_bits: {words.size} words do not hold {n} bits")
    raw = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(raw, count=n, bitorder="little").view(np.bool_)


# -- rearrangement --------------------------------------------------------------------------------------------------
def gather(x: Words, index: NDArray[np.int64]) -> Words:
    """Rows x[index[i]].

    Shapes: (n, ...) and (m,) -> (m, ...).
    Security: the index must be public: memory is read in its order.
    Raises: KernelArgumentError if an index does not lie in 0..n-1.
    """
    _check_words("gather", x)
    _check_vector("gather", index)
    if x.ndim == 0 or index.dtype != np.int64:
        raise KernelArgumentError(f"gather: expected rows and an int64 index, found {x.shape} and {index.dtype}")
    if index.size and int(index.view(np.uint64).max()) >= x.shape[0]:  # a negative number is a large one
        raise KernelArgumentError(f"gather: the index leaves 0..{x.shape[0] - 1}")
    return np.take(x, index, axis=0)


def permute(x: Words, order: NDArray[np.int64]) -> Words:
    """Rows x[order[i]], where `order` holds each of 0..n-1 once (only its length and range are checked)."""
    if x.ndim == 0 or order.shape != x.shape[:1]:
        raise KernelArgumentError(f"permute: {order.shape} is no order of the rows of {x.shape}")
    return gather(x, order)


# -- checks ---------------------------------------------------------------------------------------------------------
def _check_prg(key: bytes, nonce: int) -> None:
    if len(key) != 16:
        raise KernelArgumentError(f"the key of the PRG must have 16 bytes, not {len(key)}")
    if not 0 <= nonce < 1 << 64:
        raise KernelArgumentError("the nonce of the PRG must lie in 0..2^64-1")


def _check_bits(kernel: str, bits: int) -> None:
    if not 0 <= bits <= _MAX_FRACTION_BITS:
        raise KernelArgumentError(f"{kernel}: bits must lie in 0..{_MAX_FRACTION_BITS}, not {bits}")


def _check_vector(kernel: str, x: NDArray[np.generic]) -> None:
    if x.ndim != 1:
        raise KernelArgumentError(f"{kernel}: expected one axis, found the shape {x.shape}")


def _check_words(kernel: str, *arrays: Words) -> None:
    for array in arrays:
        if array.dtype != np.uint64:
            raise KernelArgumentError(f"{kernel}: expected uint64, found {array.dtype}")


def _flatten(kernel: str, *arrays: Words) -> tuple[Words, ...]:
    """The arrays as vectors, once their shapes are known to be equal."""
    _check_words(kernel, *arrays)
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise KernelArgumentError(f"{kernel}: the shapes must be equal, found {[array.shape for array in arrays]}")
    return tuple(array.reshape(-1) for array in arrays)


def _finish(result: Words, like: Words, out: Words | None) -> Words:
    """The result in the shape of `like`, or in `out`."""
    shaped = result.reshape(like.shape)
    if out is None:
        return shaped
    _check_words("out", out)
    if out.shape != shaped.shape or not out.flags.c_contiguous:
        raise KernelArgumentError(f"out must be a contiguous array of the shape {shaped.shape}, found {out.shape}")
    out[...] = shaped
    return out
