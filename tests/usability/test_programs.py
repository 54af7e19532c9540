# SPDX-License-Identifier: Apache-2.0
"""Mistakes that people make in programs, each with the words that help them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core.errors import JaliError, ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = 271828


@pytest.fixture(scope="module")
def fed() -> Iterator[Any]:
    with jali.simulate("alice", "bob") as federation:
        yield federation


def number() -> int:
    return SECRET


def double(x: int) -> int:
    return 2 * x


def test_branching_on_a_handle_points_to_where(fed: Any) -> None:
    x = fed.plain("alice")(number)()
    with pytest.raises(ProgramError, match=r"no truth value.*jnp\.where"):
        bool(x)


def test_comparing_a_handle_points_to_the_device(fed: Any) -> None:
    x = fed.plain("alice")(number)()
    with pytest.raises(ProgramError, match="compare on the device"):
        _ = x == SECRET


def test_unpacking_a_handle_points_to_returns(fed: Any) -> None:
    pair = fed.plain("alice")(lambda: (1, 2))()
    with pytest.raises(ProgramError, match="returns=2"):
        _first, _second = pair


@pytest.mark.parametrize("use", [lambda x: x + 1, lambda x: 2 * x, lambda x: x < 3, float, int, len, abs])
def test_computing_with_a_handle_points_to_the_device(fed: Any, use: Callable[[Any], object]) -> None:
    x = fed.plain("alice")(number)()
    with pytest.raises(ProgramError, match=r"number.*made at test_programs.py.*device\(lambda a, b: a \+ b\)\(x, y\)"):
        use(x)


def test_a_handle_from_outside_a_function_must_be_an_argument() -> None:
    with jali.simulate("alice", "bob") as fed:
        x, y = (fed.plain(party)(number)() for party in ("alice", "bob"))
        with pytest.raises(ProgramError, match="with the value as an argument"):
            jali.reveal(fed.mpc("alice", "bob")(lambda a: a + y)(x), to="alice")
        with pytest.raises(ProgramError) as again:
            fed.plain("alice")(number)()
        assert any("Make a new federation" in note for note in again.value.__notes__)
        fed.abandon(again.value)


def test_numpy_on_a_handle_points_to_the_device(fed: Any) -> None:
    x = fed.plain("alice")(number)()
    with pytest.raises(ProgramError, match="compute on the device"):
        np.asarray(x)


def test_a_handle_shows_no_value(fed: Any) -> None:
    x = fed.plain("alice")(number)()
    jali.reveal(x, to="alice")
    assert str(SECRET) not in repr(x) + x._repr_html_()
    assert "alice" in repr(x)


def test_showing_a_private_value_to_another_party_is_refused(fed: Any) -> None:
    x = fed.plain("alice")(number)()
    with pytest.raises(ProgramError, match=r"double.*bob.*alice.*reveal\(x, to='bob'\)"):
        fed.plain("bob")(double)(x)


def test_a_misspelt_party_names_those_that_exist(fed: Any) -> None:
    with pytest.raises(ProgramError, match=r"'alcie'.*alice, bob"):
        fed.plain("alcie")


def test_a_misspelt_protocol_names_the_near_miss(fed: Any) -> None:
    with pytest.raises(JaliError, match=r"'m2q'.*m2k"):
        fed.mpc("alice", "bob", protocol="m2q")


def test_a_party_that_deals_for_itself_has_to_be_asked_for(fed: Any) -> None:
    with pytest.raises(ProgramError, match=r"could read every secret.*insecure_dealer = 'alice'"):
        fed.mpc("alice", "bob", dealer="alice")


def test_three_parties_for_a_protocol_of_two() -> None:
    with jali.simulate("alice", "bob", "carol") as fed, pytest.raises(ProgramError, match="2 different parties"):
        fed.mpc("alice", "bob", "carol", protocol="m2k")


def branch(x: Any) -> Any:
    return x if x > 0 else -x


def loop(x: Any) -> Any:
    while x > 0:
        x = x - 1
    return x


@pytest.mark.parametrize("function", [branch, loop])
def test_branching_inside_an_mpc_function_points_to_where(function: Callable[[Any], Any]) -> None:
    with pytest.raises(ProgramError, match=r"jnp\.where"):
        run_on_shares(function)


def run_on_shares(function: Callable[[Any], Any]) -> Any:
    with jali.simulate("alice", "bob") as fed:
        x = fed.plain("alice")(number)()
        return jali.reveal(fed.mpc("alice", "bob")(function)(x), to="alice")


def test_a_failing_function_of_a_party_is_named_without_its_message() -> None:
    def load() -> float:
        raise ValueError(f"salary {SECRET}")  # what a careless library does

    with pytest.raises(ProgramError, match="ValueError") as caught, jali.simulate("alice", "bob") as fed:
        jali.reveal(fed.plain("alice")(load)(), to="alice")
    assert str(SECRET) not in str(caught.value)
    assert "alice" in str(caught.value)
    assert "test_programs.py" in str(caught.value)


@pytest.mark.parametrize("mode", ["simulate", "explain"])
def test_simulating_without_saying_whom(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("JALI_MODE", mode)
    monkeypatch.delenv("JALI_FEDERATION", raising=False)
    with pytest.raises(JaliError, match=r"which parties there are.*--parties alice,bob.*--federation FILE"):
        jali.connect()


def test_a_federation_says_who_is_in_it(fed: Any) -> None:
    assert repr(fed) == "<Federation of alice, bob, dealer; here: alice, bob, dealer>"


def test_a_value_revealed_to_two_is_seen_by_both(fed: Any) -> None:
    x = fed.plain("alice")(number)()
    jali.reveal(x, to=["bob", "alice"])
    assert fed.report(predicted=False).rows[-1].visibility == "private(bob, alice)"


def test_connecting_without_saying_who(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JALI_MODE", "JALI_PARTY", "JALI_FEDERATION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(JaliError, match=r"jali run PROGRAM\.py --parties.*jali\.connect\('federation\.toml', me="):
        jali.connect()
