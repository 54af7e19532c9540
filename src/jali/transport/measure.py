# SPDX-License-Identifier: Apache-2.0
"""How fast two connected parties talk: round trip of a small message, and bytes a second each way."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import msgspec

from jali.core.errors import FrameInvalid

if TYPE_CHECKING:
    from jali.transport.channel import Stream
    from jali.transport.session import Session

__all__ = ["Speed", "measure"]

_NUMBERS = msgspec.msgpack.Decoder(float)

STREAM = b"jali measure v1"
PINGS = 50
FIRST_BYTES, LAST_BYTES = 1 << 20, 256 << 20


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a session is, as one party sees it.

    `round_trip_s` is the median of small messages there and back; `swap_s` what it takes to send one and receive one
    at the same time, `swap_cpu_s` the processor's part of that; then bytes a second to the peer and from it.
    """

    round_trip_s: float
    swap_s: float
    swap_cpu_s: float
    out_bytes_per_s: float
    in_bytes_per_s: float


def measure(session: Session, peer: str, *, seconds: float = 0.3, number: int = 0) -> Speed:
    """Measure with `peer`, who measures at the same time; about `seconds` each way.

    In one session every measurement has another `number` (0 to 255), since streams are never used again.

    Raises: PeerError family.
    """
    name = STREAM + bytes([number])
    stream = session.channel(peer).stream(name)
    leads = session.party < peer
    round_trip_s = _ping(stream) if leads else _echo(stream)
    swap_s, swap_cpu_s = _swap(stream)
    if leads:
        outward = _push(stream, seconds)
        inward = _pull(stream)
    else:
        inward = _pull(stream)
        outward = _push(stream, seconds)
    session.channel(peer).close_stream(name)
    return Speed(
        round_trip_s=round_trip_s,
        swap_s=swap_s,
        swap_cpu_s=swap_cpu_s,
        out_bytes_per_s=outward,
        in_bytes_per_s=inward,
    )


def _swap(stream: Stream) -> tuple[float, float]:
    start, begun = time.perf_counter(), time.process_time()
    for _ in range(PINGS):
        stream.send(b"swap")
        stream.receive()
    return (time.perf_counter() - start) / PINGS, (time.process_time() - begun) / PINGS


def _ping(stream: Stream) -> float:
    times = []
    for _ in range(PINGS):
        start = time.perf_counter()
        stream.send(b"ping")
        stream.receive()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    stream.send(msgspec.msgpack.encode(median))
    return median


def _echo(stream: Stream) -> float:
    for _ in range(PINGS):
        stream.send(stream.receive())
    return _number(stream)


def _push(stream: Stream, seconds: float) -> float:
    rate = _timed(stream, FIRST_BYTES)
    size = int(min(max(rate * seconds, FIRST_BYTES), LAST_BYTES))
    stream.send(msgspec.msgpack.encode(float(size)))
    rate = _timed(stream, size)
    stream.send(msgspec.msgpack.encode(rate))
    return rate


def _timed(stream: Stream, size: int) -> float:
    pieces = [bytes(min(size - start, 8 << 20)) for start in range(0, size, 8 << 20)]
    start = time.perf_counter()
    for piece in pieces:
        stream.send(piece)
    stream.receive()
    return size / (time.perf_counter() - start)


def _pull(stream: Stream) -> float:
    _take(stream, FIRST_BYTES)
    _take(stream, int(_number(stream)))
    return _number(stream)


def _take(stream: Stream, size: int) -> None:
    taken = 0
    while taken < size:
        taken += stream.receive().nbytes
    stream.send(b"done")


def _number(stream: Stream) -> float:
    try:
        number = _NUMBERS.decode(stream.receive())
    except msgspec.MsgspecError as error:
        raise FrameInvalid(f"expected a number of {stream.peer!r}: {error}", party=stream.peer) from None
    if not 0 <= number <= 1e15:
        raise FrameInvalid(f"expected a sensible number of {stream.peer!r}", party=stream.peer)
    return number
