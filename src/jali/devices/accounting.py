# SPDX-License-Identifier: Apache-2.0
"""What a node was dealt, told to all: no party reads an online cost without the dealer's beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jali.core import codec
from jali.core.errors import MalformedMessage
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.core.threat import Dealt
    from jali.devices.roles import Layout
    from jali.graph.context import Context

__all__ = ["account", "tell_seconds"]

SECONDS = "~dealing"


def account(context: Context, layout: Layout, role: int, *, dealt: Sequence[Dealt], seconds: float) -> None:
    """Note the bytes, which all roles know, and the seconds, which the dealer tells the others when it has dealt all.

    Nothing is said where nothing was dealt, or where it was before. `seconds` are those of this role.
    Raises: MalformedMessage if the dealer says something else.
    """
    if not dealt:
        return
    context.dealt_bytes = sum(items.size_bytes for items in dealt)
    dealer: int = PROTOCOLS.get(layout.protocol).dealer
    if role == dealer:
        tell_seconds(context, layout, seconds)
    elif layout.absent is None and context.party != layout.roles[dealer]:
        tell_seconds(context, layout, None)


def tell_seconds(context: Context, layout: Layout, seconds: float | None) -> None:
    """The dealer's seconds of this node, from it to all other parties; `seconds` is None at those."""
    party = layout.roles[PROTOCOLS.get(layout.protocol).dealer]
    if seconds is not None:
        context.dealing_s = seconds
        for other in dict.fromkeys(layout.roles):
            if other != party:
                context.stream(other, SECONDS).send(*codec.encode(seconds))
        return
    told = codec.decode(context.stream(party, SECONDS).receive())
    if not isinstance(told, float):
        raise MalformedMessage(f"expected the seconds of dealing, found {type(told).__name__}", party=party)
    context.dealing_s = told
