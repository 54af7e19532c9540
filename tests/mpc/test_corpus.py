# SPDX-License-Identifier: Apache-2.0
"""The corpus: every program is run in clear and priced; every second one runs under m2k, at the price it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jali.mpc.cost.estimate import estimate
from jali.mpc.engine import estimate_program
from tests.mpc.corpus import BASICS, PROGRAMS, agree, operation_of, program_of, run_program_under

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jali.mpc.rounds import Round

OTHERS = sorted(PROGRAMS.keys() - BASICS.keys())


def test_the_corpus_is_large() -> None:
    assert len(PROGRAMS) >= 200


@pytest.mark.parametrize("name", OTHERS)
def test_a_program_agrees_with_jax_in_clear(name: str) -> None:
    agree(name, run_program_under("plain", name))


@pytest.mark.parametrize("protocol", ["m2k", "rep3"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_program_has_a_price(protocol: str, name: str) -> None:
    program = program_of(name)
    cost = estimate_program(program, protocol)
    local = not cost.rounds
    assert local == (not any(cost.bytes_sent.values()))
    assert all(size >= 0 for size in (*cost.bytes_sent.values(), cost.offline_bytes))


@pytest.mark.parametrize("name", OTHERS[::2])
def test_a_program_agrees_with_jax_under_m2k_at_its_price(name: str) -> None:
    rounds, words = [0], [0]

    def observe(current: Mapping[int, Round]) -> None:
        now = sum(array.size for round_ in current.values() for sent in round_.send.values() for array in sent)
        rounds[0] += now > 0
        words[0] += now

    agree(name, run_program_under("m2k", name, observe=observe))
    cost = estimate("m2k", operation_of(name))
    assert (cost.rounds, sum(cost.bytes_sent.values())) == (rounds[0], 8 * words[0])
