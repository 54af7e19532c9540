# SPDX-License-Identifier: Apache-2.0
"""The arrays that shares are made of: ring elements in the shape of the secret, or bits packed 64 to a word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jali import kernels
from jali.core.errors import ProtocolUseError
from jali.mpc.rings import Ring, add, of_bits, subtract, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from jali.crypto.prg import Prg

__all__ = [
    "NOTHING",
    "added",
    "as_numbers",
    "gathered",
    "given",
    "layout",
    "matrix_shape",
    "minus",
    "on_bits",
    "one_as_rows",
    "plus",
    "require_equal",
    "rows_as_one",
    "taken_off",
    "unmasked",
    "unpacked",
    "whole",
]

NOTHING = np.empty(0, np.uint64)
"""What a role holds of an array that it has no part of."""


def layout(shape: tuple[int, ...], *, bits: bool) -> tuple[int, ...]:
    """The shape of the words that hold an array: its own, or (ceil(n / 64),) for n bits."""
    return words_of(shape, of_bits(bits))


def plus(x: NDArray[np.uint64], y: NDArray[np.uint64], *, bits: bool) -> NDArray[np.uint64]:
    """x + y, or the exclusive or of bits."""
    return add(x, y, of_bits(bits))


def minus(x: NDArray[np.uint64], y: NDArray[np.uint64], *, bits: bool) -> NDArray[np.uint64]:
    """x - y, or the exclusive or of bits."""
    return subtract(x, y, of_bits(bits))


def gathered(received: NDArray[np.uint64], *others: NDArray[np.uint64], ring: Ring = Ring.WORDS) -> NDArray[np.uint64]:
    """The sum, where possible in the received words, which nobody else has; others may be on their way to a peer."""
    for other in others:
        if ring is Ring.BITS:
            np.bitwise_xor(received, other, out=received)
        elif ring is Ring.WORDS:
            np.add(received, other, out=received)
        else:
            received = add(received, other, ring)
    return received


def whole(array: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """In one piece, as kernels and messages need it."""
    return np.ascontiguousarray(array).reshape(shape)


def matrix_shape(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a matrix product, or of a batch of them.

    Raises: ProtocolUseError if the shapes do not fit.
    """
    if len(x) < 2 or len(y) < 2 or x[-1] != y[-2] or x[:-2] != y[:-2]:
        raise ProtocolUseError(f"dot: the shapes {x} and {y} do not fit")
    return (*x[:-1], y[-1])


def require_equal(operation: str, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    """Refuse operands of different shapes.

    Raises: ProtocolUseError.
    """
    if x != y:
        raise ProtocolUseError(f"{operation}: the shapes {x} and {y} must be equal")


def given(value: NDArray[Any] | None, shape: tuple[int, ...], *, bits: bool) -> NDArray[np.uint64]:
    """The words of an array that its owner shares.

    Raises: ProtocolUseError if there is none, or one of another shape.
    """
    if value is None or value.shape != shape:
        found = "none" if value is None else f"the shape {value.shape}"
        raise ProtocolUseError(f"expected an array of shape {shape} to share, found {found}")
    return kernels.pack_bits(np.ascontiguousarray(value, np.bool_).reshape(-1)) if bits else value


def added(array: NDArray[np.uint64], prg: Prg, nonce: int, *, ring: Ring) -> NDArray[np.uint64]:
    """The array plus the words of that nonce."""
    if ring is Ring.WORDS:
        return prg.add(array, nonce)
    return prg.xor(array, nonce) if ring is Ring.BITS else add(array, prg.words(nonce, array.shape), ring)


def taken_off(array: NDArray[np.uint64], prg: Prg, nonce: int, *, ring: Ring) -> NDArray[np.uint64]:
    """The array less the words of that nonce."""
    if ring is Ring.WORDS:
        return prg.sub(array, nonce)
    return prg.xor(array, nonce) if ring is Ring.BITS else subtract(array, prg.words(nonce, array.shape), ring)


def unpacked(packed: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The bits that words hold."""
    return kernels.unpack_bits(packed, math.prod(shape)).reshape(shape)


def as_numbers(packed: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """The bits that words hold, as ring elements 0 and 1."""
    return unpacked(packed, shape).astype(np.uint64)


def unmasked(opened: NDArray[np.uint64], mask: NDArray[np.uint64], *, leader: bool) -> NDArray[np.uint64]:
    """A share of the bits d ^ r as numbers, for opened bits d and a share of r: d + (1 - 2 d) r, d at the leader.

    Shapes: packed d, and r in the shape of the secret.
    """
    minus_d = np.negative(unpacked(opened, mask.shape).view(np.int8)).astype(np.int64).view(np.uint64)
    share = np.asarray(mask ^ minus_d)  # -r - 1 where d is 1
    share -= minus_d
    if leader:
        share -= minus_d
    return share


def rows_as_one(rows: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Rows of `size` bits each, every row packed by itself, as the bits of one array.

    Shapes: (K, ceil(size / 64)) -> (ceil(K size / 64),).
    """
    if size % 64 == 0:
        return rows.reshape(-1)
    bits = kernels.unpack_bits(rows.reshape(-1), 64 * rows.size).reshape(rows.shape[0], -1)[:, :size]
    return kernels.pack_bits(np.ascontiguousarray(bits).reshape(-1))


def one_as_rows(words: NDArray[np.uint64], count: int, size: int) -> NDArray[np.uint64]:
    """The inverse of `rows_as_one`; the last word of a row is filled up with zeros.

    Shapes: (ceil(K size / 64),) -> (K, ceil(size / 64)).
    """
    if size % 64 == 0:
        return words.reshape(count, -1)
    rows = np.zeros((count, 64 * -(-size // 64)), np.bool_)
    rows[:, :size] = kernels.unpack_bits(words, count * size).reshape(count, size)
    return kernels.pack_bits(rows.reshape(-1)).reshape(count, -1)


def on_bits(
    function: Callable[..., NDArray[np.bool_]], shapes: Sequence[tuple[int, ...]]
) -> Callable[..., NDArray[np.uint64]]:
    """A rearrangement of arrays of bits of these shapes, as a function of their words."""

    def on_words(*arrays: NDArray[np.uint64]) -> NDArray[np.uint64]:
        bits = function(*(unpacked(words, shape) for words, shape in zip(arrays, shapes, strict=True)))
        return kernels.pack_bits(np.ascontiguousarray(bits, np.bool_).reshape(-1))

    return on_words
