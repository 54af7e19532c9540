# SPDX-License-Identifier: Apache-2.0
"""Rules: the bits of secret whole numbers: logic, shifts, counts.

Bit k of x is the sign of 2^(63 - k) x, which wraps around as it should. So all bits that an operation needs are one
batched comparison, under every protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, mul, sub, sum_over
from jali.mpc.lower.bits import choose, less
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, as_secret, rule
from jali.mpc.lower.views import broadcast, reshape, transpose

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bits_of", "floor_shift", "number_of", "whole_and", "whole_not", "whole_or", "whole_xor", "width_of"]


def width_of(dtype: Any) -> tuple[int, bool]:
    """How many bits a jax integer has, and whether it is signed."""
    kind = np.dtype(dtype)
    return 8 * kind.itemsize, kind.kind == "i"


def bits_of(build: Builder, x: Secret, places: Sequence[int]) -> Secret:
    """Bits of x at the given places.

    Shapes: (len(places), *x.shape).
    Cost: one sign of len(places) times the elements.
    """
    shape = (len(places), *x.shape)
    stacked = broadcast(build, x, shape)
    top = mul(build, stacked, _column(build, [1 << (63 - k) for k in places], shape))
    return as_secret(less(build, top, build.public(np.int64(0))))


def number_of(build: Builder, bits: Secret, places: Sequence[int], *, sign_at: int | None) -> Secret:
    """The sum of bits times 2^place; the bit at `sign_at` counts as minus that."""
    numbers = build.emit("convert", [bits], msgspec.structs.replace(bits.type, kind="int"))
    weights = [-(1 << k) if k == sign_at else 1 << k for k in places]
    weighted = mul(build, numbers, _column(build, weights, bits.shape))
    return sum_over(build, as_secret(weighted), (0,))


def _column(build: Builder, numbers: Sequence[int], shape: tuple[int, ...]) -> Public:
    words = np.array([number % 2**64 for number in numbers], np.uint64).view(np.int64)
    return build.public(words.reshape(-1, *(1,) * (len(shape) - 1)))


# -- logic ----------------------------------------------------------------------------------------------------------


def whole_and(build: Builder, x: Operand, y: Operand, *, dtype: Any) -> Operand:
    """Bitwise and. With a public mask, only the bits in which the mask is not 0 are looked at."""
    width, is_signed = width_of(dtype)
    sign_at = width - 1 if is_signed else None
    if isinstance(x, Public):
        x, y = y, x
    number = as_secret(x)
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    if isinstance(y, Secret):
        places = list(range(width))
        both = [bits_of(build, broadcast(build, o, shape), places) for o in (number, y)]
        return number_of(build, build.emit("and", both, both[0].type), places, sign_at=sign_at)
    masks = y.array.astype(np.int64)
    places = [k for k in range(width) if np.any((masks >> k) & 1)]
    if not places:
        return build.public(np.zeros(shape, np.int64))
    mask = np.stack([(masks >> k) & 1 for k in places], axis=y.depth).astype(np.bool_)
    bits = bits_of(build, broadcast(build, number, shape), places)
    if not np.all(mask):
        lead = mask.shape[: y.depth]
        flat = mask.reshape((*lead, len(places), *(1,) * (len(shape) - len(y.shape)), *y.shape))
        bits = build.emit("and", [bits, build.encoded(Public(flat, y.depth), kind="bool")], bits.type)
    return number_of(build, bits, places, sign_at=sign_at)


def whole_or(build: Builder, x: Operand, y: Operand, *, dtype: Any) -> Operand:
    """Bitwise or: x + y - (x and y)."""
    return sub(build, add(build, x, y), whole_and(build, x, y, dtype=dtype))


def whole_xor(build: Builder, x: Operand, y: Operand, *, dtype: Any) -> Operand:
    """Bitwise exclusive or: x + y - 2 (x and y)."""
    both = whole_and(build, x, y, dtype=dtype)
    return sub(
        build, add(build, x, y), mul(build, both, build.public(np.int64(2))) if isinstance(both, Secret) else both
    )


def whole_not(build: Builder, x: Secret, *, dtype: Any) -> Operand:
    """All bits turned over: -1 - x, or 2^width - 1 - x without a sign. Local."""
    width, is_signed = width_of(dtype)
    top = -1 if is_signed or width == 64 else (1 << width) - 1
    return sub(build, build.public(np.int64(top)), x)


@rule("reduce_xor")
def _reduce_xor(build: Builder, params: Any, x: Secret) -> Operand:
    """Exclusive or along axes; of bits it is local."""
    axes = tuple(params["axes"])
    if x.type.kind == "bool":
        return _folded(build, x, axes)
    width, is_signed = width_of(params["__equation__"].invars[0].aval.dtype)
    bits = _folded(build, bits_of(build, x, list(range(width))), tuple(axis + 1 for axis in axes))
    return number_of(build, bits, list(range(width)), sign_at=width - 1 if is_signed else None)


def _folded(build: Builder, bits: Secret, axes: tuple[int, ...]) -> Secret:
    """The exclusive or of bits along axes, by halves."""
    kept = tuple(axis for axis in range(len(bits.shape)) if axis not in axes)
    shape = tuple(bits.shape[axis] for axis in kept)
    pile = reshape(build, transpose(build, bits, (*axes, *kept)), (-1, *shape))
    while (count := pile.shape[0]) > 1:
        half = count // 2
        both = [_block(build, pile, low, low + half) for low in (0, half)]
        joined = build.emit("xor", both, both[0].type)
        if count % 2:
            result = msgspec.structs.replace(joined.type, shape=(half + 1, *shape))
            joined = build.emit("concatenate", [joined, _block(build, pile, count - 1, count)], result, axis=0)
        pile = joined
    return reshape(build, pile, shape)


def _block(build: Builder, x: Secret, low: int, high: int) -> Secret:
    rest = x.shape[1:]
    return build.emit(
        "view",
        [x],
        msgspec.structs.replace(x.type, shape=(high - low, *rest)),
        how="slice",
        start=(low, *(0 for _ in rest)),
        stop=(high, *rest),
        step=(1,) * len(x.shape),
    )


# -- counts ---------------------------------------------------------------------------------------------------------


@rule("population_count")
def _population_count(build: Builder, params: Any, x: Secret) -> Operand:
    width, _ = width_of(params["__equation__"].invars[0].aval.dtype)
    return sum_over(build, bits_of(build, x, list(range(width))), (0,))


@rule("clz")
def _clz(build: Builder, params: Any, x: Secret) -> Operand:
    """Zeros before the first one: how many powers of two are larger than x, and 0 for what is negative."""
    width, is_signed = width_of(params["__equation__"].invars[0].aval.dtype)
    powers = [1 << k for k in range(min(width, 63))]
    shape = (len(powers), *x.shape)
    below = less(build, broadcast(build, x, shape), _column(build, powers, shape))
    larger = sum_over(build, as_secret(below), (0,))
    if width < 64 and not is_signed:
        return larger
    negative = less(build, x, build.public(np.int64(0)))
    zeros = add(build, larger, build.public(np.int64(width - len(powers))))
    return choose(build, negative, build.public(np.int64(0)), zeros)


# -- shifts ---------------------------------------------------------------------------------------------------------


@rule("shift_left")
def _shift_left(build: Builder, params: Any, x: Operand, places: Operand) -> Operand:
    """x 2^places. As in sums and products, bits beyond the type's width are kept up to 64."""
    if isinstance(places, Public):
        return mul(build, x, Public(np.left_shift(np.int64(1), places.array.astype(np.int64)), places.depth))
    return mul(build, x, _power_of_two(build, places))


def _power_of_two(build: Builder, places: Secret) -> Operand:
    """2^places for 0 <= places < 64, from its six bits."""
    bits = bits_of(build, places, list(range(6)))
    factor: Operand = build.public(np.int64(1))
    for k in range(6):
        bit = reshape(build, _block(build, bits, k, k + 1), places.shape)
        step = np.array(1 << (1 << k), np.uint64).view(np.int64)
        chosen = choose(build, bit, build.public(step), build.public(np.int64(1)))
        factor = chosen if isinstance(factor, Public) else mul(build, factor, chosen)
    return factor


@rule("shift_right_arithmetic")
def _shift_right_arithmetic(build: Builder, params: Any, x: Operand, places: Operand) -> Operand:
    return _shift_right(build, params, x, places, logical=False)


@rule("shift_right_logical")
def _shift_right_logical(build: Builder, params: Any, x: Operand, places: Operand) -> Operand:
    return _shift_right(build, params, x, places, logical=True)


def _shift_right(build: Builder, params: Any, x: Operand, places: Operand, *, logical: bool) -> Operand:
    width, is_signed = width_of(params["__equation__"].outvars[0].aval.dtype)
    fills = is_signed and not logical
    if isinstance(x, Secret) and isinstance(places, Public) and places.only is not None:
        steps = int(places.only)
        if steps == 0:
            return x
        shifted = floor_shift(build, x, min(steps, 61))
        if fills or not is_signed:
            return shifted
        missing = np.array((1 << (width - steps)) % 2**64, np.uint64).view(np.int64)
        below = as_secret(less(build, x, build.public(np.int64(0))))
        return add(build, shifted, mul(build, build.emit("convert", [below], x.type), build.public(missing)))
    shape = tuple(params["__shapes__"][0])
    number = x if isinstance(x, Secret) else build.shared(x, ValueType(shape=x.shape, kind="int"))
    return _barrel(build, broadcast(build, number, shape), places, width, fills=fills)


def _barrel(build: Builder, x: Secret, places: Operand, width: int, *, fills: bool) -> Operand:
    """The bits of x moved down by 1, 2, 4, ... where the bits of `places` say so. Cost: log2(width) rounds."""
    every = list(range(width))
    bits = bits_of(build, x, every)
    sign = reshape(build, _block(build, bits, width - 1, width), (1, *x.shape))
    off = build.shared(build.public(np.zeros(sign.shape, np.bool_)), sign.type)
    filler = sign if fills else off
    amount = places if isinstance(places, Secret) else build.shared(places, ValueType(shape=places.shape, kind="int"))
    stages = max(width - 1, 1).bit_length()
    steps = bits_of(build, broadcast(build, amount, x.shape), list(range(stages)))
    for k in range(stages):
        step = 1 << k
        ends = broadcast(build, filler, (step, *x.shape))
        moved = build.emit("concatenate", [_block(build, bits, step, width), ends], bits.type, axis=0)
        chosen = broadcast(build, _block(build, steps, k, k + 1), bits.shape)
        bits = build.emit("select", [chosen, moved, bits], bits.type)
    return number_of(build, bits, every, sign_at=width - 1)


def floor_shift(build: Builder, x: Secret, bits: int) -> Secret:
    """floor(x / 2^bits) for |x| < 2^62, exact: a truncation is that or one more, and a comparison says which."""
    near = build.emit("truncate", [x], x.type, bits=bits)
    above = mul(build, near, build.public(np.int64(1 << bits)))
    too_large = build.emit("convert", [as_secret(less(build, x, above))], x.type)
    return as_secret(sub(build, near, too_large))


@rule("bitcast_convert_type")
def _bitcast(build: Builder, params: Any, x: Secret) -> Operand:
    source, target = params["__equation__"].invars[0].aval.dtype, params["__equation__"].outvars[0].aval.dtype
    raise UnsupportedOperation(
        f"a secret has no bit pattern as {source} that could be read as {target}: it is a ring element. Use "
        "arithmetic, comparisons, or (on whole numbers) the operators &, |, ^, << and >>"
    )
