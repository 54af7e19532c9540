# SPDX-License-Identifier: Apache-2.0
"""Kinds of joins: which rows each gives, to whom, and what the parties learn by it, for programs and files alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from jali.core.errors import TableInvalid, UnknownName
from jali.core.nearmiss import suggest
from jali.core.table import Table
from jali.core.threat import Leak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.core.errors import JaliError

__all__ = [
    "JOINS",
    "MATCHED",
    "PRESENT",
    "UNION",
    "JoinKind",
    "join_leaks",
    "mark_of_rows",
    "require_join",
    "require_no_column",
    "require_union",
    "with_absent",
]

PRESENT: Final = "present"
"""The column that says which rows this party has, where others stand in for the peer's without a match."""

MATCHED: Final = "matched"
"""The column that says which rows the peer has too, where one party gets all of its own."""


class JoinKind(NamedTuple):
    """Which rows a join gives.

    `aligned`: row i of one party belongs to row i of the other, if both learn; else each gets its own rows, each once
    and in their order. `keeps`: whether the left's and the right's rows without a match are given too. `of_matches`:
    of a join that is not aligned, whether the rows with or those without a match are meant.
    """

    aligned: bool = True
    keeps: tuple[bool, bool] = (False, False)
    of_matches: bool = True


JOINS: Final = {
    "inner": JoinKind(),
    "left": JoinKind(keeps=(True, False)),
    "right": JoinKind(keeps=(False, True)),
    "full": JoinKind(keeps=(True, True)),
    "semi": JoinKind(aligned=False),
    "anti": JoinKind(aligned=False, of_matches=False),
}


UNION: Final = "union"
"""A row for each key of either party, of which neither learns which are in common: `jali.psi.union`."""


def require_join(
    how: str, *, learners: tuple[str, ...], owners: tuple[str, str], error: type[JaliError] = UnknownName
) -> None:
    """Check that there is such a join, and that the learners can have it; `owners` are left and right.

    Raises: UnknownName, with the near misses; `error` for rows of a party that does not learn.
    """
    if how == UNION and len(learners) == 2:
        return
    if how == UNION:
        raise error("expected both parties to learn from a union, whose rows are those of both")
    if how not in JOINS:
        raise UnknownName(f"there is no join {how!r}{suggest(how, [*JOINS, UNION])}")
    own = "left" if learners[0] == owners[0] else "right"
    if len(learners) == 1 and any(JOINS[how].keeps) and how != own:
        learner, other = learners[0], owners[own == "left"]
        raise error(
            f"expected a join of the own rows of {learner!r}, which alone learns, found {how!r}, which keeps rows of "
            f"{other!r}: write 'inner' or 'semi' for those that {other!r} has too, 'anti' for those that it has not, "
            f"{own!r} for all, or let both learn"
        )


def require_union(*, otherwise: bool, protocol: str, error: type[JaliError]) -> None:
    """Raises: `error` for a union on more than one key, or by a protocol that is not its own."""
    if otherwise or protocol != "auto":
        raise error("a union goes by one key and has one protocol: leave out 'otherwise' and 'protocol'")


def with_absent(table: Table, rows: NDArray[np.int64], *, party: str) -> Table:
    """The rows of a table at these numbers, zeros and empty texts where a number is -1, and which those are not.

    Raises: TableInvalid if the table has a column of the name `PRESENT`.
    """
    require_no_column(table.columns, PRESENT, party=party)
    present = rows >= 0
    columns = {}
    for name in table:
        columns[name] = np.zeros(len(present), table[name].dtype)
        columns[name][present] = table[name][rows[present]]
    return Table({**columns, PRESENT: present})


def require_no_column(columns: tuple[str, ...], mark: str, *, party: str) -> None:
    """Raises: TableInvalid if a table has the column that a join adds."""
    if mark in columns:
        raise TableInvalid(f"the table at {party!r} has a column {mark!r}, which this join adds: rename it")


def mark_of_rows(how: str, *, both_learn: bool) -> str:
    """The column that a join adds; "" if none."""
    if not any(JOINS[how].keeps):
        return ""
    return PRESENT if both_learn else MATCHED


def join_leaks(how: str, *, learners: tuple[str, ...], owners: tuple[str, str], otherwise: int = 0) -> tuple[Leak, ...]:
    """What each owner learns beyond what the intersection tells it, with so many keys after the first."""
    kind, both, found = JOINS[how], len(learners) == 2, []
    for party, peer, kept in zip(owners, reversed(owners), reversed(kind.keeps), strict=True):
        if otherwise:
            among = "among its rows that no key before has matched" if both else "among all of its rows"
            found.append(
                Leak(
                    what=f"the number of distinct keys of {peer} for each key after the first, {among}",
                    to=party,
                    why="one key after the other is intersected",
                )
            )
        if both and kind.aligned:
            found.append(
                Leak(
                    what=f"in how many rows {peer} has each common key",
                    to=party,
                    why="duplicates multiply in a join",
                )
            )
        if both and kept:
            found.append(Leak(what=f"how many rows of {peer} have no match", to=party, why=f"a {how} join keeps them"))
    return tuple(found)
