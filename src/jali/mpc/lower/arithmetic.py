# SPDX-License-Identifier: Apache-2.0
"""Rules: sums, products and matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import UnsupportedOperation
from jali.mpc.fixed import constant_fraction
from jali.mpc.ir import ValueType
from jali.mpc.lower.builder import MOST_FRACTION, Builder, Operand, Public, Secret, rule
from jali.mpc.lower.views import broadcast, reshape, transpose

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "LARGE",
    "add",
    "divide",
    "dot_general",
    "function",
    "matrix_product",
    "mul",
    "neg",
    "power",
    "sub",
    "sum_over",
]

LARGE = 2.0**42
"""What stands for infinity among secret numbers: larger public numbers are cut to it in comparisons and choices."""

_FEWEST_SIGNIFICANT_BITS = 10


# -- sums -----------------------------------------------------------------------------------------------------------


@rule("add", "add_any")
def _add(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return add(build, x, y)


@rule("sub")
def _sub(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return sub(build, x, y)


def add(build: Builder, x: Operand, y: Operand) -> Operand:
    """x + y; a public zero costs nothing."""
    if (zero := _without_zero(build, x, y)) is not None:
        return zero
    left, right, result = aligned(build, x, y)
    return build.emit("add", [left, right], result)


def sub(build: Builder, x: Operand, y: Operand) -> Operand:
    """x - y; a public zero costs nothing."""
    if isinstance(y, Public) and y.only == 0 and isinstance(x, Secret):
        return broadcast(build, x, _common_shape(x, y))
    if isinstance(x, Public) and x.only == 0 and isinstance(y, Secret):
        return broadcast(build, neg(build, y), _common_shape(x, y))
    left, right, result = aligned(build, x, y)
    return build.emit("sub", [left, right], result)


@rule("neg")
def _neg(build: Builder, params: Any, x: Secret) -> Operand:
    return neg(build, x)


def neg(build: Builder, x: Secret) -> Secret:
    """-x."""
    twice = build.made_by(x, "neg")
    if twice is not None:
        return build.operand(twice.inputs[0])
    return build.emit("neg", [x], x.type)


def aligned(build: Builder, x: Operand, y: Operand) -> tuple[int, int, ValueType]:
    """Both as values of one shape and scale (a public one may be smaller), and the type of their sum."""
    shape = _common_shape(x, y)
    secrets = [o for o in (x, y) if isinstance(o, Secret)]
    kind = secrets[0].type.kind
    fraction = max(o.type.fraction for o in secrets)
    values = []
    for o in (x, y):
        if isinstance(o, Secret):
            values.append(build.scaled(broadcast(build, o, shape), fraction).value)
        else:
            values.append(build.encoded(o, kind=kind, fraction=fraction))
    return values[0], values[1], ValueType(shape=shape, kind=kind, fraction=fraction)


def _without_zero(build: Builder, x: Operand, y: Operand) -> Operand | None:
    for one, other in ((x, y), (y, x)):
        if isinstance(one, Public) and one.only == 0 and isinstance(other, Secret):
            return broadcast(build, other, _common_shape(x, y))
    return None


def _common_shape(x: Operand, y: Operand) -> tuple[int, ...]:
    return tuple(np.broadcast_shapes(x.shape, y.shape))


@rule("reduce_sum")
def _reduce_sum(build: Builder, params: Any, x: Secret) -> Operand:
    return sum_over(build, x, tuple(params["axes"]))


def sum_over(build: Builder, x: Secret, axes: tuple[int, ...]) -> Secret:
    """Sum along axes; a sum of products is one inner product, truncated once."""
    if x.type.kind == "bool":
        x = build.emit("convert", [x], ValueType(shape=x.shape, kind="int"))
    if not axes:
        return x
    product = build.made_by(x, "mul")
    if product is not None and all(build.types[v].secret for v in product.inputs) and x.type.kind == "fixed":
        return _inner_product(build, x, axes, factors=[build.operand(v) for v in product.inputs])
    result = msgspec.structs.replace(x.type, shape=_without(x.shape, axes))
    return build.emit("sum", [x], result, axes=axes)


def _inner_product(build: Builder, x: Secret, axes: tuple[int, ...], *, factors: Sequence[Secret]) -> Secret:
    kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    shape = _without(x.shape, axes)
    outer, inner = int(np.prod(shape, dtype=int)), int(np.prod([x.shape[axis] for axis in axes], dtype=int))
    sides = [(1, inner), (inner, 1)] if outer == 1 else [(outer, 1, inner), (outer, inner, 1)]
    left, right = (
        reshape(build, transpose(build, factor, (*kept, *axes)), side)
        for factor, side in zip(factors, sides, strict=True)
    )
    return reshape(build, _secret_product(build, "dot", left, right, shape=(*sides[0][:-1], 1)), shape)


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


@rule("cumsum")
def _cumsum(build: Builder, params: Any, x: Secret) -> Operand:
    return build.emit("cumsum", [x], x.type, axis=int(params["axis"]), reverse=int(params["reverse"]))


@rule("reduce_prod")
def _reduce_prod(build: Builder, params: Any, x: Secret) -> Operand:
    axes = tuple(params["axes"])
    kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    shape = _without(x.shape, axes)
    pile: Operand = reshape(build, transpose(build, x, (*axes, *kept)), (-1, *shape))
    while pile.shape[0] > 1 and isinstance(pile, Secret):
        half = pile.shape[0] // 2
        parts = [_rows(build, pile, low, high) for low, high in ((0, half), (half, 2 * half), (2 * half, None))]
        product = mul(build, parts[0], parts[1])
        pile = product if pile.shape[0] % 2 == 0 else _join(build, product, parts[2])
    return reshape(build, pile, shape) if isinstance(pile, Secret) else pile


def _rows(build: Builder, x: Secret, low: int, high: int | None) -> Secret:
    stop = x.shape[0] if high is None else high
    start = (low, *(0 for _ in x.shape[1:]))
    stops, steps = (stop, *x.shape[1:]), (1,) * len(x.shape)
    result = msgspec.structs.replace(x.type, shape=(stop - low, *x.shape[1:]))
    return build.emit("view", [x], result, how="slice", start=start, stop=stops, step=steps)


def _join(build: Builder, x: Operand, y: Secret) -> Secret:
    first = build.scaled(x, y.type.fraction) if isinstance(x, Secret) else build.shared(x, y.type)
    result = msgspec.structs.replace(y.type, shape=(x.shape[0] + y.shape[0], *y.shape[1:]))
    return build.emit("concatenate", [first, y], result, axis=0)


# -- products -------------------------------------------------------------------------------------------------------


@rule("mul")
def _mul(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return mul(build, x, y)


@rule("square")
def _square(build: Builder, params: Any, x: Secret) -> Operand:
    return mul(build, x, x)


@rule("one_minus_square")
def _one_minus_square(build: Builder, params: Any, x: Secret) -> Operand:
    return sub(build, build.public(np.float64(1.0)), mul(build, x, x))


def mul(build: Builder, x: Operand, y: Operand) -> Operand:
    """x y, elementwise.

    A public factor raises the scale (no communication); a converted bit becomes a choice; else a secure product.
    """
    shape = _common_shape(x, y)
    if isinstance(y, Secret) and isinstance(x, Public):
        x, y = y, x
    if not isinstance(x, Secret):
        return build.public(np.zeros(shape))  # two public operands never come here
    if isinstance(y, Public):
        return _public_product(build, x, y, shape=shape)
    left, right = broadcast(build, x, shape), broadcast(build, y, shape)
    for bit, number in ((left, right), (right, left)):
        if (behind := build.bit_behind(bit)) is not None:
            zero = build.encoded(build.public(0.0), kind=number.type.kind, fraction=number.type.fraction)
            return build.emit("select", [behind, number, zero], number.type)
    return _secret_product(build, "mul", left, right, shape=shape)


def _secret_product(build: Builder, kind: str, x: Secret, y: Secret, *, shape: tuple[int, ...]) -> Secret:
    x, y = _room(build, x, y)
    fraction = build.fraction if x.type.kind == "fixed" else 0
    shift = x.type.fraction + y.type.fraction - fraction
    if x.type.kind != "fixed":
        shift = 0
    return build.emit(kind, [x, y], ValueType(shape=shape, kind=x.type.kind, fraction=fraction), shift=shift)


def _room(build: Builder, x: Secret, y: Secret) -> tuple[Secret, Secret]:
    """Truncate the factor with the larger scale first if the product would need too many bits."""
    if x.type.fraction + y.type.fraction > MOST_FRACTION:
        if x.type.fraction >= y.type.fraction:
            return _room(build, build.usual(x), y)
        return _room(build, x, build.usual(y))
    return x, y


def _public_product(build: Builder, x: Secret, y: Public, *, shape: tuple[int, ...]) -> Operand:
    """A product that is local: factors in a row become one, and one is spread over a sum of products.

    So `rate * (gradient / n + penalty * w)` needs one truncation, not two.
    """
    if y.only == 0:
        return build.public(np.zeros(shape))
    if x.type.kind == "fixed" and y.only is not None and (spread := _spread(build, x, y)) is not None:
        return spread
    product = _single_product(build, x, y, shape=shape)
    if y.only is not None and x.type.kind == "fixed" and product.value != x.value:
        build.factors[product.value] = (broadcast(build, x, shape), y)
    return product


def _spread(build: Builder, x: Secret, y: Public) -> Operand | None:
    if x.value in build.factors:
        base, factor = build.factors[x.value]
        return mul(build, base, Public(np.asarray(factor.only * y.array), y.depth))
    op = build.defining.get(x.value)
    if op is None or op.kind not in {"add", "sub"}:
        return None
    parts = [_unscaled(build, value) for value in op.inputs]
    if not all(part.type.secret for part in parts) or not any(part.value in build.factors for part in parts):
        return None
    scaled = [mul(build, part, y) for part in parts]
    return (add if op.kind == "add" else sub)(build, scaled[0], scaled[1])


def _unscaled(build: Builder, value: int) -> Secret:
    """A term of a sum before it was brought to the sum's scale."""
    op = build.defining.get(value)
    if op is not None and op.kind == "convert" and build.types[op.inputs[0]].kind == "fixed":
        return build.operand(op.inputs[0])
    return build.operand(value)


def _single_product(build: Builder, x: Secret, y: Public, *, shape: tuple[int, ...]) -> Secret:
    if x.type.kind != "fixed":
        x = broadcast(build, x, shape)
        return build.emit("mul", [x, build.encoded(y, kind=x.type.kind)], x.type, shift=0)
    x, words, raised = _with_factor(build, broadcast(build, x, shape), y)
    result = msgspec.structs.replace(x.type, fraction=x.type.fraction + raised)
    if np.all(words == 1):
        return x if raised == 0 else build.emit("rescale", [x], result)
    if np.all(words == -1):
        return neg(build, x) if raised == 0 else neg(build, build.emit("rescale", [x], result))
    factor = build.place(words.view(np.uint64), kind="fixed", fraction=raised)
    return build.emit("mul", [x, factor], result, shift=0)


def _with_factor(build: Builder, x: Secret, y: Public) -> tuple[Secret, np.ndarray[Any, np.dtype[np.int64]], int]:
    """A public factor as integers, the bits that they raise the scale by, and x with room for them."""
    values = np.asarray(y.array, np.float64)
    if not np.all(np.isfinite(values)):
        raise UnsupportedOperation("a secret is multiplied or divided by a public number that is not finite")
    wanted = constant_fraction(values)
    if x.type.fraction + wanted > MOST_FRACTION:
        x = build.usual(x)
    raised = min(wanted, MOST_FRACTION - x.type.fraction)
    exponent = int(np.floor(np.log2(np.max(np.abs(values), initial=2.0**-200))))
    if raised < wanted and exponent + raised < _FEWEST_SIGNIFICANT_BITS:
        # too small a factor for one scale: divide x by a power of two first, which loses nothing of the result
        smaller = msgspec.structs.replace(x.type, fraction=x.type.fraction - exponent)
        shrunk = build.usual(build.emit("rescale", [x], smaller))
        return _with_factor(build, shrunk, Public(np.ldexp(values, -exponent), y.depth))
    return x, np.rint(np.ldexp(values, raised)).astype(np.int64), raised


@rule("div")
def _div(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return divide(build, x, y)


def divide(build: Builder, x: Operand, y: Operand) -> Operand:
    """x / y: by a public number a product with its inverse, by a secret one a product with `reciprocal`."""
    if (x.type.kind if isinstance(x, Secret) else y.type.kind if isinstance(y, Secret) else "") == "int":
        from jali.mpc.lower.division import quotient

        return quotient(build, x, y)
    if isinstance(y, Public):
        values = np.asarray(y.array, np.float64)
        if np.any(values == 0):
            raise UnsupportedOperation("a secret is divided by a public zero")
        return mul(build, x, Public(np.asarray(1.0 / values), y.depth))
    if isinstance(x, Secret) and x.shape == y.shape and not _has_cheaper_inverse(build, y):
        return _quotient(build, x, y)
    return mul(build, x, _inverse(build, y))


def _quotient(build: Builder, x: Secret, y: Secret) -> Secret:
    """x / y, both with as many elements."""
    left, right = (reshape(build, build.usual(o), o.shape or (1,)) for o in (x, y))
    made = build.emit("divide", [left, right], left.type, positive=int(is_positive(build, y)))
    return reshape(build, made, x.shape)


def _has_cheaper_inverse(build: Builder, y: Secret) -> bool:
    return build.made_by(y, "view") is not None or _root(build, y) is not None or _infinite(build, y) is not None


def _inverse(build: Builder, y: Secret) -> Secret:
    """1 / y: of what is repeated once only; of a root as one function; 0 where y was chosen to be infinite."""
    view = build.made_by(y, "view")
    if view is not None:
        inner = _inverse(build, build.operand(view.inputs[0]))
        return build.emit("view", [inner], msgspec.structs.replace(inner.type, shape=y.shape), **view.attributes)
    if (root := _root(build, y)) is not None:
        return function(build, "rsqrt", root)
    if (chosen := _infinite(build, y)) is not None:
        bit, number = chosen
        inverse = _inverse(build, build.operand(number))
        zero = build.encoded(build.public(0.0), kind="fixed", fraction=inverse.type.fraction)
        return build.emit("select", [bit, inverse, zero], inverse.type)
    return function(build, "reciprocal_positive" if is_positive(build, y) else "reciprocal", y)


def _root(build: Builder, y: Secret) -> Secret | None:
    """What y is the square root of."""
    made = build.made_by(y, "function")
    return build.operand(made.inputs[0]) if made is not None and made.attributes["name"] == "sqrt" else None


def _infinite(build: Builder, y: Secret) -> tuple[int, int] | None:
    """The bit and the number of `jnp.where(bit, number, jnp.inf)`, if y is that."""
    op = build.made_by(y, "select")
    constant = build.defining.get(op.inputs[2]) if op is not None else None
    if op is None or constant is None or constant.constant is None or not build.types[op.inputs[1]].secret:
        return None
    words = constant.constant.array.view(np.int64)
    infinite = words.size and np.all(words == round(LARGE * 2**y.type.fraction))
    return (op.inputs[0], op.inputs[1]) if infinite else None


def function(build: Builder, name: str, x: Secret) -> Secret:
    """A named approximation of x, in the usual scale; of what is repeated it is computed once."""
    repeated = build.made_by(x, "view")
    if repeated is not None and repeated.attributes["how"] == "broadcast":
        source = build.operand(repeated.inputs[0])
        if source.type.size < x.type.size:
            once = function(build, name, source)
            return build.emit("view", [once], msgspec.structs.replace(once.type, shape=x.shape), **repeated.attributes)
    flat = reshape(build, build.usual(x), x.shape or (1,))
    return reshape(build, build.emit("function", [flat], flat.type, name=name), x.shape)


def is_positive(build: Builder, x: Secret, *, limit: int = 8) -> bool:
    """Whether x is known not to be negative: made from exp, sigmoid, squares and sums of such."""
    op = build.defining.get(x.value)
    if op is None or limit == 0:
        return False
    if op.kind == "function":
        return op.attributes["name"] in {"exp", "sigmoid", "softplus", "sqrt", "rsqrt", "reciprocal_positive"}
    if op.kind in {"mul", "dot"} and len(set(op.inputs)) == 1:
        return True
    if op.kind in {"view", "sum", "maximum", "convert", "truncate", "rescale", "rows", "window", "cumsum"}:
        return _not_negative(build, op.inputs[0], limit=limit - 1)
    if op.kind in {"add", "mul"}:
        return all(_not_negative(build, value, limit=limit - 1) for value in op.inputs)
    return False


def _not_negative(build: Builder, value: int, *, limit: int) -> bool:
    kind, op = build.types[value], build.defining.get(value)
    if not kind.secret:
        return op is not None and op.constant is not None and bool(np.all(op.constant.array.view(np.int64) >= 0))
    return kind.kind == "bool" or is_positive(build, build.operand(value), limit=limit)


@rule("integer_pow")
def _integer_pow(build: Builder, params: Any, x: Secret) -> Operand:
    return power(build, x, int(params["y"]))


def power(build: Builder, x: Operand, exponent: int) -> Operand:
    """x to a public whole power, by squaring."""
    if exponent < 0:
        inverse = power(build, x, -exponent)
        return divide(build, build.public(1.0), inverse)
    if exponent == 0:
        return build.public(np.ones(x.shape))
    half = power(build, x, exponent // 2) if exponent > 1 else None
    if half is None:
        return x
    square = mul(build, half, half)
    return square if exponent % 2 == 0 else mul(build, square, x)


# -- matrix products ------------------------------------------------------------------------------------------------


@rule("dot_general")
def _dot_general(build: Builder, params: Any, x: Operand, y: Operand) -> Operand:
    return dot_general(build, x, y, dimensions=params["dimension_numbers"])


def dot_general(build: Builder, x: Operand, y: Operand, *, dimensions: Any) -> Operand:
    """jax's general product, as a (batch of) matrix products."""
    (x_sum, y_sum), (x_batch, y_batch) = dimensions
    left, batch, rows = _as_matrices(build, x, (x_batch, x_sum), summed_last=True)
    right, _, columns = _as_matrices(build, y, (y_batch, y_sum), summed_last=False)
    shape = (*left.shape[:-1], right.shape[-1])
    product = matrix_product(build, left, right, shape=shape)
    final = (*batch, *rows, *columns)
    return reshape(build, product, final) if isinstance(product, Secret) else build.public(np.zeros(final))


def _as_matrices(
    build: Builder, x: Operand, dims: tuple[Sequence[int], Sequence[int]], *, summed_last: bool
) -> tuple[Operand, tuple[int, ...], tuple[int, ...]]:
    """x as (batch, free, summed) or (batch, summed, free), and the sizes of the batch and free dimensions."""
    batch, summed = dims
    free = [axis for axis in range(len(x.shape)) if axis not in (*batch, *summed)]
    order = (*batch, *free, *summed) if summed_last else (*batch, *summed, *free)
    sizes = [[x.shape[axis] for axis in axes] for axes in (batch, free, summed)]
    b, f, s = (int(np.prod(part, dtype=np.int64)) for part in sizes)
    matrix = (f, s) if summed_last else (s, f)
    shape = (b, *matrix) if batch else matrix
    batch_sizes, free_sizes = tuple(sizes[0]), tuple(sizes[1])
    if isinstance(x, Secret):
        return reshape(build, transpose(build, x, order), shape), batch_sizes, free_sizes
    lead = tuple(range(x.depth))
    moved = x.array.transpose(*lead, *(axis + x.depth for axis in order))
    return Public(moved.reshape((*moved.shape[: x.depth], *shape)), x.depth), batch_sizes, free_sizes


def matrix_product(build: Builder, x: Operand, y: Operand, *, shape: tuple[int, ...]) -> Operand:
    """x @ y for matrices or batches of them; with a public one it is local."""
    if isinstance(x, Secret) and isinstance(y, Secret):
        return _secret_product(build, "dot", x, y, shape=shape)
    secret, public = (x, y) if isinstance(x, Secret) else (y, x)
    if not isinstance(secret, Secret) or not isinstance(public, Public) or public.only == 0:
        return build.public(np.zeros(shape))
    kind = secret.type.kind
    if kind == "fixed":
        secret, words, raised = _with_factor(build, secret, public)
        factor = build.place(words.view(np.uint64), kind=kind, fraction=raised, whole=True)
    else:
        raised = 0
        factor = build.place(public.array.astype(np.int64).view(np.uint64), kind=kind, whole=True)
    result = ValueType(shape=shape, kind=kind, fraction=secret.type.fraction + raised)
    sides: list[Operand | int] = [secret, factor] if secret is x or isinstance(x, Secret) else [factor, secret]
    return build.emit("dot", sides, result, shift=0)
