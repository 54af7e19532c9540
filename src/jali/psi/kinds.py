# SPDX-License-Identifier: Apache-2.0
"""Kinds of joins: which rows each gives, to whom, and what the parties learn by it, for programs and files alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from jali.core.errors import UnknownName
from jali.core.nearmiss import suggest
from jali.core.threat import Leak

if TYPE_CHECKING:
    from jali.core.errors import JaliError

__all__ = ["JOINS", "MATCHED", "PRESENT", "JoinKind", "join_leaks", "mark_of_rows", "require_join"]

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


def require_join(
    how: str, *, learners: tuple[str, ...], owners: tuple[str, str], error: type[JaliError] = UnknownName
) -> None:
    """Check that there is such a join, and that the learners can have it; `owners` are left and right.

    Raises: UnknownName, with the near misses; `error` for rows of a party that does not learn.
    """
    if how not in JOINS:
        raise UnknownName(f"there is no join {how!r}{suggest(how, JOINS)}")
    own = "left" if learners[0] == owners[0] else "right"
    if len(learners) == 1 and any(JOINS[how].keeps) and how != own:
        learner, other = learners[0], owners[own == "left"]
        raise error(
            f"expected a join of the own rows of {learner!r}, which alone learns, found {how!r}, which keeps rows of "
            f"{other!r}: write 'inner' or 'semi' for those that {other!r} has too, 'anti' for those that it has not, "
            f"{own!r} for all, or let both learn"
        )


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
