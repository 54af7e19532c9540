# SPDX-License-Identifier: Apache-2.0
"""Convolutions, sums over windows and additions at public places agree with jax for all their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jali.mpc.engine import compile_function, estimate_program
from jali.mpc.ir import ValueType
from jali.mpc.registry import PROTOCOLS
from jali.mpc.trial import dry_run
from tests.mpc.test_integers import run

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.normal(size=(4, 4, 6, 5))

configurations = st.fixed_dictionaries(
    {
        "window_strides": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "padding": st.tuples(*(st.tuples(st.integers(-1, 3), st.integers(0, 3)),) * 2),
        "lhs_dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "rhs_dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "dimension_numbers": st.sampled_from(
            [("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC"), ("CHWN", "IHWO", "NCHW")]
        ),
    }
)


def arranged(x: NDArray[Any], order: str, named: str) -> NDArray[Any]:
    return np.ascontiguousarray(x.transpose([named.index(axis) for axis in order]))


@settings(max_examples=25, deadline=None)
@given(configuration=configurations, groups=st.sampled_from([(1, 1), (2, 1), (1, 2), (4, 1)]))
def test_convolutions_of_two_secrets(configuration: dict[str, Any], groups: tuple[int, int]) -> None:
    features, batches = groups
    lhs, rhs, _ = configuration["dimension_numbers"]
    x = arranged(IMAGES, lhs, "NCHW")
    kernel = arranged(RANDOM.normal(size=(4, 4 // features, 2, 3)), rhs, "OIHW")
    (deviation,) = dry_run(
        lambda a, b: lax.conv_general_dilated(
            a, b, **configuration, feature_group_count=features, batch_group_count=batches
        ),
        x,
        kernel,
    )
    assert deviation.absolute < 2e-4


def test_a_convolution_with_a_public_kernel_is_local_but_for_one_truncation() -> None:
    kind = ValueType(shape=(64, 3, 32, 32), kind="fixed", fraction=18)
    kernel = RANDOM.normal(size=(8, 3, 3, 3))
    program = compile_function(lambda x: lax.conv(x, jnp.asarray(kernel), (1, 1), "SAME"), [kind])
    assert estimate_program(program, "m2k").rounds <= 1
    assert len(program.encode()) < 400_000  # no matrix of the map stands in it


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_all_protocols_convolve_and_scatter(protocol: str) -> None:
    x, kernel = IMAGES[:1, :2], RANDOM.normal(size=(3, 2, 2, 2))
    places = np.array([0, 3, 3, 1, 0])

    def both(a: Any, b: Any) -> Any:
        return lax.conv(a, b, (2, 1), "SAME"), jnp.zeros(4).at[places].add(a[0, 0, 0])

    maps, sums = run(both, x, kernel, protocol=protocol)
    truth = lax.conv(jnp.asarray(x), jnp.asarray(kernel), (2, 1), "SAME")
    np.testing.assert_allclose(maps, np.asarray(truth), atol=2e-4)
    np.testing.assert_allclose(sums, np.bincount(places, weights=x[0, 0, 0], minlength=4), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*(st.tuples(st.integers(0, 2), st.integers(0, 2)),) * 2),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_sums_over_windows(window: Any, strides: Any, padding: Any, dilation: Any) -> None:
    x = RANDOM.normal(size=(6, 5))
    (deviation,) = dry_run(
        lambda a: lax.reduce_window(
            a, 0.0, lax.add, window, strides, padding, base_dilation=dilation, window_dilation=dilation[::-1]
        ),
        x,
    )
    assert deviation.absolute < 1e-4


@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(-3, 9), min_size=1, max_size=12))
def test_additions_at_places_inside_and_outside(places: list[int]) -> None:
    updates = RANDOM.normal(size=(len(places), 2))
    index = np.array(places)
    added, taken = dry_run(
        lambda u: (jnp.ones((6, 2)).at[index].add(u, mode="drop"), u.sum() + jnp.zeros((6, 2)).at[index].subtract(u)),
        updates,
    )
    assert added.absolute < 1e-4
    assert taken.absolute < 1e-4


def test_many_additions_are_sums_without_a_matrix() -> None:
    kind = ValueType(shape=(20_000,), kind="fixed", fraction=18)
    index = RANDOM.integers(0, 500, 20_000)

    def sums(v: Any) -> Any:
        return jnp.zeros(500).at[index].add(v)

    program = compile_function(sums, [kind])
    assert estimate_program(program, "m2k").rounds == 0
    assert len(program.encode()) < 400_000
