# SPDX-License-Identifier: Apache-2.0
"""Near misses: what somebody who typed an unknown name probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["suggest"]

MOST_NAMES = 12


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known names, and what is known.

    Example:
    >>> suggest("protcol", ["kind", "protocol"])
    " (did you mean 'protocol'?); known: kind, protocol"
    """
    from difflib import get_close_matches

    names = list(dict.fromkeys(known))
    lowered = {candidate.lower(): candidate for candidate in names}
    near = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=2, cutoff=0.6)]
    meant = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    if not names:
        return f"{meant}; there are none"
    more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{meant}; known: {', '.join(names[:MOST_NAMES])}{more}"
