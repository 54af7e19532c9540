# SPDX-License-Identifier: Apache-2.0
"""The structured messages of a session: handshake, program announcements, abort, end. msgpack, strictly typed."""

from __future__ import annotations

from typing import Annotated

import msgspec

from jali.core.errors import FrameInvalid, JaliError, error_class

__all__ = [
    "Abort",
    "Attach",
    "Attached",
    "Bye",
    "Confirm",
    "Hello",
    "Message",
    "Program",
    "Refusal",
    "Resume",
    "Resumed",
    "decode",
    "encode",
]

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Token = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=65536)]


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The first message each way; the only one that tolerates unknown fields, so that newer parties can greet older.

    `purpose` tells a job from a check of the network; `nonce` enters the session's identity, `key` is an ephemeral
    X25519 public key, `clock` is seconds since 1970, `token` (in the answer) admits the second connection of the pair.
    """

    versions: tuple[int, int]
    software: Name
    party: Name
    to: Name
    parties: tuple[Name, ...]
    purpose: Name
    federation: Bytes32
    program: Annotated[bytes, msgspec.Meta(max_length=64)]
    nonce: Bytes32
    key: Bytes32
    clock: float
    token: bytes = b""


class Attach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="attach"):
    """The first message on the second connection of a pair."""

    token: Token


class Attached(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="attached"):
    """The answer to `Attach`: the pair is complete."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resume"):
    """The first message after a drop: `pair` names the link, `received` is the last numbered frame that arrived."""

    pair: Bytes32
    received: Annotated[int, msgspec.Meta(ge=0)]


class Resumed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resumed"):
    """The answer to `Resume`."""

    received: Annotated[int, msgspec.Meta(ge=0)]
    token: Token


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="refusal"):
    """The handshake ends here, and why; the other side raises the same error."""

    code: Name
    message: Text


class Confirm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="confirm"):
    """The session's identity as this party computes it; sent once all pairs are connected."""

    session: Bytes32


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="program"):
    """A part of the sender's program, in the encoding of the graph layer."""

    payload: bytes


class Abort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="abort"):
    """An error that ends the session everywhere; carries names and places, never values."""

    code: Name
    message: Text
    party: str | None = None
    node: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, error: JaliError) -> Abort:
        """The message for an error."""
        return cls(
            code=error.code, message=error.message[:65536], party=error.party, node=error.node, source=error.source
        )

    def error(self) -> JaliError:
        """A new exception of the same class, with the same place."""
        return error_class(self.code)(self.message, party=self.party, node=self.node, source=self.source)


class Bye(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bye"):
    """The sender's session has ended in order; nothing follows."""


Message = Hello | Attach | Attached | Resume | Resumed | Refusal | Confirm | Program | Abort | Bye

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The message as a payload of a CONTROL frame."""
    return _encoder.encode(message)


def decode(payload: bytes | bytearray | memoryview) -> Message:
    """The message of a payload.

    Raises: FrameInvalid for anything that is not exactly one known message.
    """
    try:
        message: Message = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
        raise FrameInvalid(f"a control message is not in the expected form: {reason}") from None
    return message
