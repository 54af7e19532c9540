# SPDX-License-Identifier: Apache-2.0
"""What devices use: sharing, running, opening; and that a secret array gives nothing away."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import pytest

from jali.core.errors import FixedPointRangeError, NotTraceable, SecretUse, UnsupportedOperation
from jali.mpc.engine import (
    SecretArray,
    compile_function,
    execute,
    reveal_outputs,
    share_inputs,
    type_of,
)
from jali.mpc.ir import ValueType
from jali.mpc.plain import PlainProtocol
from jali.mpc.rounds import drive
from tests.mpc.roles import SECURE, run_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from jali.mpc.rounds import Round

FIXED = ValueType(shape=(2,), kind="fixed", fraction=18)


def secret(values: Any) -> SecretArray:
    side: Any = PlainProtocol()
    (array,) = drive(share_inputs(side, [values], owner=0, types=[type_of(values)]), {})
    return array


@pytest.mark.parametrize("use", [bool, list, lambda x: x == 0, lambda x: x != 1, hash, pickle.dumps, float])
def test_a_secret_array_refuses_to_be_a_value(use: Callable[[Any], Any]) -> None:
    with pytest.raises((SecretUse, TypeError)):
        use(secret(np.array([12345.0])))


def test_a_secret_array_shows_its_type_only() -> None:
    array = secret(np.array([12345.0, 6.0]))
    assert repr(array) == "<secret fixed18[2]>"
    assert array.shape == (2,)
    assert array.dtype == np.float64
    assert "12345" not in repr(array.share)


@pytest.mark.parametrize(
    "values", [np.array([1.5, -2.25]), np.array([[1], [-7]]), np.array([True, False]), 3.0, -4, True, np.zeros((0, 2))]
)
def test_values_come_back_as_they_went_in(values: Any) -> None:
    side: Any = PlainProtocol()
    (opened,) = drive(reveal_outputs(side, [secret(values)], to=[0]), {})
    assert opened is not None
    assert np.array_equal(opened, values)
    assert opened.shape == np.shape(values)
    assert opened.dtype.kind == np.asarray(values).dtype.kind


def test_execute_names_the_input_that_has_another_type() -> None:
    program = compile_function(lambda x: x + 1, [FIXED])
    side: Any = PlainProtocol()
    with pytest.raises(NotTraceable, match=r"expected secret fixed18\[2\] as input 0, found secret int\[2\]"):
        execute(program, side, [secret(np.array([1, 2]))], streams={})


def test_an_input_of_another_shape_is_named() -> None:
    side: Any = PlainProtocol()
    with pytest.raises(NotTraceable, match=r"expected an input of shape \(2,\), found \(3,\)"):
        drive(share_inputs(side, [np.ones(3)], owner=0, types=[FIXED]), {})


@pytest.mark.parametrize("bad", [np.array([np.nan, 1.0]), np.array([np.inf, 1.0]), np.array([2.0**50, 1.0])])
def test_numbers_that_do_not_fit_are_refused_without_showing_them(bad: Any) -> None:
    side: Any = PlainProtocol()
    with pytest.raises(FixedPointRangeError, match="1 of 2") as caught:
        drive(share_inputs(side, [bad], owner=0, types=[FIXED]), {})
    assert "1125899906842624" not in str(caught.value)


def test_text_has_no_secret_form() -> None:
    with pytest.raises(UnsupportedOperation, match="numbers and booleans"):
        type_of(np.array(["a"]))


@pytest.mark.parametrize("protocol", SECURE)
def test_a_program_runs_over_streams_with_one_thread_a_role(protocol: str) -> None:
    x, y = np.arange(6.0).reshape(3, 2), np.array([True, False, True])
    types = [type_of(x), type_of(y)]
    program = compile_function(lambda a, b: jnp.where(b, a @ a.T, 0).sum(1), types)

    def operation(side: Any) -> Generator[Round, Any, Any]:
        from jali.mpc.program import run_program

        first = yield from share_inputs(side, [x] if side.role == 0 else None, owner=0, types=types[:1])
        second = yield from share_inputs(side, [y] if side.role == 1 else None, owner=1, types=types[1:])
        shares = yield from run_program(program, side, [first[0].share, second[0].share])
        return (yield from reveal_outputs(side, [SecretArray(shares[0], program.output_types[0])], to=[1]))

    results, _ = run_threads(protocol, operation)
    assert results[0] == [None]
    np.testing.assert_allclose(results[1][0], np.where(y, x @ x.T, 0).sum(1), atol=1e-4)
