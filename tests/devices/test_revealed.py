# SPDX-License-Identifier: Apache-2.0
"""Revealed values are known again by identity, and freed at their device once the program has dropped them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fed() -> Iterator[jali.Federation]:
    with jali.simulate("alice", "bob") as federation:
        yield federation


def tree(number: int) -> dict[str, Any]:
    return {"w": np.full(4, float(number)), "inner": [np.full(2, float(number)), 1.5 * number]}


def total(x: Any) -> float:
    return float(np.sum(x))


def text_of_inputs(fed: jali.Federation) -> list[str]:
    """Where the inputs of the last call came from."""
    return [node.text for node in fed.program.graph.nodes[-1].inputs]


@pytest.mark.parametrize("make", [tree, np.zeros, float], ids=["tree", "array", "number"])
def test_a_loop_of_reveals_keeps_what_is_in_use(fed: jali.Federation, make: Any) -> None:
    for number in range(40):
        value = jali.reveal(fed.plain("alice")(make)(number), to="alice")
    assert value is not None
    # What the last few steps made: a thread that ran a node may not have let go of it yet.
    assert len(fed.program._revealed) <= 4 * 5
    assert len(fed.program.runtimes["alice"]._values) <= 8


def test_a_value_in_use_is_known_again_after_many_others(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    kept = jali.reveal(alice(tree)(3), to="alice")
    for number in range(5):
        jali.reveal(alice(tree)(number), to="alice")
    assert jali.reveal(alice(total)(kept["w"]), to="alice") == 12.0
    alice(total)(kept["inner"][0])
    assert text_of_inputs(fed) == ["reveal tree['inner'][0]"]


def test_a_part_outlives_the_whole(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    whole = jali.reveal(alice(tree)(3), to="alice")
    part = whole["inner"]
    del whole
    for number in range(5):
        jali.reveal(alice(tree)(number), to="alice")
    alice(len)(part)
    assert text_of_inputs(fed) == ["reveal tree['inner']"]


def test_one_object_that_is_revealed_twice_is_known_as_the_last(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    handle = alice(tree)(3)
    first, second = (jali.reveal(handle, to="alice") for _ in range(2))
    assert first is second
    alice(total)(first["w"])
    assert len(fed.program._revealed) == 5
    del handle, first, second
    for _ in range(20):
        jali.reveal(alice(float)(1), to="alice")
    assert len(fed.program._revealed) <= 4
