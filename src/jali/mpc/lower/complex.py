# SPDX-License-Identifier: Apache-2.0
"""Complex numbers inside a program, as pairs of real ones, and Fourier transforms as products with a public matrix.

Inputs and outputs of a program are real; between them `jnp.fft` and complex arithmetic work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.ir import ValueType
from jali.mpc.lower.arithmetic import add, divide, dot_general, function, matrix_product, mul, neg, sub
from jali.mpc.lower.bits import choose, equal
from jali.mpc.lower.builder import Builder, Operand, Public, Secret, as_secret, registered
from jali.mpc.lower.patches import moved_axes, shaped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Complex", "complex_results", "touches_complex"]


class Complex(msgspec.Struct, frozen=True, eq=False):
    """A complex array; the parts are both secret, or both public."""

    real: Operand
    imag: Operand

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.real.shape


_MOVES = (
    "broadcast_in_dim concatenate copy cumsum dynamic_slice dynamic_update_slice expand_dims gather pad reduce_sum "
    "reshape rev scatter scatter-add slice split squeeze stack stop_gradient tile transpose unstack"
)
_LINEAR = frozenset(_MOVES.split())


def touches_complex(equation: Any) -> bool:
    """Whether an operand or a result of an equation is complex."""
    return any(_is_complex(variable.aval) for variable in (*equation.invars, *equation.outvars))


def _is_complex(aval: Any) -> bool:
    return getattr(getattr(aval, "dtype", None), "kind", "") == "c"


def complex_results(build: Builder, equation: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of an equation on complex numbers; real ones among them are ordinary operands.

    Raises: UnsupportedOperation if there is no rule.
    """
    name = equation.primitive.name
    found = _RULES.get(name)
    if name in _LINEAR:
        return _part_by_part(build, equation, operands)
    if found is None:
        raise UnsupportedOperation(
            f"jax's {name!r} has no rule for complex secrets: take x.real and x.imag and write it with real numbers"
        )
    result = found(build, equation.params, *operands)
    return list(result) if isinstance(result, list) else [result]


def _pair(build: Builder, x: Any) -> Complex:
    """Any operand as a pair."""
    if isinstance(x, Complex):
        return x
    if isinstance(x, Public):
        return Complex(Public(np.real(x.array), x.depth), Public(np.imag(x.array), x.depth))
    return Complex(x, build.shared(build.public(np.zeros(x.shape)), x.type))


def _shared(build: Builder, x: Any) -> Complex:
    """Any operand as a pair of secrets."""
    pair = _pair(build, x)
    kind = ValueType(shape=pair.shape, kind="fixed", fraction=build.fraction)
    real, imag = (o if isinstance(o, Secret) else build.shared(o, kind) for o in (pair.real, pair.imag))
    return Complex(real, imag)


def _part_by_part(build: Builder, equation: Any, operands: Sequence[Any]) -> list[Any]:
    """What is linear and real works on both parts alike."""
    rule = registered()[equation.primitive.name]
    pairs = [
        _shared(build, x) if _is_complex(variable.aval) else x
        for x, variable in zip(operands, equation.invars, strict=True)
    ]
    params = {
        **equation.params,
        "__shapes__": [tuple(variable.aval.shape) for variable in equation.outvars],
        "__equation__": equation,
    }
    parts = []
    for part in ("real", "imag"):
        result = rule(build, params, *(getattr(x, part) if isinstance(x, Complex) else x for x in pairs))
        parts.append([result] if isinstance(result, Public | Secret) else [*result])
    return [Complex(real, imag) for real, imag in zip(*parts, strict=True)]


def _real(build: Builder, params: Any, x: Any) -> Operand:
    return _pair(build, x).real


def _imaginary(build: Builder, params: Any, x: Any) -> Operand:
    return _pair(build, x).imag


def _joined(build: Builder, params: Any, x: Any, y: Any) -> Complex:
    return Complex(_shared(build, x).real, _shared(build, y).real)


# -- arithmetic -----------------------------------------------------------------------------------------------------


def _convert(build: Builder, params: Any, x: Any) -> Any:
    if np.dtype(params["new_dtype"]).kind == "c":
        if isinstance(x, Secret) and x.type.kind != "fixed":
            x = build.emit("convert", [x], ValueType(shape=x.shape, kind="fixed", fraction=build.fraction))
        return _pair(build, x)
    return x.real


def _added(build: Builder, params: Any, x: Any, y: Any) -> Complex:
    a, b = _shared(build, x), _shared(build, y)
    return Complex(add(build, a.real, b.real), add(build, a.imag, b.imag))


def _subtracted(build: Builder, params: Any, x: Any, y: Any) -> Complex:
    a, b = _shared(build, x), _shared(build, y)
    return Complex(sub(build, a.real, b.real), sub(build, a.imag, b.imag))


def _negated(build: Builder, params: Any, x: Complex) -> Complex:
    return Complex(neg(build, as_secret(x.real)), neg(build, as_secret(x.imag)))


def _product(build: Builder, x: Any, y: Any, *, times: Callable[[Operand, Operand], Operand]) -> Complex:
    """(a + bi) (c + di), where one factor at least is secret."""
    p, q = _pair(build, x), _pair(build, y)
    real = _secret_sum(build, times(p.real, q.real), times(p.imag, q.imag), minus=True)
    imag = _secret_sum(build, times(p.real, q.imag), times(p.imag, q.real), minus=False)
    return Complex(real, imag)


def _secret_sum(build: Builder, x: Operand, y: Operand, *, minus: bool) -> Secret:
    """x + y or x - y; a product with a public 0 is public, and 0."""
    if isinstance(x, Public) and isinstance(y, Public):
        return build.shared(x, ValueType(shape=x.shape, kind="fixed", fraction=build.fraction))
    return as_secret((sub if minus else add)(build, x, y))


def _multiplied(build: Builder, params: Any, x: Any, y: Any) -> Complex:
    return _product(build, x, y, times=lambda a, b: mul(build, a, b))


def _squared(build: Builder, params: Any, x: Complex) -> Complex:
    return _multiplied(build, params, x, x)


def _power(build: Builder, params: Any, x: Complex) -> Complex:
    exponent = int(params["y"])
    if exponent < 1:
        raise UnsupportedOperation("a power of a complex secret that is not positive")
    result = x
    for bit in bin(exponent)[3:]:
        result = _squared(build, params, result)
        result = _multiplied(build, params, result, x) if bit == "1" else result
    return result


def _divided(build: Builder, params: Any, x: Any, y: Any) -> Complex:
    """x / y = x conj(y) / |y|^2."""
    if isinstance(y, Public):
        return _multiplied(build, params, x, Public(1 / y.array, y.depth))
    q = _pair(build, y)
    size = add(build, mul(build, q.real, q.real), mul(build, q.imag, q.imag))
    top = _multiplied(build, params, x, Complex(q.real, neg(build, as_secret(q.imag))))
    return Complex(divide(build, top.real, size), divide(build, top.imag, size))


def _matrix_product(build: Builder, params: Any, x: Any, y: Any) -> Complex:
    dimensions = params["dimension_numbers"]
    return _product(build, x, y, times=lambda a, b: dot_general(build, a, b, dimensions=dimensions))


def _conjugate(build: Builder, params: Any, x: Any) -> Complex:
    pair = _pair(build, x)
    return Complex(pair.real, neg(build, as_secret(pair.imag)))


def _size(build: Builder, params: Any, x: Complex) -> Operand:
    squares = add(build, mul(build, x.real, x.real), mul(build, x.imag, x.imag))
    return function(build, "sqrt", as_secret(squares))


def _exponential(build: Builder, params: Any, x: Complex) -> Complex:
    scale = function(build, "exp", as_secret(x.real))
    cos, sin = (function(build, name, as_secret(x.imag)) for name in ("cos", "sin"))
    return Complex(mul(build, scale, cos), mul(build, scale, sin))


def _chosen(build: Builder, params: Any, which: Operand, first: Any, second: Any) -> Complex:
    a, b = _shared(build, first), _shared(build, second)
    return Complex(choose(build, which, b.real, a.real), choose(build, which, b.imag, a.imag))


def _same(build: Builder, params: Any, x: Any, y: Any) -> Operand:
    p, q = _pair(build, x), _pair(build, y)
    both = [as_secret(equal(build, a, b)) for a, b in ((p.real, q.real), (p.imag, q.imag))]
    return build.emit("and", both, both[0].type)


# -- Fourier transforms ---------------------------------------------------------------------------------------------


def _transform(build: Builder, params: Any, x: Any) -> Any:
    """One to three dimensions, by a public matrix for each. No interaction but the truncation of the products."""
    kind, lengths = params["fft_type"].name, tuple(params["fft_lengths"])
    axes = range(len(x.shape) - len(lengths), len(x.shape))
    inverse = kind.startswith("I")
    value: Any = x
    order = [*zip(axes, lengths, strict=True)]
    if kind == "RFFT":
        axis, length = order.pop()
        value = _along(build, value, axis, _forward(length)[:, : length // 2 + 1])
    last = order.pop() if kind == "IRFFT" else None
    for axis, length in order:
        matrix = _forward(length)
        value = _along(build, value, axis, np.conj(matrix) / length if inverse else matrix)
    if last is None:
        return value
    return _along(build, value, last[0], _half_inverse(last[1])).real


def _forward(length: int) -> Any:
    """e^(-2 pi i j k / n); angles are reduced first, so that all machines round alike."""
    steps = np.outer(np.arange(length), np.arange(length)) % length
    angles = 2 * np.pi * steps / length
    return np.cos(angles) - 1j * np.sin(angles)


def _half_inverse(length: int) -> Any:
    """From the first half of a Hermitian spectrum to the real signal: what the real part of the product needs."""
    count = length // 2 + 1
    weights = np.full(count, 2.0)
    weights[0] = 1.0
    if length % 2 == 0:
        weights[-1] = 1.0
    return weights[:, np.newaxis] * np.conj(_forward(length)[:count]) / length


def _along(build: Builder, x: Any, axis: int, matrix: Any) -> Complex:
    """The product of one axis with a complex public matrix (n, m); both parts at once."""
    rank = len(x.shape)
    front = [k for k in range(rank) if k != axis]
    real = not isinstance(x, Complex)
    parts = [x] if real else [x.real, x.imag]
    n, m = matrix.shape
    rows = [shaped(build, moved_axes(build, part, [*front, axis]), (-1, n)) for part in parts]
    top = np.concatenate([matrix.real, matrix.imag], axis=1)
    bottom = np.concatenate([-matrix.imag, matrix.real], axis=1)
    table = top if real else np.concatenate([top, bottom])
    wide = as_secret(rows[0]) if real else _beside(build, as_secret(rows[0]), as_secret(rows[1]))
    product = as_secret(matrix_product(build, wide, build.public(table), shape=(wide.shape[0], 2 * m)))
    lead = tuple(x.shape[k] for k in front)
    back = [*range(axis), rank - 1, *range(axis, rank - 1)]
    halves = [_columns(build, product, low, low + m) for low in (0, m)]
    return Complex(*(moved_axes(build, shaped(build, half, (*lead, m)), back) for half in halves))


def _beside(build: Builder, x: Secret, y: Secret) -> Secret:
    fraction = max(x.type.fraction, y.type.fraction)
    parts = [build.scaled(part, fraction) for part in (x, y)]
    result = msgspec.structs.replace(parts[0].type, shape=(x.shape[0], 2 * x.shape[1]))
    return build.emit("concatenate", parts, result, axis=1)


def _columns(build: Builder, x: Secret, low: int, high: int) -> Secret:
    result = msgspec.structs.replace(x.type, shape=(x.shape[0], high - low))
    return build.emit("view", [x], result, how="slice", start=(0, low), stop=(x.shape[0], high), step=(1, 1))


_RULES: dict[str, Callable[..., Any]] = {
    "abs": _size,
    "add": _added,
    "add_any": _added,
    "complex": _joined,
    "conj": _conjugate,
    "convert_element_type": _convert,
    "div": _divided,
    "dot_general": _matrix_product,
    "eq": _same,
    "exp": _exponential,
    "fft": _transform,
    "imag": _imaginary,
    "integer_pow": _power,
    "mul": _multiplied,
    "neg": _negated,
    "real": _real,
    "select_n": _chosen,
    "square": _squared,
    "sub": _subtracted,
}
