# SPDX-License-Identifier: Apache-2.0
"""Loops that stop when secrets say so: all run them to their bound, and a value stays once its loop stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jali.core.errors import NotTraceable
from jali.core.extras import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["bounded_while"]

T = TypeVar("T")


def bounded_while(condition: Callable[[T], Any], body: Callable[[T], T], init: T, *, most: int) -> T:
    """`jax.lax.while_loop` for a condition on secrets: `value = body(value)` while it holds, but at most `most` times.

    The body runs `most` times whatever the data are, and its result is dropped once the condition was false. A value
    for which the condition still holds at the end needed more: `condition(result)` tells, and is a secret as well. The
    function is ordinary jax code, so it does the same outside a device.

    Security: the number of iterations that counted stays secret; `most` is public.
    Cost: `most` times those of the condition, of the body and of a choice for each array of the value.
    Raises: NotTraceable if `most` is no positive number that everybody knows.

    Example:
    >>> import jax.numpy as jnp
    >>> def halve(x):  # until below 1
    ...     return bounded_while(lambda y: jnp.max(y) >= 1, lambda y: y / 2, x, most=20)
    >>> halve(jnp.array([5.0, 3.0])).tolist()
    [0.625, 0.375]
    """
    bound: object = most
    if not isinstance(bound, int) or bound < 1:
        raise NotTraceable(f"bounded_while: expected a positive whole number as most, found {most!r}")
    jax = need("jax", extra="jax")

    def step(carry: tuple[Any, T], _: None) -> tuple[tuple[Any, T], None]:
        running, value = carry
        running = jax.numpy.logical_and(running, condition(value))
        following = jax.tree_util.tree_map(lambda new, old: jax.numpy.where(running, new, old), body(value), value)
        return (running, following), None

    arrays = jax.tree_util.tree_map(jax.numpy.asarray, init)
    (_, result), _ = jax.lax.scan(step, (jax.numpy.asarray(True), arrays), None, length=most)
    value: T = result
    return value
