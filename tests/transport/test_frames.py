# SPDX-License-Identifier: Apache-2.0
"""The frame codec is strict and total: good headers survive, everything else is a named error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import FrameInvalid, JaliError, PeerError
from jali.transport import messages
from jali.transport.frames import (
    HEADER_BYTES,
    MAX_CONTROL_BYTES,
    MAX_FRAME_BYTES,
    MAX_MESSAGE_BYTES,
    NO_STREAM,
    Frame,
    Kind,
    pack,
    unpack,
)

U64 = st.integers(0, 2**64 - 1)
STREAM = st.binary(min_size=16, max_size=16)
GOOD = st.one_of(
    st.integers(1, MAX_FRAME_BYTES).flatmap(
        lambda length: st.builds(
            Frame, st.just(Kind.DATA), st.just(length), U64, st.integers(length, MAX_MESSAGE_BYTES), STREAM
        )
    ),
    st.builds(Frame, st.just(Kind.DATA), st.just(0), U64, st.just(0), STREAM),
    st.builds(Frame, st.just(Kind.CONTROL), st.integers(1, MAX_CONTROL_BYTES), U64, st.just(0), st.just(NO_STREAM)),
    st.builds(Frame, st.just(Kind.CREDIT), st.just(0), U64, U64, STREAM),
    st.builds(Frame, st.just(Kind.PULSE), st.just(0), U64, st.just(0), st.just(NO_STREAM)),
)


@given(GOOD)
def test_good_frame_survives(frame: Frame) -> None:
    kind, length, sequence, total, stream = frame
    header = pack(kind, stream=stream, sequence=sequence, total=total, length=length)
    assert len(header) == HEADER_BYTES
    assert unpack(header) == frame


@given(st.binary(min_size=0, max_size=2 * HEADER_BYTES))
def test_any_bytes_give_a_frame_or_the_named_error(data: bytes) -> None:
    try:
        frame = unpack(data)
    except FrameInvalid:
        return
    assert unpack(
        pack(frame.kind, stream=frame.stream, sequence=frame.sequence, total=frame.total, length=frame.length)
    )


@given(GOOD, st.integers(0, 8 * HEADER_BYTES - 1))
def test_flipped_bit_is_seen_or_changes_one_field(frame: Frame, bit: int) -> None:
    header = bytearray(
        pack(frame.kind, stream=frame.stream, sequence=frame.sequence, total=frame.total, length=frame.length)
    )
    header[bit // 8] ^= 1 << bit % 8
    try:
        found = unpack(header)
    except FrameInvalid:
        return
    assert sum(a != b for a, b in zip(frame, found, strict=True)) == 1


@pytest.mark.parametrize(
    "header",
    [
        pack(Kind.DATA, length=MAX_FRAME_BYTES + 1, total=MAX_FRAME_BYTES + 1),
        pack(Kind.DATA, length=1, total=MAX_MESSAGE_BYTES + 1),
        pack(Kind.DATA, length=2, total=1),
        pack(Kind.DATA, length=0, total=1),
        pack(Kind.CONTROL, length=MAX_CONTROL_BYTES + 1),
        pack(Kind.CONTROL, length=0),
        pack(Kind.CREDIT, length=1),
        pack(Kind.PULSE, total=1),
        b"\x02" + pack(Kind.PULSE)[1:],
        b"\x01\x09" + pack(Kind.PULSE)[2:],
        b"\x01\x04\x01\x00" + pack(Kind.PULSE)[4:],
    ],
)
def test_out_of_range_is_refused(header: bytes) -> None:
    with pytest.raises(FrameInvalid):
        unpack(header)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_the_named_error(data: bytes) -> None:
    try:
        message = messages.decode(data)
    except FrameInvalid:
        return
    assert messages.decode(messages.encode(message)) == message


def test_deeply_nested_message_is_the_named_error() -> None:
    with pytest.raises(FrameInvalid):
        messages.decode(b"\x91" * 100_000 + b"\xc0")


@given(st.text(min_size=1, max_size=10), st.text(max_size=50))
def test_error_comes_back_as_its_class_or_family(code: str, message: str) -> None:
    error = messages.Abort(code=code, message=message, party="bob").error()
    assert isinstance(error, JaliError)
    assert type(messages.Abort(code="J3999", message=message).error()) is PeerError
    assert error.party == "bob"
