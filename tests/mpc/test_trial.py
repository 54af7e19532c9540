# SPDX-License-Identifier: Apache-2.0
"""Trying a function on sample data: errors, room, suggested bounds, and the line where a number left its range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jali.mpc
from jali.core.errors import FixedPointRangeError
from jali.mpc.trial import dry_run

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_deviation_of_each_output() -> None:
    x = np.linspace(-3, 3, 50)
    exact, smooth = dry_run(lambda v: (v * 2, 1 / (1 + jnp.exp(-v))), x)
    assert exact.absolute <= 2**-17
    assert 0 < smooth.absolute < 1e-4
    assert smooth.shape == (50,)


@pytest.mark.parametrize(
    ("function", "size", "what"),
    [
        (lambda v: v * v, 1e5, "a product"),
        (lambda v: v[None] @ v[:, None], 1e5, "a matrix product"),
        (lambda v: jnp.exp(v) + 1, 40.0, "exp"),
        (lambda v: lax.fori_loop(0, 9, lambda _, s: s * s, v), 2.0, "a product"),
    ],
)
def test_it_is_loud_where_a_secure_protocol_would_give_garbage(
    function: Callable[[Any], Any], size: float, what: str
) -> None:
    with pytest.raises(FixedPointRangeError, match=f"J1310 {what}") as caught:
        dry_run(function, np.full(3, size))
    assert str(caught.value.source).startswith("test_trial.py:")


def test_room_is_that_of_the_numbers_that_were_met() -> None:
    report = dry_run(lambda v: (v * v, v * 0.3), np.array([3.0, -(2.0**9)]))
    assert [line.what for line in report.lines] == ["a product", "a number to round"]
    assert report.lines[0].bits == pytest.approx(18 + 18 + 18)
    assert report.lines[0].headroom == pytest.approx(8)
    assert report.lines[0].source.startswith("test_trial.py:")


def test_functions_need_room_that_no_scale_of_the_data_changes() -> None:
    assert not dry_run(jax.nn.sigmoid, np.array([1.0, 2.0])).lines


def test_bounds_are_suggested_and_judged() -> None:
    report = dry_run(lambda v, i: v * v * i, np.array([3.0, -100.0]), np.array([2, 7]))
    assert [(bound.position, bound.largest, bound.bound) for bound in report.bounds] == [(0, 100, 256), (1, 7, 16)]
    assert report.verdict == "within them the program is proven safe"
    assert "not proven" in dry_run(lambda v: v * v, np.array([6000.0])).verdict
    assert dry_run(lambda b: ~b, np.array([True])).bounds == ()


def test_it_reads_well_in_a_terminal_and_in_a_notebook() -> None:
    report = jali.mpc.dry_run(lambda v: v * v, np.array([3.0, -2.0]))
    text = str(report)
    assert "output 0 [2]: absolute error" in text
    assert "declare bounded(x, 8)" in text
    assert f"{report.lines[0].bits:.0f} of 62 bits" in text
    assert "<li>output 0 [2]: absolute error" in report._repr_html_()
    assert len(report) == 1
