# SPDX-License-Identifier: Apache-2.0
"""Who wants to know how far a run is: callbacks that are told of every node at every hosted party."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.graph.node import Node

    Listener = Callable[[str, Node, float, str], None]

__all__ = ["Listeners", "listeners"]


class Listeners:
    """A list of callbacks `(party, node, fraction done, what)`; a callback must return quickly."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._all: list[Listener] = []
        self._lock = threading.Lock()

    def add(self, listener: Listener) -> None:
        """Tell `listener` from now on."""
        with self._lock:
            self._all.append(listener)

    def remove(self, listener: Listener) -> None:
        """Stop telling it."""
        with self._lock:
            self._all.remove(listener)

    def tell(self, party: str, node: Node, done: float, what: str) -> None:
        """Tell everybody."""
        for listener in tuple(self._all):
            listener(party, node, done, what)


listeners = Listeners()
