# SPDX-License-Identifier: Apache-2.0
"""Fixed-point functions, written once over the contract for all protocols and all roles.

A function takes and gives a share with the same number of fraction bits. It declares its domain and its greatest
error; tests measure both on dense grids. Outside the domain the `plain` protocol raises and the others give garbage
(never a leak), so `jali.mpc.dry_run` on sample data is the way to find out.

Three ideas carry all of them:

* comparisons with public thresholds share what is opened and dealt, so many cost little (`at_least` of the contract);
* what depends on the interval (a scale) is then a *local* linear map of those bits (`weigh`);
* a smooth function on a bounded interval is a one-time table (`jali.mpc.functions.tables`), local once its argument is
  open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali import kernels
from jali.core.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.contract import Arithmetic, MpcProtocol
    from jali.mpc.rounds import Round

    Evaluate = Callable[..., Generator[Round, Any, Arithmetic]]

__all__ = ["Function", "call", "constant", "functions", "polynomial", "weigh"]


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """What a function promises with 18 fraction bits.

    `low` and `high` bound the domain; the error is at most `absolute + relative |result|`.
    """

    name: str
    low: float
    high: float
    absolute: float
    relative: float
    evaluate: Evaluate
    note: str = ""


def functions() -> dict[str, Function]:
    """All functions by name."""
    from jali.mpc.functions.exponential import FUNCTIONS as EXPONENTIAL
    from jali.mpc.functions.power import FUNCTIONS as POWER
    from jali.mpc.functions.special import FUNCTIONS as SPECIAL
    from jali.mpc.functions.trigonometric import FUNCTIONS as TRIGONOMETRIC

    return {function.name: function for function in (*EXPONENTIAL, *POWER, *SPECIAL, *TRIGONOMETRIC)}


def call(name: str, protocol: MpcProtocol, x: Arithmetic, *, fraction: int) -> Generator[Round, Any, Arithmetic]:
    """A function by its name.

    Raises: InternalError if there is none of that name.
    """
    function = functions().get(name)
    if function is None:
        raise InternalError(f"no fixed-point function is called {name!r}")
    return function.evaluate(protocol, x, fraction=fraction)


def weigh(protocol: MpcProtocol, bits: Arithmetic, *, values: Sequence[Sequence[int]]) -> Arithmetic:
    """Values that depend on the interval: `values[k]` where exactly the first k of K thermometer bits are 1. Local.

    Shapes: bits (K, *shape); values K + 1 rows of J integers; the result is (J, *shape).
    """
    table = np.array(values, dtype=np.int64).view(np.uint64)  # (K + 1, J)
    steps = np.ascontiguousarray((table[1:] - table[:-1]).T)  # telescoping sum: exact in the ring
    shape = (steps.shape[0], *bits.shape[1:])
    weighted = protocol.linear(
        lambda b: kernels.matmul(steps, np.ascontiguousarray(b).reshape(b.shape[0], -1)).reshape(shape),
        bits,
        shape=shape,
    )
    return protocol.add_public(weighted, table[0].reshape(-1, *(1,) * (len(shape) - 1)))


def polynomial(
    protocol: MpcProtocol, u: Arithmetic, *, coefficients: Sequence[float], fraction: int
) -> Generator[Round, Any, Arithmetic]:
    """Sum of c_i u^i, for |u| <= 1 with `fraction` <= 28 bits.

    Intermediate numbers stay below 2^(fraction + 28 + 2), since the coefficients are at most 2 in size.
    Cost: log2(degree) rounds of products, and one truncation.
    """
    powers = yield from powers_of(protocol, u, degree=len(coefficients) - 1, fraction=fraction)
    scale = 26
    weights = [np.uint64(round(c * 2**scale) % 2**64) for c in coefficients[1:]]
    total = protocol.linear(lambda *p: _dot(weights, p), *powers, shape=u.shape)
    constant = np.uint64(round(coefficients[0] * 2 ** (scale + fraction)) % 2**64)
    return (yield from protocol.truncate(protocol.add_public(total, np.asarray(constant)), scale))


def powers_of(
    protocol: MpcProtocol, u: Arithmetic, *, degree: int, fraction: int
) -> Generator[Round, Any, list[Arithmetic]]:
    """u, u^2, ..., u^degree: each round multiplies the highest power known by all that are known."""
    powers = [u]
    while len(powers) < degree:
        powers = yield from settled(protocol, *powers)
        known = powers[: degree - len(powers)]
        count, shape = len(known), (len(known), *u.shape)
        left = protocol.linear(lambda *p: np.stack(p), *known, shape=shape)
        right = protocol.linear(lambda a, count=count: np.repeat(a[np.newaxis], count, axis=0), powers[-1], shape=shape)
        product = yield from protocol.mul(left, right, shift=fraction)
        powers += [part(protocol, product, index) for index in range(count)]
    return powers


def settled(protocol: MpcProtocol, *shares: Arithmetic) -> Generator[Round, Any, list[Arithmetic]]:
    """Shares that are used several times, in the form in which that is cheapest, if the protocol has several."""
    settle = getattr(protocol, "settle", None)
    return list(shares) if settle is None else (yield from settle(*shares))


def part(protocol: MpcProtocol, x: Arithmetic, index: int) -> Arithmetic:
    """x[index]; local."""
    return protocol.linear(lambda a: a[index], x, shape=x.shape[1:])


def constant(value: int) -> NDArray[np.uint64]:
    """A signed number as a ring element that adds to any shape."""
    return np.asarray(np.int64(value).view(np.uint64))


def scaled(protocol: MpcProtocol, x: Arithmetic, factor: int) -> Arithmetic:
    """x times a public ring element; local."""
    word = np.uint64(factor % 2**64)
    return protocol.linear(lambda a: a * word, x, shape=x.shape)


def minus(protocol: MpcProtocol, x: Arithmetic, y: Arithmetic) -> Arithmetic:
    """x - y; local."""
    return protocol.linear(np.subtract, x, y, shape=x.shape)


def check_domain(protocol: MpcProtocol, x: Arithmetic, *, low: int, high: int, what: str) -> None:
    """Let the protocol that sees values refuse those outside [low, high); the others cannot."""
    check = getattr(protocol, "check_domain", None)
    if check is not None:
        check(x, low=low, high=high, what=what)


def loose(protocol: MpcProtocol) -> MpcProtocol:
    """The protocol for numbers that may wrap around because they are multiplied by zero wherever they do."""
    unchecked: MpcProtocol = getattr(protocol, "unchecked", protocol)
    return unchecked


def _dot(weights: Sequence[np.uint64], arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    total = arrays[0] * weights[0]
    for weight, array in zip(weights[1:], arrays[1:], strict=True):
        total += array * weight
    return total
