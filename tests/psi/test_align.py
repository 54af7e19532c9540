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


def test_a_joint_function_can_mask_rows_that_are_absent(fed: Any) -> None:
    """`present` says at both which rows stand for nothing."""
    left, right = jali.align(*_both(fed), on="id", how="full")
    bank, bureau = jali.reveal(left, to="bank"), jali.reveal(right, to="bureau")
    rows = sorted(zip(*(side[name].tolist() for side, name in ((bank, "x"), (bureau, "y"))), strict=True))
    assert rows == [(0, 30), (1, 0), (2, 20), (3, 10), (4, 20)]
    assert sorted(bank["x"][bank["present"] & bureau["present"]].tolist()) == [2, 3, 4]
    assert bank["id"][~bank["present"]].tolist() == [""]
    masked = fed.mpc("bank", "bureau")(lambda x, a, y, b: (x * y * a * b).sum())
    columns = [(h, n) for h, names in ((left, ("x", "present")), (right, ("y", "present"))) for n in names]
    parts = [fed.plain(str(h.device))(column)(h, n) for h, n in columns]
    assert float(jali.reveal(masked(*parts), to="bank")) == pytest.approx(2 * 20 + 3 * 10 + 4 * 20)


def column(table: jali.Table, name: str) -> Any:
    return table[name].astype(float)


def test_rows_that_one_key_misses_are_found_by_the_next(fed: Any) -> None:
    bank = {"id": ["1", "", "3"], "phone": ["p", "q", "r"], "x": [1, 2, 3]}
    bureau = {"id": ["", "1", "4"], "phone": ["q", "p", "r"], "y": [10, 20, 30]}
    left, right = jali.align(
        fed.plain("bank")(table)(bank), fed.plain("bureau")(table)(bureau), on="id", otherwise="phone"
    )
    found = [jali.reveal(side, to=party) for side, party in ((left, "bank"), (right, "bureau"))]
    pairs = list(zip(found[0]["x"].tolist(), found[1]["y"].tolist(), strict=True))
    assert pairs[0] == (1, 20)
    assert sorted(pairs) == [(1, 20), (2, 10), (3, 30)]
    node = next(node for node in fed.program.graph.nodes if node.operation == "psi.align")
    assert node.text.startswith("align on 'id', otherwise 'phone'")
    assert any("for each key after the first" in leak.what for leak in node.leaks)


def test_what_differs_makes_another_program() -> None:
    ways: list[dict[str, Any]] = [
        {"normalise": "nfc, trim"},
        {"how": "left"},
        {"otherwise": ["x"]},
        {"otherwise": ["x", "y"]},
        {"otherwise": [["x", "y"]]},
        {"normalise": "trim,nfc"},
    ]
    identities = [_identity(**how) for how in ways]
    assert len(set(identities)) == len(ways)
    assert _identity() == identities[0]


def _identity(**how: Any) -> bytes:
    with jali.simulate("bank", "bureau") as fed:
        both = {"id": ["a"], "x": ["a"], "y": ["a"]}
        jali.align(fed.plain("bank")(table)(both), fed.plain("bureau")(table)(both), on="id", **how)
        return next(bytes(node.id) for node in fed.program.graph.nodes if node.operation == "psi.align")


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
        jali.align(left, right, on="id", normalise="nfcc")
    with pytest.raises(UnknownName, match=r"no join 'inne'.*inner"):
        jali.align(left, right, on="id", how="inne")
    for how, learns, write in (("right", "bank", "'left' for all"), ("full", "bureau", "'right' for all")):
        with pytest.raises(ProgramError, match=f"keeps rows of .* write 'inner' or 'semi' .* {write}"):
            jali.align(left, right, on="id", how=how, learns=learns)
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
