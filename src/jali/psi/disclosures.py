# SPDX-License-Identifier: Apache-2.0
"""What a join of two parties shows and rests on, whatever its kind and protocol: for plans, pages and ledgers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jali.psi import spine
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.kinds import UNION, join_leaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.core.threat import Leak, Threat

__all__ = ["disclosures", "threats"]


def disclosures(
    how: str, *, protocols: Sequence[str], learners: tuple[str, ...], owners: tuple[str, str], otherwise: int = 0
) -> tuple[Leak, ...]:
    """What each owner learns, with any of these protocols, and so many keys after the first."""
    if how == UNION:
        return spine.leaks(owners)
    leaks = [leak for name in protocols for leak in PSI_PROTOCOLS.get(name)().leaks(owners, learners=learners)]
    leaks += join_leaks(how, learners=learners, owners=owners, otherwise=otherwise)
    return tuple(dict.fromkeys(leaks))


def threats(how: str, *, protocols: Sequence[str]) -> tuple[tuple[str, Threat], ...]:
    """Each protocol's name and the setting in which it is secure."""
    if how == UNION:
        return (("spine", spine.THREAT),)
    return tuple((name, PSI_PROTOCOLS.get(name).threat) for name in protocols)
