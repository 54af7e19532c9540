# SPDX-License-Identifier: Apache-2.0
"""Tracing: numpy functions, public inputs, structures; and that each mistake is met with what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jali.core.errors import ExtraMissing, NotTraceable, SecretControl, SecretIndex, UnsupportedOperation
from jali.core.tree import flatten
from jali.mpc import bounded_while
from jali.mpc.engine import compile_function
from jali.mpc.ir import ValueType
from jali.mpc.lower.trace import trace
from jali.mpc.trial import dry_run

if TYPE_CHECKING:
    from collections.abc import Callable

X = ValueType(shape=(3,), kind="fixed", fraction=18)
WHOLE = ValueType(shape=(3,), kind="int")


@pytest.mark.parametrize(
    ("function", "error", "advice"),
    [
        (lambda x: 1 if x.sum() > 0 else 0, SecretControl, "jnp.where"),
        (lambda x: x[x > 0], SecretControl, "jnp.where"),
        (lambda x: lax.while_loop(lambda a: a.sum() < 10, lambda a: a * 2, x), SecretControl, "bounded_while"),
        (lambda x: np.sort(x + 1), NotTraceable, "jnp instead of np"),
        (lambda x: [0] * int(x[0]), NotTraceable, "must be public"),
        (lambda x: x @ jnp.ones((7, 7)), NotTraceable, "contracting dimensions"),
        (lambda x: jax.scipy.special.zeta(x + 1, 2.0), UnsupportedOperation, "'zeta'"),
        (lambda x: lax.bitcast_convert_type(x + 1, jnp.int64), UnsupportedOperation, "no bit pattern"),
        (lambda x: lax.linalg.qr(x[:, None] * x, pivoting=True)[0], UnsupportedOperation, "pivoting=False"),
        (lambda x: jnp.linalg.svd(x[:, None] * x[:2]), UnsupportedOperation, "full_matrices=False"),
        (lambda x: jnp.fft.fft(x + 1), UnsupportedOperation, "x.real and x.imag"),
        (lambda x: lax.scan(lambda c, r: (c * r, r), 1j * x[0], x)[0].real, UnsupportedOperation, "'scan'"),
        (lambda x: lax.cond(x[0] > 0, lambda z: z, jnp.conj, 1j * x).real, UnsupportedOperation, "'cond'"),
        (lambda x: jnp.sqrt(jnp.fft.fft(x)).real, UnsupportedOperation, "complex secrets"),
        (lambda x: x / 0.0, UnsupportedOperation, "public zero"),
        (lambda x: x * jnp.inf, UnsupportedOperation, "not finite"),
        (lambda x: x + 1j, UnsupportedOperation, "complex"),
        (lambda x: x.astype(int) // 0, UnsupportedOperation, "public zero"),
        (lambda x: x.astype(int) // 2**40, UnsupportedOperation, "shift them first"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_way_out(
    function: Callable[..., Any], error: type[Exception], advice: str
) -> None:
    with pytest.raises(error) as caught:
        trace(function, [X])
    assert advice in str(caught.value)
    assert getattr(caught.value, "source", "").startswith("test_trace.py:")


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (lambda x, i: jnp.tile(x, 10_000_000)[i], "in all, and at most"),
        (lambda x, i: jnp.zeros(99).at[jnp.stack([i] * 65)].set(1.0), "unique_indices=True"),
    ],
)
def test_a_secret_index_that_costs_too_much_is_refused_with_a_cheaper_way(
    function: Callable[..., Any], advice: str
) -> None:
    with pytest.raises(SecretIndex, match=r"jax\.lax\.sort.*test_trace\.py") as caught:
        trace(function, [X, ValueType(shape=(), kind="int")])
    assert advice in str(caught.value)


def test_places_that_are_said_to_differ_are_written_at_once() -> None:
    def write(x: Any, i: Any) -> Any:
        return x.at[jnp.stack([i, i + 1])].set(1.0, unique_indices=True)

    index = ValueType(shape=(), kind="int")
    program = trace(write, [ValueType(shape=(9,), kind="fixed", fraction=18), index])
    (deviation,) = dry_run(write, np.arange(9.0), np.int64(3))
    assert deviation.absolute == 0
    assert [op.kind for op in program.ops].count("mul") == 1


@pytest.mark.parametrize(
    ("function", "bits"),
    [
        (jnp.sort, 62),
        (lambda x: jnp.sort(jax.nn.sigmoid(x)), 19),
        (lambda x: jnp.sort(-jnp.where(x > 0, jax.nn.sigmoid(x), 0.25)), 19),
        (lambda x: jnp.sort((x > 0).astype(float)), 19),
        (lambda x: lax.sort((x > 0, x > 1), num_keys=2)[0], 1),
        (lambda x: lax.sort((x > 0, x), num_keys=2)[0], 62),
        (lambda x: jnp.argsort(jnp.argsort(x)), 2),
    ],
)
def test_what_is_known_of_keys_makes_sorts_cheaper(function: Callable[..., Any], bits: int) -> None:
    ops = [op for op in trace(function, [X]).ops if op.kind == "sort"]
    assert ops[-1].attributes["bits"] == bits


def test_an_array_is_sorted_once() -> None:
    program = trace(lambda x: (jnp.median(x), jnp.quantile(x, 0.3), jnp.sort(x)), [X])
    assert [op.kind for op in program.ops].count("sort") == 1


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (lambda x: lax.reduce_window(x, 1.0, lambda a, b: a * b + a, (2,), (1,), "VALID"), "add, max or min"),
        (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1,), (1,), ((0, 1),)), "padding"),
        (lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + a, (0,)), "'reduce'"),
        (lambda x: bounded_while(lambda y: y[0] > 0, lambda y: y - 1, x, most=0), "positive whole number"),
    ],
)
def test_what_windows_and_loops_cannot_do_is_said(function: Callable[..., Any], advice: str) -> None:
    with pytest.raises((UnsupportedOperation, NotTraceable), match=advice):
        trace(function, [X])


def test_an_attribute_error_of_the_user_stays_what_it_is() -> None:
    with pytest.raises(AttributeError):
        trace(lambda x: x.no_such_thing, [X])


def test_without_jax_the_message_is_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'jali\[jax\]'"):
        trace(lambda x: x, [X])


def test_the_engine_does_not_import_jax() -> None:
    import subprocess

    code = "import jali.mpc.engine, jali.mpc.program, jali.mpc.plain, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": "src"}).returncode == 0


def test_numpy_functions_are_traced_as_their_namesakes() -> None:
    rows = [np.ones(3), np.zeros(3), np.full(3, 5.0)]
    (total,) = dry_run(np.mean, rows)
    assert total.shape == ()
    assert total.absolute < 1e-4
    assert trace(np.dot, [X, X]).digest() == trace(jnp.dot, [X, X]).digest()


def test_rows_that_are_models_are_averaged_layer_by_layer() -> None:
    models = [{"b": X, "w": ValueType(shape=(2, 3), kind="fixed", fraction=18)}] * 3
    program = trace(np.mean, [models], keywords={"axis": 0})
    assert [kind.shape for kind in program.output_types] == [(3,), (2, 3)]
    assert str(program.output_structure) == "{'b': *, 'w': *}"


def test_rows_of_different_structure_are_refused() -> None:
    with pytest.raises(NotTraceable, match="one structure"):
        trace(np.mean, [[{"a": X}, {"b": X}]], keywords={"axis": 0})


def test_values_among_the_inputs_are_public() -> None:
    program = trace(lambda x, rate: x * rate, [X, 0.5])
    assert program.inputs == 1
    assert [op.kind for op in program.ops] == ["rescale", "truncate"]


def test_keywords_can_be_secret_too() -> None:
    program = compile_function(lambda x, y, scale: (x - y) * scale, [X], keywords={"y": X, "scale": 2})
    assert program.inputs == 2
    assert [op.kind for op in program.ops] == ["sub", "constant", "mul"]


def test_outputs_keep_their_structure() -> None:
    program = trace(lambda x: {"twice": [x + x], "none": None, "pair": (x, x)}, [X])
    leaves, structure = flatten({"twice": [0], "none": None, "pair": (0, 0)})
    assert str(program.output_structure) == str(structure)
    assert len(program.outputs) == len(leaves)


def _described(*dtypes: str) -> list[Any]:
    described: Any = jax.ShapeDtypeStruct
    return [described((3,), dtype) for dtype in dtypes]


def test_jax_types_and_shapes_describe_inputs() -> None:
    program = trace(lambda x, i, b: jnp.where(b, x, i), _described("f4", "i4", "?"))
    assert [kind.kind for kind in program.input_types] == ["fixed", "int", "bool"]


def test_other_leaves_are_refused() -> None:
    with pytest.raises(NotTraceable, match="expected the shape"):
        trace(lambda x: x, [object()])


def test_a_function_is_traced_once() -> None:
    calls: list[int] = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return x + 1

    assert compile_function(counted, [X]) is compile_function(counted, [X])
    assert compile_function(counted, [X]) is not compile_function(counted, [WHOLE])
    assert len(calls) == 2


def test_public_constants_keep_18_significant_bits() -> None:
    (small,) = dry_run(lambda x: x * (0.7 / 1024), np.full(3, 1000.0))
    assert small.relative < 2**-16
    (tiny,) = dry_run(lambda x: x * 3e-9, np.full(3, 1e7))
    assert tiny.relative < 1e-3


@pytest.mark.slow
def test_randomness_with_a_public_key_is_drawn_while_tracing() -> None:
    def noisy(x: Any) -> Any:
        key = jax.random.key(0)
        return lax.fori_loop(0, 3, lambda i, a: a + jax.random.normal(jax.random.fold_in(key, i), a.shape), x)

    (deviation,) = dry_run(noisy, np.zeros(3))
    assert deviation.absolute < 1e-4
