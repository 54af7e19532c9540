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

__all__ = ["account"]

DEALING = "~dealing"


def account(context: Context, layout: Layout, role: int, *, dealt: Sequence[Dealt], seconds: float) -> None:
    """Note the bytes, which all roles know, and the seconds, which the dealer tells the others when it has dealt all.

    Nothing is said where nothing was dealt. `seconds` are those of this role.
    Raises: MalformedMessage if the dealer says something else.
    """
    if not dealt:
        return
    context.dealt_bytes = sum(items.size_bytes for items in dealt)
    dealer: int = PROTOCOLS.get(layout.protocol).dealer
    party = layout.roles[dealer]
    if role == dealer:
        context.dealing_s = seconds
        for other in dict.fromkeys(layout.roles):
            if other != party:
                context.stream(other, DEALING).send(*codec.encode(seconds))
    elif context.party != party:
        told = codec.decode(context.stream(party, DEALING).receive())
        if not isinstance(told, float):
            raise MalformedMessage(f"expected the seconds of dealing from {party!r}, found {type(told).__name__}")
        context.dealing_s = told
