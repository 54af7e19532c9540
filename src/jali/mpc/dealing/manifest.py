# SPDX-License-Identifier: Apache-2.0
"""Dealing ahead of time: what a program will be dealt, and the dealer's part of it before anybody has data.

A program is run *apart* from others when its inputs come without masks that the dealer knows (in additive form) and its
results leave so. Then what is dealt depends on the program alone; its list, the *manifest*, is found by running the
dealer's part on shapes.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from jali import __version__, kernels
from jali.core.threat import Dealt
from jali.crypto.hashing import digest
from jali.mpc.engine import SecretArray, as_inputs, encoded
from jali.mpc.m2k.shares import Additive
from jali.mpc.program import run_program
from jali.mpc.registry import PROTOCOLS
from jali.mpc.rounds import drive, parallel
from jali.mpc.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from jali.mpc.contract import Dealable
    from jali.mpc.ir import Program, ValueType
    from jali.mpc.rounds import Round

__all__ = ["Manifest", "deal", "manifest_of", "run_apart", "scatter_inputs"]

_MANIFESTS: WeakKeyDictionary[Program, dict[str, Manifest]] = WeakKeyDictionary()
_LOCK = Lock()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one execution of a program apart is dealt under a protocol, by this version of jali."""

    name: str
    protocol: str
    program: bytes
    items: tuple[Dealt, ...]
    software: str = __version__

    @property
    def size_bytes(self) -> int:
        """What the dealer sends for one execution."""
        return sum(item.size_bytes for item in self.items)

    def digest(self) -> bytes:
        """32 bytes that all roles agree on; other steps, shapes or versions give others."""
        return digest("jali.mpc.manifest.v1", msgspec.msgpack.encode(self))

    def __str__(self) -> str:
        """The list, one item a line."""
        head = f"{self.name} under {self.protocol}: {self.size_bytes:,} bytes for each execution"
        return "\n".join([head, *(f"  {item}" for item in self.items)])


def manifest_of(program: Program, protocol: str) -> Manifest:
    """The manifest of a program, planned once in a process; `protocol` is one with a dealer.

    Cost: the time of the program's Python, without its arithmetic.
    """
    with _LOCK:
        known = _MANIFESTS.get(program, {}).get(protocol)
    if known is None:
        kind = PROTOCOLS.get(protocol)
        side: Any = kind.sizes(kind.dealer)
        deal(program, side)
        known = Manifest(name=program.name, protocol=protocol, program=program.digest(), items=side.dealt)
        with _LOCK:
            _MANIFESTS.setdefault(program, {})[protocol] = known
    return known


def deal(program: Program, side: Dealable) -> None:
    """The dealer's part of a program that is run apart: it waits for nobody."""
    absent = [Additive(kind.shape, NOTHING, bits=kind.kind == "bool") for kind in program.input_types]
    drive(run_apart(program, side, absent), {})
    side.finish()


def run_apart(program: Program, side: Dealable, inputs: Sequence[Any]) -> Generator[Round, Any, list[Any]]:
    """Run a program so that its dealing concerns nobody else's masks.

    Security: as `run_program`; opening the inputs under masks of its own tells nothing.
    Cost: that of the program on additive inputs.
    """
    results = yield from run_program(program, side, [side.detach(share) for share in inputs])
    return [side.detach(share) for share in results]


def scatter_inputs(
    side: Dealable, values: Sequence[Any] | None, *, owner: int, types: Sequence[ValueType]
) -> Generator[Round, Any, list[SecretArray]]:
    """Share the owner's arrays without the dealer, in place of `jali.mpc.engine.share_inputs`.

    Cost: nothing for an evaluator's; 1 round for a guest's.
    """
    own = [None] * len(types) if values is None else list(values)
    shares = yield from parallel(
        *(_scatter(side, value, kind, owner=owner) for value, kind in zip(own, types, strict=True))
    )
    return as_inputs(shares, own, types)


def _scatter(side: Dealable, value: Any, kind: ValueType, *, owner: int) -> Generator[Round, Any, Any]:
    words, bits = encoded(value, kind), kind.kind == "bool"
    if bits and words is not None:
        words = kernels.pack_bits(words.reshape(-1))
    return (yield from side.scatter(words, owner, kind.shape, bits=bits))
