# SPDX-License-Identifier: Apache-2.0
"""Programs as data: what they print, what their digest depends on, and that they survive the wire."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from jax import lax

from jali.mpc.ir import Constant, Program, ValueType, render
from jali.mpc.lower.trace import trace

FIXED = ValueType(shape=(4,), kind="fixed", fraction=18)


def decay(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, a: a * 0.5 + x * i, x)


def test_a_program_prints_one_line_an_operation_with_its_source() -> None:
    program = trace(lambda x, y: jnp.where(x < y, x * y, 0.0), [FIXED, FIXED])
    lines = render(program).splitlines()
    assert lines[0] == "<lambda>(%0: secret fixed18[4], %1: secret fixed18[4])"
    assert [line.split(" : ")[0].strip() for line in lines[1:-1]] == [
        "%2 = less(%0, %1)",
        "%3 = mul(%0, %1, shift=18)",
        "%4 = constant()",
        "%5 = select(%2, %3, %4)",
    ]
    assert all("# test_ir.py:" in line for line in lines[1:-1] if "constant" not in line)
    assert lines[-1] == "  return %5"


def test_a_loop_prints_its_body_indented() -> None:
    text = str(trace(decay, [FIXED]))
    assert "loop(" in text
    assert "count=3" in text
    assert "\n    body(" in text


def test_the_digest_depends_on_what_is_computed() -> None:
    one = trace(lambda x: x * 2.5, [FIXED])
    other_constant = trace(lambda x: x * 2.25, [FIXED])
    other_shape = trace(lambda x: x * 2.5, [msgspec.structs.replace(FIXED, shape=(5,))])
    other_scale = trace(lambda x: x * 2.5, [FIXED], fraction=16)
    digests = {p.digest() for p in (one, other_constant, other_shape, other_scale)}
    assert len(digests) == 4
    assert all(len(d) == 32 for d in digests)


def test_the_digest_does_not_depend_on_where_it_is_written() -> None:
    first = trace(lambda x: x * 2.5 + 1, [FIXED])
    second = trace(lambda x: x * 2.5 + 1, [FIXED])
    assert first.ops[0].source != second.ops[0].source or first.ops[-1].source != second.ops[-1].source
    assert first.digest() == second.digest()


def test_a_program_survives_the_wire() -> None:
    program = trace(decay, [FIXED])
    again = Program.decode(program.encode())
    assert again.digest() == program.digest()
    assert str(again) == str(program)


def test_bytes_that_are_no_program_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Program.decode(msgspec.msgpack.encode({"name": "x"}))


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint64).reshape(2, 3), np.array([True, False]), np.uint64(7)])
def test_a_constant_keeps_its_array(array: np.ndarray) -> None:
    kept = Constant.of(np.asarray(array)).array
    assert kept.shape == np.shape(array)
    assert np.array_equal(kept, array)
