# SPDX-License-Identifier: Apache-2.0
"""Secrets as additive parts: what leaves an instance of one protocol, and how another takes it in.

A secret x is p_0 + ... + p_(n-1) (xor for bits), with p_i at the i-th of the protocol's `holders`. Before parts go
anywhere they are made fresh: neighbours draw words alike, which one adds and the other takes off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.errors import InternalError
from jali.mpc.engine import SecretArray
from jali.mpc.rounds import parallel
from jali.mpc.words import layout, unpacked

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from jali.crypto.prg import Prg
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.ir import ValueType
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]

__all__ = ["added", "from_parts", "input_parts", "parts_of", "refreshed", "word_counts"]


def parts_of(protocol: type[MpcProtocol], role: int, secrets: Sequence[SecretArray]) -> list[Words]:
    """The parts of secrets at one of the protocol's holders. No communication."""
    return [np.ascontiguousarray(protocol.additive_part(role, secret.share)) for secret in secrets]


def refreshed(
    parts: Sequence[Words], types: Sequence[ValueType], *, after: Prg | None, before: Prg | None
) -> list[Words]:
    """The parts with a fresh sharing of 0 added.

    `after` is shared with the next holder and `before` with the one before; the first and the last lack one of them.

    Security: any but all parts of a secret are uniform, and independent of how it was shared before.
    Cost: local.
    """
    result = [np.asarray(part) for part in parts]
    for nonce, kind in enumerate(types):
        bits = kind.kind == "bool"
        if after is not None:
            result[nonce] = after.xor(result[nonce], nonce) if bits else after.add(result[nonce], nonce)
        if before is not None:
            result[nonce] = before.xor(result[nonce], nonce) if bits else before.sub(result[nonce], nonce)
    return result


def word_counts(types: Sequence[ValueType]) -> list[tuple[int, ...]]:
    """The shapes that the words of parts have."""
    return [layout(kind.shape, bits=kind.kind == "bool") for kind in types]


def input_parts(
    protocol: MpcProtocol, parts: Sequence[Words] | None, *, owner: int, types: Sequence[ValueType]
) -> Generator[Round, Any, list[Any]]:
    """Share one holder's parts as inputs of `owner`; everybody else passes None.

    Security, cost: those of the protocol's `input` and `input_bits`.
    """
    own = [None] * len(types) if parts is None else list(parts)
    return (yield from parallel(*(_input(protocol, part, kind, owner) for part, kind in zip(own, types, strict=True))))


def _input(protocol: MpcProtocol, part: Words | None, kind: ValueType, owner: int) -> Generator[Round, Any, Any]:
    if kind.kind == "bool":
        bits = None if part is None else unpacked(part, kind.shape)
        return (yield from protocol.input_bits(bits, owner, kind.shape))
    return (yield from protocol.input(part, owner, kind.shape))


def added(protocol: MpcProtocol, columns: Sequence[Sequence[Any]], types: Sequence[ValueType]) -> list[SecretArray]:
    """The secrets whose parts were shared: `columns` has the shares of each holder's parts. No communication."""
    if not columns:
        raise InternalError("a secret without parts")
    return [
        SecretArray(_sum(protocol, shares, kind), kind)
        for shares, kind in zip(zip(*columns, strict=True), types, strict=True)
    ]


def _sum(protocol: MpcProtocol, shares: Sequence[Any], kind: ValueType) -> Any:
    total, *others = shares
    for share in others:
        if kind.kind == "bool":
            total = protocol.xor(total, share)
        else:
            total = protocol.linear(np.add, total, share, shape=kind.shape)
    return total


def from_parts(
    protocol: MpcProtocol, parts: Sequence[Words] | None, types: Sequence[ValueType]
) -> Generator[Round, Any, list[SecretArray]]:
    """The secrets of which the holders pass in their parts, and everybody else None.

    Cost: that of the protocol's `from_parts`, for all together.
    """
    own = [None] * len(types) if parts is None else list(parts)
    shares = yield from parallel(
        *(
            protocol.from_parts(part, kind.shape, bits=kind.kind == "bool")
            for part, kind in zip(own, types, strict=True)
        )
    )
    return [SecretArray(share, kind) for share, kind in zip(shares, types, strict=True)]
