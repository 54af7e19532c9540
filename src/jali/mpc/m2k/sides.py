# SPDX-License-Identifier: Apache-2.0
"""The three ways to stand in m2k: as an evaluator, as the dealer, and as one who only has shapes.

`jali.mpc.m2k.protocol` says once what the operations compute and when they talk; a side does its part of each formula.
So all roles, and the estimator, follow one control flow.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

import numpy as np

from jali.core.errors import ProtocolAbort, ProtocolUseError
from jali.mpc.rings import Ring
from jali.mpc.words import NOTHING, added, taken_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from jali.crypto.prg import Prg
    from jali.transport.channel import Stream

__all__ = ["DEALER", "EVALUATORS", "Dealer", "Evaluator", "Outsider", "Side", "Sizes"]

EVALUATORS = (0, 1)
DEALER = 2
FRAME_BYTES = 256 * 1024
PIECE_BYTES = 8 << 20
"""The most that one message has of an array, so that windows of streams bound what a slow evaluator must hold."""
_JOIN_PARTS = 16


class Side(Protocol):
    """One role's part of every formula. `layout` is the shape in words; a nonce names a mask and is used once."""

    def evaluate(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """What only evaluators can compute."""
        ...

    def track(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """What everybody who holds (a share of) a mask computes of it."""
        ...

    def mask(
        self, layout: tuple[int, ...], nonce: int, *, ring: Ring = Ring.WORDS, owner: int | None = None
    ) -> NDArray[np.uint64]:
        """A fresh mask: lam_i at evaluator i, lam at the dealer. With an `owner`, that evaluator knows all of it."""
        ...

    def blind(self, part: NDArray[np.uint64], layout: tuple[int, ...], nonce: int) -> NDArray[np.uint64]:
        """part + fresh mask at an evaluator, in one pass and without keeping the mask; the mask at the dealer."""
        ...

    def deal(
        self, layout: tuple[int, ...], nonce: int, correlation: Callable[[], NDArray[np.uint64]], *, ring: Ring
    ) -> NDArray[np.uint64]:
        """An evaluator's share of what the dealer computes from the masks. Cost: one word offline for each word."""
        ...

    def hurry(self) -> AbstractContextManager[None]:
        """While this role waits for evaluators, hold back nothing that they need."""
        ...

    def prefetch(self) -> None:
        """Wait until everything that the dealer sends is here."""
        ...

    def finish(self) -> None:
        """End the stream of corrections."""
        ...


class Evaluator:
    """Evaluator 0 draws its shares of what is dealt; evaluator 1 receives them as corrections, in order of use."""

    def __init__(self, role: int, *, dealing: Prg | None, stream: Stream | None) -> None:
        """`dealing` is shared with the dealer, if it deals; `stream` comes from the dealer, at evaluator 1."""
        self._role = role
        self._shared = dealing
        self._corrections = _CorrectionReader(stream) if stream is not None else None

    @property
    def _dealing(self) -> Prg:
        if self._shared is None:
            raise ProtocolUseError(f"evaluator {self._role} shares no generator with a dealer, so nothing can be dealt")
        return self._shared

    def evaluate(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """The formula."""
        return formula()

    def track(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """The formula."""
        return formula()

    def mask(
        self, layout: tuple[int, ...], nonce: int, *, ring: Ring = Ring.WORDS, owner: int | None = None
    ) -> NDArray[np.uint64]:
        """Words shared with the dealer; zeros for the mask that the other evaluator owns."""
        if owner in (None, self._role):
            return self._dealing.words(nonce, layout)
        return np.zeros(layout, np.uint64)

    def blind(self, part: NDArray[np.uint64], layout: tuple[int, ...], nonce: int) -> NDArray[np.uint64]:
        """The part plus words shared with the dealer."""
        return self._dealing.add(part, nonce)

    def deal(
        self, layout: tuple[int, ...], nonce: int, correlation: Callable[[], NDArray[np.uint64]], *, ring: Ring
    ) -> NDArray[np.uint64]:
        """Words shared with the dealer, or the next correction."""
        if self._corrections is None:
            return self._dealing.words(nonce, layout)
        return self._corrections.take(layout)

    def hurry(self) -> AbstractContextManager[None]:
        """Nothing is held back."""
        return nullcontext()

    def prefetch(self) -> None:
        """Read all corrections."""
        if self._corrections is not None:
            self._corrections.prefetch()

    def finish(self) -> None:
        """Check that all corrections were used."""
        if self._corrections is not None:
            self._corrections.finish()


class Dealer:
    """Knows all masks and no masked value. Sends corrections to evaluator 1; receives what is revealed to it."""

    def __init__(self, *, dealing: tuple[Prg, Prg], stream: Stream) -> None:
        """`dealing` are shared with evaluators 0 and 1; `stream` leads to evaluator 1."""
        self._dealing = dealing
        self._corrections = _CorrectionWriter(stream)

    def evaluate(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """Nothing."""
        return NOTHING

    def track(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """The formula, of whole masks."""
        return formula()

    def mask(
        self, layout: tuple[int, ...], nonce: int, *, ring: Ring = Ring.WORDS, owner: int | None = None
    ) -> NDArray[np.uint64]:
        """The whole mask."""
        if owner is not None:
            return self._dealing[owner].words(nonce, layout)
        return added(self._dealing[0].words(nonce, layout), self._dealing[1], nonce, ring=ring)

    def blind(self, part: NDArray[np.uint64], layout: tuple[int, ...], nonce: int) -> NDArray[np.uint64]:
        """The whole mask."""
        return self.mask(layout, nonce)

    def deal(
        self, layout: tuple[int, ...], nonce: int, correlation: Callable[[], NDArray[np.uint64]], *, ring: Ring
    ) -> NDArray[np.uint64]:
        """Compute the correlation and send evaluator 1 its share."""
        self._corrections.put(taken_off(correlation(), self._dealing[0], nonce, ring=ring))
        return NOTHING

    def hurry(self) -> AbstractContextManager[None]:
        """Send every correction at once."""
        return self._corrections.hurry()

    def prefetch(self) -> None:
        """Nothing to wait for."""

    def finish(self) -> None:
        """Send what is left, and the end."""
        self._corrections.finish()


class Sizes:
    """Arrays of the right shape without memory or content."""

    def evaluate(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """An array of that shape."""
        return np.broadcast_to(np.uint64(0), layout)

    track = evaluate

    def mask(
        self, layout: tuple[int, ...], nonce: int, *, ring: Ring = Ring.WORDS, owner: int | None = None
    ) -> NDArray[np.uint64]:
        """An array of that shape."""
        return np.broadcast_to(np.uint64(0), layout)

    def blind(self, part: NDArray[np.uint64], layout: tuple[int, ...], nonce: int) -> NDArray[np.uint64]:
        """An array of that shape."""
        return np.broadcast_to(np.uint64(0), layout)

    def deal(
        self, layout: tuple[int, ...], nonce: int, correlation: Callable[[], NDArray[np.uint64]], *, ring: Ring
    ) -> NDArray[np.uint64]:
        """An array of that shape."""
        return np.broadcast_to(np.uint64(0), layout)

    def hurry(self) -> AbstractContextManager[None]:
        """Nothing is held back."""
        return nullcontext()

    def prefetch(self) -> None:
        """Nothing to wait for."""

    def finish(self) -> None:
        """Nothing to end."""


class Outsider:
    """The guest: it computes what it sends, and holds no part of anything."""

    def evaluate(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """The formula."""
        return formula()

    def track(self, layout: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """Nothing."""
        return NOTHING

    def mask(
        self, layout: tuple[int, ...], nonce: int, *, ring: Ring = Ring.WORDS, owner: int | None = None
    ) -> NDArray[np.uint64]:
        """Nothing."""
        return NOTHING

    def blind(self, part: NDArray[np.uint64], layout: tuple[int, ...], nonce: int) -> NDArray[np.uint64]:
        """Nothing."""
        return NOTHING

    def deal(
        self, layout: tuple[int, ...], nonce: int, correlation: Callable[[], NDArray[np.uint64]], *, ring: Ring
    ) -> NDArray[np.uint64]:
        """Nothing."""
        return NOTHING

    def hurry(self) -> AbstractContextManager[None]:
        """Nothing is held back."""
        return nullcontext()

    def prefetch(self) -> None:
        """Nothing to wait for."""

    def finish(self) -> None:
        """Nothing to end."""


class _CorrectionWriter:
    """Corrections, gathered into messages of at least 256 KiB; an empty message ends them.

    An array is in one message, or cut into pieces of `PIECE_BYTES`, each of which is.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._parts: list[memoryview] = []
        self._waiting_bytes = 0
        self._hurried = 0

    def put(self, correction: NDArray[np.uint64]) -> None:
        if not correction.size:
            return
        octets = correction.reshape(-1).data.cast("B")
        for start in range(0, octets.nbytes, PIECE_BYTES):
            piece = octets[start : start + PIECE_BYTES]
            self._parts.append(piece)
            self._waiting_bytes += piece.nbytes
            if self._hurried or self._waiting_bytes >= FRAME_BYTES:
                self._flush()

    @contextmanager
    def hurry(self) -> Iterator[None]:
        if self._parts:
            self._flush()
        self._hurried += 1
        try:
            yield
        finally:
            self._hurried -= 1

    def finish(self) -> None:
        if self._parts:
            self._flush()
        self._stream.send(b"")

    def _flush(self) -> None:
        # System calls take few buffers at once, so many small ones are joined; large ones are never copied.
        many = len(self._parts) > _JOIN_PARTS
        self._stream.send(*([b"".join(self._parts)] if many else self._parts))
        self._parts, self._waiting_bytes = [], 0


class _CorrectionReader:
    """Corrections in their order; a piece of an array never straddles two messages."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._messages: deque[memoryview] = deque()
        self._current = memoryview(b"")
        self._ended = False

    def take(self, layout: tuple[int, ...]) -> NDArray[np.uint64]:
        size = 8 * math.prod(layout)
        if size <= PIECE_BYTES:
            return np.frombuffer(self._piece(size), np.uint64).reshape(layout)
        whole = np.empty(layout, np.uint64)
        octets = whole.reshape(-1).data.cast("B")
        for start in range(0, size, PIECE_BYTES):
            end = min(start + PIECE_BYTES, size)
            octets[start:end] = self._piece(end - start)
        return whole

    def _piece(self, size: int) -> memoryview:
        if not size:
            return memoryview(bytearray())
        if not self._current.nbytes:
            self._current = self._messages.popleft() if self._messages else self._receive()
        if size > self._current.nbytes:
            raise ProtocolAbort(
                f"expected a correction of {size} bytes from the dealer, found {self._current.nbytes}: "
                "the dealer runs another program or another version",
                party=self._stream.peer,
            )
        taken, self._current = self._current[:size], self._current[size:]
        return taken

    def prefetch(self) -> None:
        while not self._ended:
            message = self._receive()
            if message.nbytes:
                self._messages.append(message)

    def finish(self) -> None:
        left = self._current.nbytes + sum(message.nbytes for message in self._messages)
        if not left and not self._ended:
            left = self._receive().nbytes
        if left:
            raise ProtocolAbort(
                f"expected no more corrections from the dealer, found at least {left} bytes: "
                "the dealer runs another program or another version",
                party=self._stream.peer,
            )

    def _receive(self) -> memoryview:
        message = memoryview(b"") if self._ended else self._stream.receive()
        self._ended = not message.nbytes
        return message
