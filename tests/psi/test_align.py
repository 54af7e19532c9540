# SPDX-License-Identifier: Apache-2.0
"""`jali.align` in a program: handles in, handles out, and the disclosures on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import jali
from jali.core.errors import ColumnMissing, JaliError, ProgramError, PsiKeysDiffer, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT = {"id": ["ana", "bo", "cy", "bo"], "x": [1, 2, 3, 4]}
RIGHT = {"id": ["cy", "bo ", "dan"], "y": [10, 20, 30]}


def table(columns: dict[str, Any]) -> jali.Table:
    return jali.Table(columns)


@pytest.fixture
def fed() -> Iterator[Any]:
    made = jali.simulate("bank", "bureau", "dealer")
    yield made
    made.close()


def _both(fed: Any) -> tuple[Any, Any]:
    return fed.plain("bank")(table)(LEFT), fed.plain("bureau")(table)(RIGHT)


def test_aligned_rows_stay_at_their_owners(fed: Any) -> None:
    left, right = jali.align(*_both(fed), on="id")
    assert (left.device, right.device) == ("bank", "bureau")
    pairs = zip(jali.reveal(left, to="bank")["x"], jali.reveal(right, to="bureau")["y"], strict=True)
    assert sorted((int(x), int(y)) for x, y in pairs) == [(2, 20), (3, 10), (4, 20)]


def test_neither_owner_can_use_the_others_rows(fed: Any) -> None:
    left, right = jali.align(*_both(fed), on="id")
    for handle, party in ((left, "bureau"), (right, "bank")):
        with pytest.raises(JaliError, match="would see"):
            fed.plain(party)(len)(handle)


def test_only_one_party_learns(fed: Any) -> None:
    for learns in ("bureau", fed.plain("bureau")):
        left, right = jali.align(*_both(fed), on="id", learns=learns)
        assert left is None
        assert sorted(jali.reveal(right, to="bureau")["y"].tolist()) == [10, 20]
        node = fed.program.graph.nodes[-3]
        assert node.operation == "psi.align"
        assert not [leak for leak in node.leaks if leak.to == "bank" and "which" in leak.what]


def test_disclosures_are_on_the_node(fed: Any) -> None:
    jali.align(*_both(fed), on="id")
    leaks = next(node for node in fed.program.graph.nodes if node.operation == "psi.align").leaks
    assert {(leak.to, leak.what.split(" ")[0]) for leak in leaks} == {
        (party, word) for party in ("bank", "bureau") for word in ("the", "which", "in")
    }


def test_a_plan_lists_the_disclosures_before_anything_runs() -> None:
    def job(fed: Any) -> None:
        jali.align(fed.plain("bank")(table)(LEFT), fed.plain("bureau")(table)(RIGHT), on="id", learns="bank")

    plan = jali.explain(job, ["bank", "bureau"])
    learned = {leak.to: leak.what for leak in plan.disclosures}
    assert learned["bank"] == "which of its own keys bureau has too"
    assert learned["bureau"].startswith("the number of distinct keys of bank")
    assert all(row.bytes_sent is None for row in plan.rows)
    assert any("ecdh intersection of bank and bureau: semi-honest" in line for line in plan.trust)


def test_what_cannot_be_aligned_is_refused_at_once(fed: Any) -> None:
    left, right = _both(fed)
    with pytest.raises(ProgramError, match="both are at 'bank'"):
        jali.align(left, left, on="id")
    with pytest.raises(ProgramError, match="found dict"):
        jali.align(left, RIGHT, on="id")
    with pytest.raises(ProgramError, match='"bureau", found "dealer"'):
        jali.align(left, right, on="id", learns="dealer")
    with pytest.raises(UnknownName, match=r"no psi protocol 'ecdhh'.*ecdh"):
        jali.align(left, right, on="id", protocol="ecdhh")
    with pytest.raises(UnknownName, match="no normalisation"):
        jali.align(left, right, on="id", normalise="nfc")
    assert not [node for node in fed.program.graph.nodes if node.operation == "psi.align"]


@pytest.mark.parametrize(("columns", "error"), [({"name": ["ana"]}, ColumnMissing), ({"id": [1, 2]}, PsiKeysDiffer)])
def test_bad_columns_end_the_program_by_name(columns: dict[str, Any], error: type[JaliError]) -> None:
    """The error may surface at any later call, since nodes run as soon as they can."""
    with pytest.raises(error):
        _program(columns)


def _program(columns: dict[str, Any]) -> None:
    with jali.simulate("bank", "bureau", "dealer") as fed:
        _, right = jali.align(fed.plain("bank")(table)(columns), fed.plain("bureau")(table)(RIGHT), on="id")
        jali.reveal(right, to="bureau")
