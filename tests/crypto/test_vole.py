# SPDX-License-Identifier: Apache-2.0
"""Punctured trees and silent evaluation: c = factor a + b at every length, and messages that look random."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from jali import kernels
from jali.core.errors import CheckFailed
from jali.crypto import vole
from jali.crypto.field import polynomial
from jali.crypto.punctured import choices_for, encrypted_sums, levels, punctured_leaves, total, tree_leaves
from jali.crypto.randomness import random_words
from jali.crypto.vole import VoleOwner, VolePeer, block_size, code_seed, message_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_IN_A_MILLION = 1e-6
SALT = bytes(16)


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
    known, sums, rest = tree_leaves(seeds, leaves, salt=SALT)
    assert known.shape == (len(holes), leaves, 2)
    keys = random_words((len(holes), len(levels(leaves)), 2, 2, 2)).view(np.uint8)
    choices = choices_for(holes, leaves).astype(np.int64)
    mine = np.take_along_axis(keys, choices[..., None, None], axis=3)[:, :, :, 0]
    found, same_rest = punctured_leaves(holes, leaves, encrypted_sums(sums, keys, salt=SALT), mine, salt=SALT)
    np.testing.assert_array_equal(same_rest, rest)
    at = np.arange(len(holes))
    assert not np.any(found[at, holes])
    found[at, holes] = known[at, holes]
    np.testing.assert_array_equal(found, known)
    np.testing.assert_array_equal(total(known), np.bitwise_xor.reduce(known, axis=1))


def test_without_the_keys_of_the_hole_nothing_shows_of_its_sum() -> None:
    """Each sum is under two pads that both come from keys of its number's bits, which are the ones not chosen."""
    seeds = random_words((1, 2)).view(np.uint8)
    _, sums, _ = tree_leaves(seeds, 4, salt=SALT)
    keys = random_words((1, 1, 2, 2, 2)).view(np.uint8)
    encrypted = encrypted_sums(sums, keys, salt=SALT)
    for hole in range(4):
        high, low = choices_for(np.array([hole]), 4)[0, 0]
        others = keys.copy()
        others[0, 0, 0, 1 - int(high)] ^= 1
        others[0, 0, 1, 1 - int(low)] ^= 1
        changed = encrypted_sums(sums, others, salt=SALT) != encrypted
        assert np.all(changed[0, 0, :, hole])


def test_a_hole_beyond_the_leaves_leaves_the_rest_unknown() -> None:
    """Who chooses one knows all leaves; what it is sent of them is still hidden, by what it lacks of the rest."""
    leaves = 18  # of 2, 5 and 20: two children of the root are beyond, three of the fifth node, two of the last
    for hole in (18, 19, 20, 31, 32, 63):
        seeds = random_words((1, 2)).view(np.uint8)
        known, sums, rest = tree_leaves(seeds, leaves, salt=SALT)
        keys = random_words((1, 3, 2, 2, 2)).view(np.uint8)
        choices = choices_for(np.array([hole]), leaves).astype(np.int64)
        mine = np.take_along_axis(keys, choices[..., None, None], axis=3)[:, :, :, 0]
        lacking = hole < 20  # the hole's parent has children: then the code below follows the path to the end
        if lacking:
            encrypted = encrypted_sums(sums, keys, salt=SALT)
            found, other = punctured_leaves(np.array([hole]), leaves, encrypted, mine, salt=SALT)
            np.testing.assert_array_equal(found, known)
            assert not np.any(np.all(other == rest, axis=1))
    assert np.any(rest)


def run(m: int, *, checked: bool = False, bend: Callable[[str, Any], Any] = lambda name, message: message) -> Any:
    """Both sides; all messages, and the three vectors. `bend` makes of a message what is sent instead."""
    owner, peer = VoleOwner(checked=checked), VolePeer(checked=checked)
    sent: dict[str, Any] = {}

    def send(name: str, message: Any) -> Any:
        sent[name] = bend(name, message.copy() if isinstance(message, np.ndarray) else message)
        return sent[name]

    transfers = send("owner transfers", owner.transfers)
    sums = send("owner sums", owner.grow(m, peer.public, send("peer transfers", peer.choose(m))))
    products = send("peer products", peer.multiply(owner.public, transfers))
    totals = send("owner totals", owner.totals(peer.public, products, send("peer proof", peer.proof)))
    peer.complete(owner.public, sums, totals)
    if checked:
        peer.verify(send("owner answer", owner.answer(send("peer challenge", peer.challenge()))))
    seed = code_seed(owner.public, peer.public, products)
    vectors = {"a": peer.expand(m, seed), "b": owner.expand(m, seed), "c": peer.finish(m, seed)}
    sizes = {
        name: message.nbytes if isinstance(message, np.ndarray) else len(message) for name, message in sent.items()
    }
    assert sizes == {name: size for name, size in message_bytes(m, checked=checked).items() if size or name in sizes}
    return owner, {**sent, **vectors}


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("m", [257, 400, 401, 3_000, 40_000])
def test_c_is_factor_times_a_plus_b(m: int, *, checked: bool) -> None:
    owner, found = run(m, checked=checked)
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


def test_checks_never_fail_where_both_follow_the_protocol() -> None:
    for m in range(257, 457, 4):
        run(m, checked=True)


@pytest.mark.parametrize("value", [0, 399, vole.BLOCKS, vole.BLOCKS + 1])
def test_another_value_for_one_bit_of_the_factor_is_seen_where_the_bit_is_set(value: int) -> None:
    """A cheating peer makes its proof for what it sends; it is caught if the bit is 1, and else learns that it is 0."""
    caught = []
    for bit in (0, 1, 64, 127) * 4:
        owner, peer = VoleOwner(checked=True), VolePeer(checked=True)
        owner.grow(257, peer.public, peer.choose(257))
        products = peer.multiply(owner.public, owner.transfers)
        products[bit, value, 0] ^= np.uint64(1)
        point = vole._point(owner.public, peer.public, products)
        proof = b"".join(polynomial(part, point).tobytes() for part in (peer._values, peer._keys))
        is_set = bool(int.from_bytes(owner.factor, "little") >> bit & 1)
        try:
            owner.totals(peer.public, products, proof)
            caught.append((is_set, False))
        except CheckFailed:
            caught.append((is_set, True))
    assert all(seen == is_set for is_set, seen in caught)
    assert len(set(caught)) == 2


@pytest.mark.parametrize("name", ["owner sums", "owner totals", "owner answer"])
def test_an_owner_that_sends_something_else_is_caught(name: str) -> None:
    def bend(sent: str, message: Any) -> Any:
        if sent != name:
            return message
        if isinstance(message, bytes):
            return bytes([message[0] ^ 1]) + message[1:]
        return message ^ np.uint64(2**40)  # in every sum, so that whatever the peer takes is another one

    with pytest.raises(CheckFailed, match="trees"):
        run(300, checked=True, bend=bend)


@pytest.mark.parametrize("name", ["peer proof", "peer challenge"])
@pytest.mark.parametrize("byte", [0, -1])
def test_a_peer_that_sends_something_else_is_caught(name: str, byte: int) -> None:
    def bend(sent: str, message: Any) -> Any:
        if sent != name:
            return message
        bent = bytearray(message)
        bent[byte] ^= 128
        return bytes(bent)

    with pytest.raises(CheckFailed):
        run(300, checked=True, bend=bend)


def test_one_bent_sum_is_seen_unless_the_peer_does_not_take_it() -> None:
    """An owner that bends one sum bets on the hole's path: it is caught, or learns of this path alone."""
    ended = 0
    for _ in range(40):

        def bend(name: str, message: Any) -> Any:
            if name == "owner sums":
                message[7, 0, :, 1] ^= np.uint64(5)
            return message

        try:
            run(300, checked=True, bend=bend)
        except CheckFailed:
            ended += 1
    assert 5 < ended < 40


def test_proofs_and_combinations_look_uniform() -> None:
    parts = b"".join(
        b"".join(run(257, checked=True)[1][n] for n in ("peer proof", "peer challenge")) for _ in range(60)
    )
    assert chisquare(np.bincount(np.frombuffer(parts, np.uint8), minlength=256)).pvalue > ONE_IN_A_MILLION


def test_the_code_depends_on_what_the_peer_sends_last() -> None:
    """An owner that tries public points does not know which code it gets."""
    products = random_words((128, vole.BLOCKS, 2))
    seed = code_seed(bytes(32), bytes(32), products)
    products[-1, -1, -1] ^= np.uint64(1)
    assert code_seed(bytes(32), bytes(32), products) != seed


@pytest.mark.parametrize(("trees", "between"), [(1, (10, 50)), (3, (0, 25))])
def test_who_bends_trees_passes_as_often_as_it_guesses(trees: int, between: tuple[int, int]) -> None:
    """An owner that bends the sum of one of two branches bets that the hole is there. Where it is, nothing is wrong."""
    passed = 0
    for _ in range(60):

        def bend(name: str, message: Any) -> Any:
            if name == "owner sums":
                message[:trees, 0, :, 1] ^= np.uint64(9)
            return message

        try:
            owner, found = run(257, checked=True, bend=bend)
        except CheckFailed:
            continue
        a, b, c = (found[name].view(np.uint8).reshape(257, 16) for name in "abc")
        np.testing.assert_array_equal(c, kernels.field_multiply(a, owner.factor) ^ b)
        passed += 1
    assert between[0] <= passed <= between[1]


def test_the_same_seeds_grow_other_trees_in_another_run() -> None:
    seeds, keys = random_words((3, 2)).view(np.uint8), random_words((3, 2, 2, 2, 2)).view(np.uint8)
    (one, sums, _), (other, _, _) = (tree_leaves(seeds, 9, salt=salt) for salt in (SALT, b"1" * 16))
    assert not np.any(np.all(one == other, axis=2))
    encrypted = [encrypted_sums(sums, keys, salt=salt) for salt in (SALT, b"1" * 16)]
    assert not np.any(np.all(encrypted[0] == encrypted[1], axis=-1))
