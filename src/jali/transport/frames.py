# SPDX-License-Identifier: Apache-2.0
"""The frame: a header of 40 bytes and a payload; everything that crosses between two parties is made of these.

=========  =====  =====================================================================================
field      bytes  meaning
=========  =====  =====================================================================================
version        1  of the wire format
kind           1  see `Kind`
reserved       2  zero
length         4  bytes of payload that follow
sequence       8  position among the numbered frames of this direction, from 1; in a PULSE the last one received
total          8  DATA: bytes of the whole message; CREDIT: how many bytes of the stream may be sent in all
stream        16  DATA and CREDIT: the stream
=========  =====  =====================================================================================

Integers are little-endian. DATA, CONTROL and CREDIT are numbered and sent again after a reconnect; a PULSE is
heartbeat and acknowledgement in one and is not numbered. During the handshake frames carry sequence 0.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from jali.core.errors import FrameInvalid

__all__ = [
    "HEADER_BYTES",
    "MAX_CONTROL_BYTES",
    "MAX_FRAME_BYTES",
    "MAX_MESSAGE_BYTES",
    "NO_STREAM",
    "STREAM_ID_BYTES",
    "WIRE_VERSION",
    "Frame",
    "Kind",
    "pack",
    "unpack",
]

WIRE_VERSION = 1
STREAM_ID_BYTES = 16
NO_STREAM = bytes(STREAM_ID_BYTES)
MAX_FRAME_BYTES = 4 << 20
MAX_CONTROL_BYTES = 16 << 20
MAX_MESSAGE_BYTES = 1 << 34

_HEADER = struct.Struct("<BBHIQQ16s")
HEADER_BYTES = _HEADER.size


class Kind(IntEnum):
    """What a frame is for."""

    DATA = 1
    CONTROL = 2
    CREDIT = 3
    PULSE = 4


class Frame(NamedTuple):
    """A header, decoded."""

    kind: Kind
    length: int
    sequence: int
    total: int
    stream: bytes


_KINDS = {int(kind): kind for kind in Kind}


def pack(kind: Kind, *, stream: bytes = NO_STREAM, sequence: int = 0, total: int = 0, length: int = 0) -> bytes:
    """The header's 40 bytes."""
    return _HEADER.pack(WIRE_VERSION, kind, 0, length, sequence, total, stream)


def unpack(header: bytes | bytearray | memoryview) -> Frame:
    """Decode and check a header.

    Raises: FrameInvalid when any field is out of its range; nothing is allocated before that.
    """
    if len(header) != HEADER_BYTES:
        raise FrameInvalid(f"expected a frame header of {HEADER_BYTES} bytes, found {len(header)}")
    version, number, reserved, length, sequence, total, stream = _HEADER.unpack(header)
    kind = _KINDS.get(number)
    if version != WIRE_VERSION or kind is None or reserved:
        raise FrameInvalid(
            f"expected a frame of version {WIRE_VERSION} and kind 1 to {len(_KINDS)}, "
            f"found version {version}, kind {number}, reserved bits {reserved:#06x}"
        )
    frame = Frame(kind, length, sequence, total, stream)
    _check(frame)
    return frame


def _check(frame: Frame) -> None:
    kind, length, _, total, stream = frame
    if kind is Kind.DATA:
        good = length <= MAX_FRAME_BYTES and length <= total <= MAX_MESSAGE_BYTES and (length > 0 or total == 0)
    elif kind is Kind.CONTROL:
        good = 0 < length <= MAX_CONTROL_BYTES and total == 0 and stream == NO_STREAM
    elif kind is Kind.CREDIT:
        good = length == 0
    else:
        good = length == 0 and total == 0 and stream == NO_STREAM
    if not good:
        raise FrameInvalid(f"a {kind.name} frame cannot have length {length} and total {total}")
