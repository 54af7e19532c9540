# SPDX-License-Identifier: Apache-2.0
"""Random numbers that nobody knows, for functions that run on an mpc device.

The parties draw them jointly: each number is the sum (the exclusive or) of parts of which every party lacks one. In
contrast to jax.random, whose keys and numbers are public constants of the program, they differ from run to run, and
from one iteration of a loop to the next. Draw whole arrays: under `jax.vmap` and within `jax.checkpoint` a call counts
once, or twice, as jax sees it.

Run by jax itself, on plain arrays, the same functions draw from the operating system.
"""

from __future__ import annotations

from functools import cache
from math import pi, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.extras import need
from jali.crypto.randomness import random_words

if TYPE_CHECKING:
    from collections.abc import Callable

    Shape = int | tuple[int, ...]

__all__ = ["BITS", "UNIFORM", "bernoulli", "bits", "normal", "uniform"]

BITS = "jali_random_bits"
UNIFORM = "jali_random_uniform"
"""The names under which the tracer finds the two draws that all others are made of."""

_LEAST = 2.0**-18
_LIFT = 2.0**-14  # keeps -2 log(u) above 0 where u is 1


def bits(shape: Shape) -> Any:
    """Independent fair bits.

    Security: each party lacks one summand of every bit, under every protocol.
    Cost: local.
    """
    return _draw(BITS, _dims(shape))


def uniform(shape: Shape, *, low: float = 0.0, high: float = 1.0) -> Any:
    """Independent numbers, uniform in [low, high): as many steps apart as the program has fraction bits.

    Cost: 18 bits become numbers, which takes a round or two.
    """
    unit = _draw(UNIFORM, _dims(shape))
    return unit if (low, high) == (0.0, 1.0) else low + (high - low) * unit


def bernoulli(probability: Any, shape: Shape) -> Any:
    """Independent bits that are 1 with a probability, public or secret. Cost: that of `uniform` and a comparison."""
    return uniform(shape) < probability


def normal(shape: Shape, *, mean: float = 0.0, deviation: float = 1.0) -> Any:
    """Independent normal numbers, cut at 5 deviations by the resolution of 18 fraction bits.

    Cost: a logarithm, a square root, a sine and a cosine for every two numbers.
    References: Box and Muller 1958, A note on the generation of random normal deviates.
    """
    jnp = need("jax.numpy", extra="jax")
    dims = _dims(shape)
    count = -(-prod(dims) // 2)
    radius = jnp.sqrt(_LIFT - 2 * jnp.log(uniform((count,)) + _LEAST))
    angle = 2 * pi * uniform((count,))
    both = jnp.concatenate([radius * jnp.cos(angle), radius * jnp.sin(angle)])
    return mean + deviation * both[: prod(dims)].reshape(dims)


def _dims(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _draw(name: str, shape: tuple[int, ...]) -> Any:
    return _drawing(name, shape)()


@cache
def _drawing(name: str, shape: tuple[int, ...]) -> Callable[[], Any]:
    """A function that the tracer knows by its name; what it does is for jax itself."""
    jax = need("jax", extra="jax")
    io_callback = need("jax.experimental", extra="jax").io_callback
    dtype = np.dtype(np.bool_ if name == BITS else np.float32)

    def drawn() -> Any:
        words = random_words(shape)
        top = words >> np.uint64(63) if name == BITS else (words >> np.uint64(46)) * _LEAST
        return np.asarray(top, dtype)

    def draw() -> Any:
        return io_callback(drawn, jax.ShapeDtypeStruct(shape, dtype))

    draw.__name__ = name
    result: Callable[[], Any] = jax.jit(draw)
    return result
