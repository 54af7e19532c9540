# SPDX-License-Identifier: Apache-2.0
"""Every fixed-point function keeps the domain and the error it declares, and every program agrees with jax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import special

from jali.core.errors import FixedPointRangeError
from jali.mpc.engine import estimate_program
from jali.mpc.fixed import decode, encode
from jali.mpc.functions.basis import functions
from jali.mpc.plain import PlainProtocol
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive
from tests.mpc.corpus import BASICS, agree, run_program_under
from tests.mpc.roles import SECURE, run_lockstep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.functions.basis import Function
    from jali.mpc.rounds import Round

    Real = Callable[[NDArray[np.float64]], NDArray[np.float64]]

FRACTION = 18
UNIT = 2.0**-FRACTION
REFERENCE: dict[str, Real] = {
    "acos": np.arccos,
    "atan": np.arctan,
    "atan_unit": np.arctan,
    "bessel_i0e": lambda x: np.asarray(special.i0e(x)),
    "bessel_i1e": lambda x: np.asarray(special.i1e(x)),
    "cos": np.cos,
    "digamma": lambda x: np.asarray(special.digamma(x)),
    "erf": lambda x: np.asarray(special.erf(x)),
    "erf_inv": lambda x: np.asarray(special.erfinv(x)),
    "exp": np.exp,
    "expm1": np.expm1,
    "lgamma": lambda x: np.asarray(special.gammaln(x)),
    "log": np.log,
    "log1p": np.log1p,
    "reciprocal": lambda x: 1 / x,
    "reciprocal_positive": lambda x: 1 / x,
    "reciprocal_unit": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "rsqrt_unit": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: np.asarray(special.expit(x)),
    "sin": np.sin,
    "softplus": lambda x: np.logaddexp(0, x),
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}


def grid(function: Function, *, size: int) -> NDArray[np.uint64]:
    """Ring elements over the domain: evenly, by magnitude, at its ends, and around powers of two."""
    low, high = max(function.low, -(2.0**43)), min(function.high, 2.0**44)
    powers = 2.0 ** np.arange(-18, 44)
    parts = [
        np.linspace(max(low, -20), min(high, 20), size),
        np.exp(np.linspace(np.log(UNIT), np.log(high), size)),
        *(powers + d for d in (-UNIT, 0, UNIT)),
        np.array([low, low + UNIT, high - UNIT, 0.0, UNIT]),
        *(np.array([end]) + np.arange(-3, 4) * UNIT for end in (-13.17, -11.5, -10.5, -5.6, 5.6, 10.5, 11.5)),
    ]
    x = np.concatenate(parts)
    if function.low < 0 or function.name == "reciprocal":
        x = np.concatenate([x, -x])
    size_of = np.abs(x) if function.name == "reciprocal" else x
    x = x[(size_of >= function.low) & (size_of <= function.high - UNIT) & (np.abs(x) < 2.0**44 - UNIT)]
    words: NDArray[np.uint64] = encode(x, kind="fixed", fraction=FRACTION)
    signed = words.view(np.int64)
    inside = (np.abs(signed) if function.name == "reciprocal" else signed) >= function.low * 2**FRACTION
    return np.asarray(words[inside])


def excess(function: Function, words: NDArray[np.uint64], found: NDArray[np.uint64]) -> float:
    """Greatest error in units of what is allowed."""
    truth = REFERENCE[function.name](decode(words, kind="fixed", fraction=FRACTION))
    error = np.abs(decode(found, kind="fixed", fraction=FRACTION) - truth)
    return float(np.max(error / (function.absolute + function.relative * np.abs(truth))))


def test_every_function_has_a_reference() -> None:
    assert sorted(functions()) == sorted(REFERENCE)


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_a_function_keeps_its_promise(name: str) -> None:
    function = functions()[name]
    words = grid(function, size=8000)
    side: Any = PlainProtocol()
    found: Any = drive(function.evaluate(side, side.public(words), fraction=FRACTION), {})
    assert words.size > 5000
    assert excess(function, words, found.data) <= 1


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_a_function_keeps_its_promise_under(protocol: str, name: str) -> None:
    function = functions()[name]
    words = grid(function, size=60)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        x = yield from side.input(words if side.role == 0 else None, 0, words.shape)
        y = yield from function.evaluate(side, x, fraction=FRACTION)
        return (yield from side.reveal(y, [0]))

    found = run_lockstep(protocol, operation, seed=3)[0]
    assert excess(function, words, found) <= 1


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("exp", 30.5),
        ("log", 0.0),
        ("log", -1.0),
        ("sqrt", -1.0),
        ("rsqrt", -1.0),
        ("reciprocal_positive", -1.0),
        ("acos", 1.5),
        ("atan_unit", -1.5),
        ("bessel_i0e", 2.0**20),
        ("bessel_i1e", -(2.0**20)),
        ("cos", 2.0**12),
        ("sin", -(2.0**12) - 1),
        ("digamma", 0.0),
        ("expm1", 30.5),
        ("lgamma", -0.5),
        ("log1p", -1.0),
        ("reciprocal_unit", 0.5),
        ("rsqrt_unit", 4.0),
    ],
)
def test_an_argument_outside_the_domain_is_loud_in_plain(name: str, bad: float) -> None:
    side: Any = PlainProtocol()
    x = side.public(encode(np.array([1.0, bad]), kind="fixed", fraction=FRACTION))
    with pytest.raises(FixedPointRangeError, match=r"J1310 .*1 of 2 arguments"):
        drive(functions()[name].evaluate(side, x, fraction=FRACTION), {})


@pytest.mark.parametrize("name", ["reciprocal", "reciprocal_positive", "rsqrt", "sqrt"])
@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_zero_gives_zero_so_that_guarded_divisions_work(protocol: str, name: str) -> None:
    words = encode(np.zeros(3), kind="fixed", fraction=FRACTION)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        x = yield from side.input(words if side.role == 0 else None, 0, words.shape)
        y = yield from functions()[name].evaluate(side, x, fraction=FRACTION)
        return (yield from side.reveal(y, [0]))

    found = run_lockstep(protocol, operation)[0]
    assert np.max(np.abs(found.view(np.int64))) <= 1


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
@pytest.mark.parametrize("name", sorted(BASICS))
def test_a_program_agrees_with_jax(protocol: str, name: str) -> None:
    agree(name, run_program_under(protocol, name))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_columns_of_any_size_are_sorted(size: int) -> None:
    import jax.numpy as jnp

    from jali.mpc.trial import dry_run

    x = np.random.default_rng(size).integers(-9, 9, (size, 40))
    sorted_, first = dry_run(lambda v: (jnp.sort(v, axis=0), jnp.argmax(v, axis=0)), x)
    assert sorted_.absolute == first.absolute == 0


@pytest.mark.parametrize("protocol", SECURE)
def test_the_estimate_prices_a_program(protocol: str) -> None:
    from jali.mpc.engine import compile_function
    from jali.mpc.ir import ValueType

    kind = ValueType(shape=(100,), kind="fixed", fraction=FRACTION)
    one = estimate_program(compile_function(lambda x, y: x * y, [kind, kind]), protocol)
    two = estimate_program(compile_function(lambda x, y: (x * y, x * (y + 1)), [kind, kind]), protocol)
    assert 0 < one.rounds == two.rounds
    assert sum(two.bytes_sent.values()) == 2 * sum(one.bytes_sent.values()) > 0
