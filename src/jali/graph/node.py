# SPDX-License-Identifier: Apache-2.0
"""Nodes and graphs: what a program does, in the order in which it says so.

A node's identity is a hash over what it does: operation, device, participants, attributes and inputs, and how often
exactly that happened before. Every frame that crosses between parties carries it, so parties whose programs differ
can never mix values up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from jali.core.threat import Leak
from jali.crypto.hashing import digest

__all__ = ["Graph", "Node", "Visibility"]


class Visibility(msgspec.Struct, frozen=True):
    """Who can see a value: everybody ("public"), some parties ("private"), or nobody ("secret" on a device).

    `holders` are the parties that have it in clear, the first of which hands it on; or the device that has its shares.
    """

    kind: Literal["public", "private", "secret"]
    holders: tuple[str, ...] = ()

    def to(self, party: str) -> bool:
        """Whether `party` can see it."""
        return self.kind == "public" or (self.kind == "private" and party in self.holders)

    def __str__(self) -> str:
        """For example ``private(alice, bob)``."""
        return self.kind if self.kind == "public" else f"{self.kind}({', '.join(self.holders)})"


class Node(msgspec.Struct, frozen=True, eq=False):
    """One step of a program. `attributes` stay in the process; only `id` (a hash over them) is compared."""

    id: bytes
    index: int
    operation: str
    device: str
    participants: tuple[str, ...]
    inputs: tuple[Node, ...]
    attributes: Mapping[str, Any]
    visibility: Visibility
    text: str
    source: str
    stage: str = ""
    leaks: tuple[Leak, ...] = ()

    @property
    def name(self) -> str:
        """Short name for messages: position and text."""
        return f"#{self.index} {self.text}"

    @property
    def stream_id(self) -> bytes:
        """The first 16 bytes of the identity."""
        return self.id[:16]


class Graph:
    """The nodes of one program so far, with a running digest over all of them."""

    def __init__(self) -> None:
        """Empty."""
        self.nodes: list[Node] = []
        self._seen: dict[bytes, int] = {}
        self._chain = bytes(32)

    @property
    def chain(self) -> bytes:
        """Digest of every node so far: equal at two parties exactly when their programs agree so far."""
        return self._chain

    def append(  # noqa: PLR0913 - a node has that many parts, and all are named
        self,
        operation: str,
        *,
        device: str,
        participants: tuple[str, ...],
        inputs: tuple[Node, ...],
        attributes: Mapping[str, Any],
        fingerprint: bytes,
        visibility: Visibility,
        text: str,
        source: str,
        stage: str = "",
        leaks: tuple[Leak, ...] = (),
    ) -> Node:
        """Add a node; `fingerprint` is what identifies its attributes."""
        content = digest(
            "graph.node",
            operation.encode(),
            device.encode(),
            "\0".join(participants).encode(),
            fingerprint,
            b"".join(node.id for node in inputs),
        )
        occurrence = self._seen.get(content, 0)
        self._seen[content] = occurrence + 1
        node = Node(
            id=digest("graph.occurrence", content, occurrence.to_bytes(8, "little")),
            index=len(self.nodes),
            operation=operation,
            device=device,
            participants=participants,
            inputs=inputs,
            attributes=attributes,
            visibility=visibility,
            text=text,
            source=source,
            stage=stage,
            leaks=leaks,
        )
        self.nodes.append(node)
        self._chain = digest("graph.chain", self._chain, node.id)
        return node
