# SPDX-License-Identifier: Apache-2.0
"""Shares that are opened to a form that products need: once each, however many operations ask for it.

An instance of a protocol remembers what it opened while the share lives. Operations that run at the same time and
need the same share in the same round open it once: the first sends, the others wait that round and take the result.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jali.core.errors import InternalError
from jali.mpc.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

__all__ = ["Openings"]

Closed = TypeVar("Closed")
Opened = TypeVar("Opened")


class Openings(Generic[Closed, Opened]):
    """What one role has opened."""

    def __init__(
        self,
        closed: type[Closed],
        opened: type[Opened],
        open_all: Callable[[list[Closed]], Generator[Round, Any, list[Opened]]],
    ) -> None:
        """`open_all` opens shares in exactly one round (of nothing, if there are none)."""
        self._closed = closed
        self._opened = opened
        self._open_all = open_all
        # By identity, since shares refuse comparison; an entry goes with its share. None: the opening is on its way.
        self._known: dict[int, tuple[weakref.ref[Any], Opened | None]] = {}

    def __len__(self) -> int:
        """How many openings are remembered."""
        return len(self._known)

    def forget(self) -> None:
        """Drop all openings."""
        self._known.clear()

    def find(self, x: Closed | Opened) -> Closed | Opened:
        """The opened form, if x has one already."""
        entry = self._known.get(id(x)) if isinstance(x, self._closed) else None
        return x if entry is None or entry[1] is None else entry[1]

    def found(self, shares: Sequence[Closed | Opened]) -> list[Opened]:
        """The opened forms of those that have one."""
        return [form for form in map(self.find, shares) if isinstance(form, self._opened)]

    def open(self, *shares: Closed | Opened) -> Generator[Round, Any, list[Opened]]:
        """The opened form of all; those that have none are opened in one round."""
        if len(shares) == 1:
            form = self.find(shares[0])
            opened = [form] if isinstance(form, self._opened) else []
        else:
            opened = self.found(shares)
        if len(opened) == len(shares):
            return opened
        fresh = {id(x): x for x in shares if isinstance(x, self._closed) and id(x) not in self._known}
        for key, x in fresh.items():
            self._known[key] = (weakref.ref(x, self._forgetter(key)), None)
        forms = yield from self._open_all(list(fresh.values()))
        for key, form in zip(fresh, forms, strict=True):
            self._known[key] = (self._known[key][0], form)
        opened = self.found(shares)
        if len(opened) < len(shares):
            # The operation that opens it is resumed after this one.
            yield Round({}, {})
            opened = self.found(shares)
        if len(opened) < len(shares):
            raise InternalError("an opening that another operation began was never finished: was it dropped half-way?")
        return opened

    def _forgetter(self, key: int) -> Callable[[object], None]:
        known = self._known

        def forget(_: object) -> None:
            known.pop(key, None)

        return forget
