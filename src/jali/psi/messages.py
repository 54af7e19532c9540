# SPDX-License-Identifier: Apache-2.0
"""Messages of points and tags: taken in with their size checked, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali import kernels
from jali.core.errors import PsiFrameInvalid
from jali.crypto.randomness import random_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.transport.channel import Stream

__all__ = ["places_of", "receive_parts", "receive_rows"]


def receive_rows(stream: Stream, width: int, count: int) -> NDArray[np.uint8]:
    """The next message, (count, width). Raises: PsiFrameInvalid for one of another size."""
    message = stream.receive()
    if message.nbytes != width * count:
        raise PsiFrameInvalid(
            f"expected {count} rows of {width} bytes from {stream.peer!r}, found {message.nbytes} bytes",
            party=stream.peer,
        )
    return np.frombuffer(message, np.uint8).reshape(count, width)


def receive_parts(stream: Stream, *sizes: int) -> list[NDArray[np.uint8]]:
    """The next message, cut into parts of these many bytes. Raises: PsiFrameInvalid for one of another size."""
    message = stream.receive()
    if message.nbytes != sum(sizes):
        raise PsiFrameInvalid(
            f"expected {sum(sizes)} bytes from {stream.peer!r}, found {message.nbytes}", party=stream.peer
        )
    return np.split(np.frombuffer(message, np.uint8), np.cumsum(sizes)[:-1])


def places_of(tags: NDArray[np.uint8], among: NDArray[np.uint8], *, peer: str) -> NDArray[np.int64]:
    """Where each tag stands among those that the peer's keys got, or -1.

    Shapes: (n, 16) and (m, 16) to (n,).
    Raises: PsiFrameInvalid if a tag of either stands twice: different keys have different ones, so `peer` lied.
    """
    seed = int.from_bytes(random_bytes(8), "little")
    found, repeated = kernels.match_rows(tags, among, seed=seed)
    if repeated or kernels.match_rows(tags[:0], tags, seed=seed)[1]:
        raise PsiFrameInvalid(f"expected different values from {peer!r}, found a repeated one", party=peer)
    return found
