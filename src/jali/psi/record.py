# SPDX-License-Identifier: Apache-2.0
"""What a party's ledger says of an intersection that no program ran: before, what it would show; then what it cost."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from jali.crypto.randomness import random_bytes
from jali.graph.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jali.core.config import Federation
    from jali.core.threat import Leak, Threat

__all__ = ["recorded", "trusted"]

_NODE_BYTES = 32


@contextmanager
def recorded(
    settings: Federation,
    party: str,
    *,
    text: str,
    participants: Sequence[str],
    leaks: Sequence[Leak],
    threats: Sequence[tuple[str, Threat]],
) -> Iterator[dict[str, Any]]:
    """A disclosure that is on the disk before anything is sent; at the end a node, with what is put into the mapping.

    Nothing that could be a key, nor a path, is recorded.
    Raises: LedgerBroken, LedgerUnwritable.
    """
    ledger = ledger_of(settings, party)
    named = {"node": random_bytes(_NODE_BYTES).hex(), "text": text, "source": "jali psi"}
    ledger.append("disclosure", {**named, "disclosures": [msgspec.to_builtins(leak) for leak in leaks]})
    found: dict[str, Any] = {}
    yield found
    body = {**named, "participants": list(participants), "trust": trusted(threats), **found}
    ledger.append("node", body)
    ledger.close()


def trusted(threats: Sequence[tuple[str, Threat]]) -> str:
    """What protocols rest on, in words."""
    return "; or ".join(
        f"{name}: {threat.adversary}, {threat.corrupt} of {threat.parties} may be corrupt; "
        f"{'; '.join(threat.assumptions)} ({threat.paper})"
        for name, threat in threats
    )
