# SPDX-License-Identifier: Apache-2.0
"""Matrix programs: factors multiply to the matrix, under every protocol, for batches and for matrices of one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jali.core.errors import UnsupportedOperation
from jali.mpc.engine import compile_function, estimate_program
from jali.mpc.ir import ValueType
from jali.mpc.lower.jacobi import _next_round
from jali.mpc.registry import PROTOCOLS
from jali.mpc.trial import dry_run
from tests.mpc.test_integers import run

if TYPE_CHECKING:
    from numpy.typing import NDArray


def positive(n: int, *, seed: int = 0) -> NDArray[np.float64]:
    a = np.random.default_rng(seed).normal(size=(4 * n, n))
    return np.asarray(a.T @ a / (4 * n) + 0.1 * np.eye(n))


def remainder(a: Any) -> Any:
    """What the factorisations leave of the matrix: zeros."""
    factor = jnp.linalg.cholesky(a)
    q, r = jnp.linalg.qr(a)
    n = a.shape[-1]
    packed = lax.linalg.lu(a)[0]
    lower, upper = jnp.tril(packed, -1) + jnp.eye(n), jnp.triu(packed)
    t = jnp.swapaxes
    return factor @ t(factor, -1, -2) - a, q @ r - a, t(q, -1, -2) @ q - jnp.eye(n), lower @ upper - a


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16])
def test_factors_of_any_size(n: int) -> None:
    for deviation in dry_run(remainder, positive(n)):
        assert deviation.absolute < 1e-3


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_factors_under_every_protocol(protocol: str) -> None:
    for rest in run(remainder, positive(3), protocol=protocol):
        assert np.max(np.abs(rest)) < 5e-4


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_decompositions_under_every_protocol(protocol: str) -> None:
    a = positive(3, seed=2)

    def both(m: Any) -> Any:
        return jnp.linalg.eigvalsh(m), jnp.linalg.svd(m[:, :2], compute_uv=False)

    values, singular = run(both, a, protocol=protocol)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), atol=2e-3)
    np.testing.assert_allclose(singular, np.linalg.svd(a[:, :2], compute_uv=False), atol=2e-3)


def test_batches() -> None:
    stack = np.stack([positive(3, seed=k) for k in range(4)]).reshape(2, 2, 3, 3)
    for deviation in dry_run(lambda a: (*remainder(a), jnp.linalg.eigvalsh(a), jnp.linalg.inv(a)), stack):
        assert deviation.absolute < 5e-3


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("flags", range(16))
def test_triangular_systems_of_all_kinds(n: int, flags: int) -> None:
    left, lower, transposed, unit = (bool(flags >> k & 1) for k in range(4))
    random = np.random.default_rng(n)
    a = np.eye(n) + 0.3 * random.normal(size=(n, n))
    b = random.normal(size=(n, 2) if left else (2, n))
    (deviation,) = dry_run(
        lambda m, r: lax.linalg.triangular_solve(
            m, r, left_side=left, lower=lower, transpose_a=transposed, unit_diagonal=unit
        ),
        a,
        b,
    )
    assert deviation.absolute < 2e-4


def test_householder_products() -> None:
    random = np.random.default_rng(4)
    a, taus = random.normal(size=(5, 3)), random.random(3)
    (deviation,) = dry_run(lax.linalg.householder_product, a, taus)
    assert deviation.absolute < 1e-4


def test_singular_values_of_wide_and_square_matrices() -> None:
    random = np.random.default_rng(5)
    for shape in ((2, 5), (5, 2), (4, 4)):
        a = random.normal(size=shape)

        def rebuilt(m: Any) -> Any:
            left, values, right = jnp.linalg.svd(m, full_matrices=False)
            return values, (left * values) @ right

        for deviation in dry_run(rebuilt, a):
            assert deviation.absolute < 3e-3


@pytest.mark.parametrize("n", [2, 4, 6, 10])
def test_every_pair_meets_once_in_a_tournament(n: int) -> None:
    order, met = np.arange(n), set()
    for _ in range(n - 1):
        met |= {frozenset(map(int, order[k : k + 2])) for k in range(0, n, 2)}
        order = order[_next_round(n)]
    assert len(met) == n * (n - 1) // 2
    assert order.tolist() == list(range(n))


def test_a_triangular_system_takes_logarithmically_many_rounds() -> None:
    def rounds(n: int) -> int:
        kinds = [ValueType(shape=shape, kind="fixed", fraction=18) for shape in ((n, n), (n, 1))]
        program = compile_function(lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True), kinds)
        return estimate_program(program, "m2k").rounds

    assert rounds(32) - rounds(16) == rounds(16) - rounds(8) <= 4


def test_a_function_of_the_user_keeps_its_meaning_whatever_its_name() -> None:
    @jax.jit
    def solve(a: Any, b: Any) -> Any:
        return a - b

    (deviation,) = dry_run(solve, np.eye(3), np.ones((3, 3)))
    assert deviation.absolute == 0


def test_derivatives_of_solutions_are_not_taken_for_solutions() -> None:
    a, b = positive(4) + np.eye(4), np.arange(4.0)
    functions = (
        jax.grad(lambda m, v: jnp.sum(jnp.linalg.solve(m, v) ** 2), argnums=(0, 1)),
        jax.grad(lambda m, v: jnp.sum(jnp.linalg.solve(m, v) ** 2), argnums=1),
        jax.grad(lambda m, v: jnp.sum(jnp.linalg.inv(m) @ v)),
        jax.grad(lambda m, v: jnp.linalg.slogdet(m)[1]),
        lambda m, v: jax.jvp(jnp.linalg.inv, (m,), (m,)),
        lambda m, v: jax.linearize(lambda x: jnp.linalg.solve(m, x), v)[1](v),
    )
    for function in functions:
        for deviation in dry_run(function, a, b):
            assert deviation.absolute < 5e-3


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (lambda a: lax.linalg.qr(a, pivoting=True)[0], "pivoting=False"),
        (lambda a: jnp.linalg.svd(a[:2]), "full_matrices=False"),
        (lambda a: lax.linalg.eigh(a, subset_by_index=(0, 1))[1], "take all"),
        (lambda a: jnp.linalg.eig(a)[0].real, "'eig'"),
    ],
)
def test_what_cannot_be_done_says_so(function: Any, advice: str) -> None:
    with pytest.raises(UnsupportedOperation, match=advice):
        compile_function(function, [ValueType(shape=(3, 3), kind="fixed", fraction=18)])
