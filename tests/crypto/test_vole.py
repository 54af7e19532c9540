# SPDX-License-Identifier: Apache-2.0
"""Punctured trees and silent evaluation: c = factor a + b at every length, and messages that look random."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from jali import kernels
from jali.crypto import vole
from jali.crypto.punctured import choices_for, encrypted_sums, levels, punctured_leaves, total, tree_leaves
from jali.crypto.randomness import random_words
from jali.crypto.vole import VoleOwner, VolePeer, block_size, code_seed, message_bytes

ONE_IN_A_MILLION = 1e-6


@given(st.integers(2, 300))
def test_levels_grow_fourfold_to_the_leaves(leaves: int) -> None:
    sizes = levels(leaves)
    assert sizes[-1] == leaves
    assert sizes[0] <= 4
    assert all(-(-more // 4) == few for few, more in pairwise(sizes))


@settings(max_examples=40)
@given(st.integers(2, 90), st.data())
def test_all_leaves_but_one_are_known(leaves: int, data: st.DataObject) -> None:
    holes = np.array(data.draw(st.lists(st.integers(0, leaves - 1), min_size=1, max_size=4)))
    seeds = random_words((len(holes), 2)).view(np.uint8)
    known, sums = tree_leaves(seeds, leaves)
    assert known.shape == (len(holes), leaves, 2)
    keys = random_words((len(holes), len(levels(leaves)), 2, 2, 2)).view(np.uint8)
    choices = choices_for(holes, leaves).astype(np.int64)
    mine = np.take_along_axis(keys, choices[..., None, None], axis=3)[:, :, :, 0]
    found = punctured_leaves(holes, leaves, encrypted_sums(sums, keys), mine)
    at = np.arange(len(holes))
    assert not np.any(found[at, holes])
    found[at, holes] = known[at, holes]
    np.testing.assert_array_equal(found, known)
    np.testing.assert_array_equal(total(known), np.bitwise_xor.reduce(known, axis=1))


def test_without_the_keys_of_the_hole_nothing_shows_of_its_sum() -> None:
    """Each sum is under two pads that both come from keys of its number's bits, which are the ones not chosen."""
    seeds = random_words((1, 2)).view(np.uint8)
    _, sums = tree_leaves(seeds, 4)
    keys = random_words((1, 1, 2, 2, 2)).view(np.uint8)
    encrypted = encrypted_sums(sums, keys)
    for hole in range(4):
        high, low = choices_for(np.array([hole]), 4)[0, 0]
        others = keys.copy()
        others[0, 0, 0, 1 - int(high)] ^= 1
        others[0, 0, 1, 1 - int(low)] ^= 1
        changed = encrypted_sums(sums, others) != encrypted
        assert np.all(changed[0, 0, :, hole])


def run(m: int) -> tuple[VoleOwner, dict[str, np.ndarray]]:
    """Both sides; all messages, and the three vectors."""
    owner, peer = VoleOwner(), VolePeer()
    sent = {"owner transfers": owner.transfers, "peer transfers": peer.choose(m)}
    sent["peer products"] = peer.multiply(owner.transfers)
    sent["owner sums"] = owner.grow(m, sent["peer transfers"])
    sent["owner totals"] = owner.totals(peer.public, sent["peer products"])
    seed = code_seed(owner.public, peer.public)
    vectors = {"a": peer.expand(m, seed), "b": owner.expand(m, seed)}
    vectors["c"] = peer.finish(m, seed, owner.public, sent["owner sums"], sent["owner totals"])
    assert {name: message.nbytes for name, message in sent.items()} == message_bytes(m)
    return owner, {**sent, **vectors}


@pytest.mark.parametrize("m", [257, 400, 401, 3_000, 40_000])
def test_c_is_factor_times_a_plus_b(m: int) -> None:
    owner, found = run(m)
    a, b, c = (found[name].view(np.uint8).reshape(m, 16) for name in "abc")
    np.testing.assert_array_equal(c, kernels.field_multiply(a, owner.factor) ^ b)
    assert len(np.unique(a, axis=0)) == m
    for vector in (a, b, c):
        assert chisquare(np.bincount(vector.reshape(-1), minlength=256)).pvalue > ONE_IN_A_MILLION


def test_messages_look_uniform() -> None:
    _, found = run(3_000)
    for name in ("peer products", "owner sums", "owner totals"):
        message = found[name].view(np.uint8).reshape(-1)
        assert chisquare(np.bincount(message, minlength=256)).pvalue > ONE_IN_A_MILLION


def test_two_runs_share_nothing() -> None:
    (first, one), (second, two) = run(300), run(300)
    assert first.factor != second.factor
    assert not np.any(np.all(one["a"] == two["a"], axis=1))
    assert repr(first) == "<VoleOwner>"


def test_the_sparse_vector_has_one_value_a_block() -> None:
    peer = VolePeer()
    peer.choose(10_000)
    blocks = peer.sparse().reshape(vole.BLOCKS, block_size(10_000), 2)
    assert np.all(np.sum(np.any(blocks != 0, axis=2), axis=1) == 1)


def test_holes_are_uniform() -> None:
    holes = vole._below(5, 20_000)
    assert chisquare(np.bincount(holes, minlength=5)).pvalue > ONE_IN_A_MILLION
    with pytest.raises(ValueError, match=r"2\^24"):
        vole._below(2**25, 1)


def test_the_linear_test_bound_is_that_of_the_docs() -> None:
    """A codeword of relative weight 0.2 meets each of 400 uniform values with probability 0.2: bias 0.8^400."""
    assert -vole.BLOCKS * np.log2(1 - 0.2) > 128
