# SPDX-License-Identifier: Apache-2.0
"""Rules: sums over windows and additions at public places. All are local.

A scatter-add is a sum of segments: the updates are put in the order of their places, and each place takes the
difference of two running sums, which is exact in the ring. So no matrix of the map is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import SecretIndex
from jali.core.extras import need
from jali.mpc.lower import Builder, Operand, Public, Secret, as_secret, rule
from jali.mpc.lower_arithmetic import add, sub, sum_over
from jali.mpc.lower_patches import patches
from jali.mpc.lower_public import by_jax
from jali.mpc.lower_views import reshape

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__: list[str] = []


@rule("reduce_window_sum")
def _reduce_window_sum(build: Builder, params: Any, x: Secret) -> Operand:
    """The elements of every window side by side, then their sum."""
    window = tuple(params["window_dimensions"])
    cut = patches(
        build,
        x,
        window,
        strides=tuple(params["window_strides"]),
        padding=tuple(params["padding"]),
        base_dilation=tuple(params["base_dilation"]),
        window_dilation=tuple(params["window_dilation"]),
    )
    rank = len(window)
    return sum_over(build, as_secret(cut), tuple(range(rank, 2 * rank)))


@rule("scatter-add", "scatter-sub")
def _scatter_add(build: Builder, params: Any, target: Operand, index: Operand, updates: Operand) -> Operand:
    """Target plus (or minus) updates at public places; places outside are dropped, as jax does.

    Raises: SecretIndex if the places are secret.
    """
    equation = params["__equation__"]
    if isinstance(index, Secret):
        raise SecretIndex("a secret is used as an index: compare with all positions instead, jnp.arange(n) == index")
    if isinstance(updates, Public):
        zero = build.public(np.zeros(target.shape, updates.array.dtype))
        (added,) = by_jax(build, equation.primitive, equation.params, operands=[zero, index, updates])
        return add(build, target, added)
    if not updates.type.size:
        return target
    places = _places(build, equation, index, updates.shape, target.shape)
    sums = _segment_sums(build, updates, places, target.shape)
    return (sub if equation.primitive.name == "scatter-sub" else add)(build, target, sums)


def _places(
    build: Builder, equation: Any, index: Public, updates: tuple[int, ...], target: tuple[int, ...]
) -> NDArray[np.int64]:
    """Where each update goes: the number of the element of the target, and their count for those that are dropped.

    The derivative of a scatter-add gathers; applied to element numbers it says where each update went.
    Shapes: (*iterations, number of updates).
    """
    jax = need("jax", extra="jax")
    size = int(np.prod(target, dtype=np.int64))
    numbers = jax.numpy.arange(1.0, size + 1).reshape(target)
    lead = index.array.shape[: build.depth]

    def found(places: NDArray[Any]) -> NDArray[np.int64]:
        def scattered(values: Any) -> Any:
            return equation.primitive.bind(
                jax.numpy.zeros(target), jax.numpy.asarray(places), values, **equation.params
            )

        (gathered,) = jax.linear_transpose(scattered, jax.ShapeDtypeStruct(updates, numbers.dtype))(numbers)
        numbered: NDArray[np.int64] = np.abs(np.rint(np.asarray(gathered))).astype(np.int64)
        return numbered.reshape(-1)

    rows = index.array.reshape((int(np.prod(lead, dtype=np.int64)), *index.shape))
    each = np.stack([found(row) for row in rows])
    return np.where(each == 0, size, each - 1).reshape((*lead, -1))


def _segment_sums(build: Builder, x: Secret, places: NDArray[np.int64], target: tuple[int, ...]) -> Secret:
    """Sums of the elements of x that have the same place.

    Shapes: x has as many elements as `places` in its last axis; the result has the shape of the target.
    """
    size = int(np.prod(target, dtype=np.int64))
    order = np.argsort(places, axis=-1, kind="stable")
    ranked = np.take_along_axis(places, order, axis=-1)
    flat = ranked.reshape(-1, ranked.shape[-1])
    ends = np.stack([np.searchsorted(row, np.arange(size), side="right") for row in flat])
    starts = np.stack([np.searchsorted(row, np.arange(size), side="left") for row in flat])
    lead = places.shape[:-1]
    if np.array_equal(ends, starts + 1):  # one update each: nothing to add
        picked = np.take_along_axis(order.reshape(flat.shape), starts, axis=-1)
        return reshape(build, _elements(build, reshape(build, x, (-1,)), picked.reshape((*lead, size))), target)
    sorted_ = _elements(build, reshape(build, x, (-1,)), order)
    total = build.emit("cumsum", [sorted_], sorted_.type, axis=0, reverse=0)
    padded = msgspec.structs.replace(total.type, shape=(total.shape[0] + 1,))
    running = build.emit("view", [total], padded, how="pad", low=(1,), interior=(0,))
    upper, lower = (_elements(build, running, index.reshape((*lead, size))) for index in (ends, starts))
    return reshape(build, as_secret(sub(build, upper, lower)), target)


def _elements(build: Builder, x: Secret, index: NDArray[np.int64]) -> Secret:
    """Elements of a vector at public places."""
    result = msgspec.structs.replace(x.type, shape=(index.shape[-1],))
    words = np.ascontiguousarray(index, np.int64).view(np.uint64)
    return build.emit("rows", [x, build.place(words, kind="int", whole=True)], result, row=1)
