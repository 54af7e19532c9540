# SPDX-License-Identifier: Apache-2.0
"""What a role sees is uniform, and has the same form and distribution whatever the secrets are.

Broken protocols (a mask used twice, a mask left out) show that the tests see what they should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.crypto.prg import Prg
from tests.mpc.operations import OPERATIONS, on_inputs
from tests.mpc.roles import SECURE
from tests.protocol.uniformity import contrasts, differing, suspicious, views_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round
    from tests.protocol.uniformity import View

N = 320
RUNS = 48
# Two messages that are, together, the outcome of comparisons after a shuffle, which a sort opens to all.
OPENED = {("rep3", "sort", 2): ("messages 7 - 6", "messages 7 ^ 6")}
SECRETS = {
    "zeros": np.zeros((2, N), np.uint64),
    "extremes": np.stack([np.arange(N), -(2**44) + np.arange(N)]).astype(np.int64).view(np.uint64),
}


class OneMaskForAll:
    """A broken generator: every nonce gives the same words, so results are right and masks are used again."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def words(self, nonce: int, shape: int | tuple[int, ...]) -> NDArray[np.uint64]:
        return Prg(self.key).words(0, shape)

    def add(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        return x + self.words(nonce, x.shape)

    def sub(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        return x - self.words(nonce, x.shape)

    def xor(self, x: NDArray[np.uint64], nonce: int) -> NDArray[np.uint64]:
        return x ^ self.words(nonce, x.shape)


class NoMask(OneMaskForAll):
    """A broken generator: all words are 0."""

    def words(self, nonce: int, shape: int | tuple[int, ...]) -> NDArray[np.uint64]:
        return np.zeros(shape, np.uint64)


def views(protocol: str, name: str, secret: str, *, generator: Callable[[bytes], Any] = Prg) -> dict[int, list[View]]:
    x, y = SECRETS[secret]
    offset = 1000 if secret == "zeros" else 0
    runs = [
        views_of(protocol, on_inputs(name, x, y, (N,)), seed=seed + offset, generator=generator)[0]
        for seed in range(RUNS)
    ]
    return {role: [run[role] for run in runs] for role in range(3)}


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("name", OPERATIONS)
def test_views_are_uniform_and_do_not_depend_on_the_secrets(protocol: str, name: str) -> None:
    first, second = (views(protocol, name, secret) for secret in SECRETS)
    for role in range(3):
        form = {tuple(message.size for message in view) for view in first[role] + second[role]}
        assert len(form) == 1, "the structure of the messages depends on the secrets"
        opened = OPENED.get((protocol, name, role), ())
        of_zeros, of_extremes = (
            [(what, words) for what, words in contrasts(seen[role]) if what not in opened] for seen in (first, second)
        )
        assert suspicious(of_zeros) == []
        assert suspicious(of_extremes) == []
        pairs = [(what, a, b) for (what, a), (_, b) in zip(of_zeros, of_extremes, strict=True)]
        assert differing(pairs) == []


def two_inputs_of_role_1(side: Any) -> Generator[Round, Any, Any]:
    x, y = SECRETS["extremes"]
    a = yield from side.input(x if side.role == 1 else None, 1, (N,))
    b = yield from side.input(y if side.role == 1 else None, 1, (N,))
    product = yield from side.mul(a, b, shift=18)
    return (yield from side.reveal(product, [0]))


@pytest.mark.parametrize("protocol", SECURE)
def test_a_broken_protocol_computes_well_and_is_caught(protocol: str) -> None:
    caught: dict[type, list[str]] = {}
    for generator in (Prg, OneMaskForAll, NoMask):
        runs = [views_of(protocol, two_inputs_of_role_1, seed=seed, generator=generator) for seed in range(RUNS)]
        x, y = SECRETS["extremes"]
        error = runs[0][1][0].view(np.int64) - ((x * y).view(np.int64) >> 18)
        assert set(np.unique(error)) <= {0, 1}
        # The last message to role 0 is the result's, which is no secret.
        seen = [[run[0][0][:-1] for run in runs], *([run[0][role] for run in runs] for role in (1, 2))]
        caught[generator] = [what for part in seen for what in suspicious(list(contrasts(part)))]
    assert caught[Prg] == []
    assert any("-" in what for what in caught[OneMaskForAll]), "a difference shows the mask that was used twice"
    assert caught[NoMask]


def test_the_tests_tell_two_secrets_apart_when_a_mask_is_missing() -> None:
    first, second = (views("m2k", "mul, shifted", secret, generator=NoMask)[0] for secret in SECRETS)
    pairs = [(what, a, b) for (what, a), (_, b) in zip(contrasts(first), contrasts(second), strict=True)]
    assert differing(pairs)


@pytest.mark.parametrize("name", ["select", "shuffle of a product", "sort"])
def test_the_dealer_of_m2k_sees_nothing_at_all(name: str) -> None:
    """It knows both orders of a shuffle, so that the outcome of one comparison would tell it about two rows."""
    assert views("m2k", name, "extremes")[2] == [[]] * RUNS


@pytest.mark.parametrize("name", ["truncate", "mul, shifted", "sign", "is_zero"])
def test_the_dealing_role_of_rep3_hears_nothing(name: str) -> None:
    """It knows the mask r; even the top bit of x + r would tell it about x."""
    # Only the share of the input of role 1, whose part after the owner's goes to role 2.
    assert {len(view) for view in views("rep3", name, "zeros")[2]} == {1}
