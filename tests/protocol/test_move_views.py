# SPDX-License-Identifier: Apache-2.0
"""What a party sees of a value that moves, in all its roles on both devices together, is uniform and says nothing.

Moves that are broken on purpose (parts go out bare, or as they were) show that the tests see what they should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.crypto.prg import Prg
from jali.devices.roles import Layout
from jali.devices.secret_moves import groups_of, received
from jali.mpc.engine import SecretArray, reveal_outputs
from jali.mpc.ir import ValueType
from jali.mpc.m2k import scatter as m2k_scatter
from jali.mpc.parts import added, parts_of, refreshed
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import lockstep
from tests.mpc.roles import make_sides
from tests.protocol.uniformity import contrasts, differing, suspicious, views_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from jali.mpc.rounds import Round
    from tests.protocol.uniformity import View

    Words = NDArray[np.uint64]

N = 320
RUNS = 48
SECRETS = {"zeros": np.zeros(N, np.uint64), "extremes": (np.arange(N) - 2**44).astype(np.int64).view(np.uint64)}
TYPES = [ValueType(shape=(N,), kind="int"), ValueType(shape=(N,), kind="int"), ValueType(shape=(N,), kind="bool")]

M2K = Layout("m2k", ("alice", "bob", "carol"), ("alice", "bob"))
REP3 = Layout("rep3", ("alice", "bob", "carol"), ("alice", "bob", "carol"))
PAIRS = {
    "the dealer computes, and who computed deals": (M2K, Layout("m2k", ("alice", "carol", "bob"), ("alice", "carol"))),
    "the same who compute": (M2K, Layout("m2k", ("bob", "alice", "dave"), ("bob", "alice"))),
    "nobody in common": (M2K, Layout("m2k", ("dave", "erin", "frank"), ("dave", "erin"))),
    "the dealer gets a part": (M2K, Layout("rep3", ("carol", "dave", "alice"), ("carol", "dave", "alice"))),
    "a party deals, the third computes": (REP3, Layout("m2k", ("carol", "dave", "alice"), ("carol", "dave"))),
    "three others": (REP3, Layout("aby3", ("dave", "erin", "frank"), ("dave", "erin", "frank"))),
}


def computed(side: Any, x: Words | None) -> Generator[Round, Any, list[SecretArray]]:
    """A value in each state that a share can have: an input, a product, the bits of a comparison."""
    a = yield from side.input(x if side.role == 0 else None, 0, (N,))
    shares = a, (yield from side.mul(a, a)), (yield from side.sign(a))
    return [SecretArray(share, kind) for share, kind in zip(shares, TYPES, strict=True)]


def moved(
    source: Layout, target: Layout, x: Words, *, seed: int, freshly: Callable[..., list[Words]] = refreshed
) -> tuple[dict[str, View], dict[int, list[SecretArray]], dict[int, Any]]:
    """What each party received, in order, on both devices; the shares on the target and its sides, by role."""
    by_role, secrets = views_of(source.protocol, lambda side: computed(side, x), seed=seed)
    views: dict[str, View] = {party: [] for party in (*source.roles, *target.roles)}
    for role, view in by_role.items():
        views[source.roles[role]] += view
    made = PROTOCOLS.get(source.protocol)
    key = seed.to_bytes(8, "little") + b"between "
    between = [(Prg(key), None), (None, Prg(key))]
    parts = {
        party: freshly(parts_of(made, role, secrets[role]), TYPES, after=after, before=before)
        for party, role, (after, before) in zip(source.holders, made.holders, between, strict=True)
    }
    columns: dict[int, list[Any]] = {role: [] for role in range(len(target.roles))}
    for index, group in enumerate(groups_of(source.holders, target)):
        sides, _ = make_sides(target.protocol, seed=10_000 + 10 * seed + index, guest=True)
        for role, shares in handed(target, sides, {p: parts[p] for p in group}, views).items():
            columns[role] += shares
    return views, {role: added(sides[role], columns[role], TYPES) for role in columns}, sides


def handed(
    target: Layout, sides: dict[int, Any], parts: Mapping[str, list[Words]], views: dict[str, View]
) -> dict[int, list[Any]]:
    owners = {target.input_role(party): own for party, own in parts.items()}
    guest = len(target.roles)

    def observe(rounds: Mapping[int, Round]) -> None:
        for sender in sorted(rounds):
            for receiver, arrays in rounds[sender].send.items():
                views[target.roles[receiver]] += [array.reshape(-1).copy() for array in arrays]

    def operation(side: Any) -> Generator[Round, Any, Any]:
        return received(side, {role: own if role == side.role else None for role, own in owners.items()}, TYPES)

    playing = {role: operation(side) for role, side in sides.items() if role != guest or guest in owners}
    results = lockstep(playing, observe=observe)
    return {role: shares for role, shares in results.items() if role != guest}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_moved_value_is_the_same(pair: str) -> None:
    source, target = PAIRS[pair]
    x = SECRETS["extremes"]
    _, secrets, sides = moved(source, target, x, seed=1)
    opened = lockstep(
        {role: reveal_outputs(side, secrets[role], to=[0]) for role, side in sides.items() if role in secrets}
    )
    for found, expected in zip(
        opened[0], (x.view(np.int64), (x * x).view(np.int64), x.view(np.int64) < 0), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pair", PAIRS)
def test_all_that_a_party_sees_on_both_devices_is_uniform_and_does_not_depend_on_the_value(pair: str) -> None:
    source, target = PAIRS[pair]
    runs = {
        name: [moved(source, target, x, seed=seed + 1000 * (name == "zeros"))[0] for seed in range(RUNS)]
        for name, x in SECRETS.items()
    }
    for party in dict.fromkeys((*source.roles, *target.roles)):
        first, second = ([run[party] for run in runs[name]] for name in SECRETS)
        assert len({tuple(message.size for message in view) for view in first + second}) == 1
        of_zeros, of_extremes = list(contrasts(first)), list(contrasts(second))
        assert suspicious(of_zeros) == []
        assert suspicious(of_extremes) == []
        assert differing([(what, a, b) for (what, a), (_, b) in zip(of_zeros, of_extremes, strict=True)]) == []


def test_parts_that_go_out_bare_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m2k_scatter, "taken_off", lambda array, *_, **__: array)
    views = [moved(*PAIRS["nobody in common"], SECRETS["zeros"], seed=seed)[0]["erin"] for seed in range(RUNS)]
    assert suspicious(list(contrasts(views)))


def test_all_of_the_target_together_learn_the_value_and_not_how_it_was_shared() -> None:
    """Of an input of alice her own part is all of it, and that of bob is 0: bare parts would tell whose it was."""

    def parts(freshly: Callable[..., list[Words]]) -> list[Words]:
        given: list[Words] = []

        def noted(bare: list[Words], types: list[ValueType], **between: Prg | None) -> list[Words]:
            own = freshly(bare, types, **between)
            given.append(own[0])
            return own

        moved(*PAIRS["nobody in common"], SECRETS["extremes"], seed=7, freshly=noted)
        np.testing.assert_array_equal(given[0] + given[1], SECRETS["extremes"])
        return given

    assert not np.any(parts(lambda bare, _, **between: list(bare))[1])
    assert suspicious([("a part", part) for part in parts(refreshed)]) == []
