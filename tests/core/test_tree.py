# SPDX-License-Identifier: Apache-2.0
"""Trees: flatten and unflatten are inverse, and agree with jax's conventions."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core import codec, tree
from jali.core.errors import TreeMismatch

Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - the untyped kind is what users have

trees = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
    ),
    max_leaves=10,
)


@given(trees)
@settings(deadline=None)
def test_unflatten_undoes_flatten(value: object) -> None:
    leaves, structure = tree.flatten(value)
    assert tree.unflatten(structure, leaves) == value
    assert structure.leaf_count == len(leaves)


@given(trees)
@settings(deadline=None)
def test_structures_are_values_that_can_be_sent(value: object) -> None:
    leaves, structure = tree.flatten(value)
    message = b"".join(bytes(part) for part in codec.encode(structure.to_value()))
    back = tree.Structure.from_value(codec.decode(message))
    assert back == structure
    assert hash(back) == hash(structure)
    assert str(back) == str(structure)
    assert tree.unflatten(back, leaves) == value


@given(trees)
@settings(deadline=None)
def test_agrees_with_jax(value: object) -> None:
    jax = pytest.importorskip("jax")
    assert tree.flatten(value)[0] == jax.tree.leaves(value)


def test_dicts_are_ordered_by_key() -> None:
    leaves, structure = tree.flatten({"b": 1, "a": [2, None, (3,)], "c": Pair(4, {})})
    assert leaves == [2, 3, 1, 4]
    assert str(structure) == "{'a': [*, None, (*,)], 'b': *, 'c': Pair(left=*, right={})}"


def test_maps_over_several_trees() -> None:
    assert tree.map_leaves(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]}) == {"x": [11, 22]}


def test_a_difference_in_structure_shows_both() -> None:
    with pytest.raises(TreeMismatch, match=r"expected \[\*, \*\] in tree 2, found \[\*\]"):
        tree.map_leaves(max, [1, 2], [3])


@pytest.mark.parametrize("leaves", [[1], [1, 2, 3]])
def test_a_wrong_number_of_leaves_is_refused(leaves: list[int]) -> None:
    _, structure = tree.flatten([0, 0])
    with pytest.raises(TreeMismatch, match="leaves"):
        tree.unflatten(structure, leaves)


@pytest.mark.parametrize("value", [{1: 0, "a": 0}, {(1, 2): 0}])
def test_keys_without_order_are_refused(value: dict[Any, int]) -> None:
    with pytest.raises(TreeMismatch, match="keys"):
        tree.flatten(value)


def test_a_tree_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TreeMismatch, match="nested at most"):
        tree.flatten(loop)


@pytest.mark.parametrize(
    "value",
    [
        None,
        ["leaf", "", [], [["leaf", "", [], []]]],
        ["dict", "", ["a", "a"], [["leaf", "", [], []]] * 2],
        ["dict", "", [["a"]], [["leaf", "", [], []]]],
        ["named", "os.system", ["a"], [["leaf", "", [], []]]],
        ["named", "P", ["__init__"], [["leaf", "", [], []]]],
        ["spell", "", [], []],
        ["list", "", ["a"], []],
    ],
)
def test_forged_descriptions_are_refused(value: object) -> None:
    with pytest.raises(TreeMismatch):
        tree.Structure.from_value(value)
