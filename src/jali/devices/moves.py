# SPDX-License-Identifier: Apache-2.0
"""Moves between devices: the only nodes that change where a value is, or who sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core import codec
from jali.core.errors import UnsupportedValue
from jali.core.tree import Structure, flatten, unflatten
from jali.core.types import Spec
from jali.devices.roles import RoleParts, each_role, guest_role
from jali.mpc import fixed
from jali.mpc.contract import Outline
from jali.mpc.engine import SecretArray
from jali.mpc.ir import DEFAULT_FRACTION, ValueType
from jali.mpc.rounds import parallel

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round

__all__ = ["RevealMove", "ShareMove", "open_secrets", "share_arrays", "types_of"]

OUTLINE = "~outline"


class ShareMove:
    """Plain to mpc: the owner announces shapes and types, and shares every array of the value.

    Security: the computing parties see shapes and types (recorded as a leak) and uniform shares.
    Cost: 1 round; 8 bytes an element from the owner (m2k), 16 (rep3).
    """

    name = "mpc.share"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's shares. Raises: UnsupportedValue if the value is not made of numbers."""
        layout: Layout = attributes["device"]
        owner: str = attributes["owner"]
        arrays: list[NDArray[Any]] = []
        if context.party == owner:
            leaves, structure = flatten(inputs[0])
            arrays = [np.asarray(leaf) for leaf in leaves]
            types = types_of([Spec.of(array) for array in arrays], context.node.inputs[0].text)
            _announce(context, [p for p in context.participants if p != owner], structure, types)
        else:
            structure, types = _hear(context, owner)
        context.outline = (structure, types)
        first = layout.played_by(owner)[:1]

        source = first[0] if first else len(layout.roles)

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
            mine: Sequence[NDArray[Any] | None] = arrays if protocol.role == source else [None] * len(types)
            return share_arrays(protocol, mine, types, source)

        if not layout.played_by(context.party):
            guest_role(context, layout, operation)
            return RoleParts()
        guest = None if first else owner
        parts = each_role(context, layout, operation, guest=guest)
        return RoleParts({role: unflatten(structure, secrets) for role, secrets in parts.items()})


class RevealMove:
    """Mpc to plain: the evaluators open a value to the parties that the program names.

    Cost: 1 round; 8 bytes an element from each evaluator to each target (bits are packed).
    """

    name = "mpc.reveal"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """The value at the targets, None at the other evaluators."""
        layout: Layout = attributes["layout"]
        targets: tuple[str, ...] = attributes["to"]
        guests = [t for t in targets if t not in layout.evaluators]
        roles = [role for role, party in enumerate(layout.evaluators) if party in targets]
        if context.party in layout.evaluators:
            return _open_here(context, inputs[0], layout, roles=roles, guests=guests)
        structure, types = _hear(context, layout.evaluators[0])

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, list[Any]]:
            outlines = [SecretArray(Outline(t.shape), t) for t in types]
            return (yield from open_secrets(protocol, outlines, [protocol.role]))

        opened = guest_role(context, layout, operation, label=f"guest {context.party}")
        return unflatten(structure, opened)


def _open_here(context: Context, parts: RoleParts, layout: Layout, *, roles: Sequence[int], guests: list[str]) -> Any:
    own = layout.played_by(context.party)[0]
    secrets, structure = flatten(parts[own])
    if own == 0:
        _announce(context, guests, structure, [s.type for s in secrets])
    result = None
    for guest, to in [(None, roles), *((g, [len(layout.roles)]) for g in guests)]:
        if not to:
            continue

        def operation(protocol: MpcProtocol, to: Sequence[int] = to) -> Generator[Round, Any, list[Any]]:
            return (yield from open_secrets(protocol, flatten(parts[protocol.role])[0], to))

        label = f"guest {guest}" if guest else ""
        opened = each_role(context, layout, operation, guest=guest, label=label, only=own)[own]
        if guest is None and own in roles:
            result = unflatten(structure, opened)
    return result


def share_arrays(
    protocol: MpcProtocol, arrays: Sequence[NDArray[Any] | None], types: Sequence[ValueType], source: int
) -> Generator[Round, Any, list[SecretArray]]:
    """Share arrays that role (or guest) `source` has; the others pass None for each. Cost: 1 round for all."""
    inputs = [protocol.input(_words(a, t), source, t.shape) for a, t in zip(arrays, types, strict=True)]
    shares = yield from parallel(*inputs)
    return [SecretArray(share, kind) for share, kind in zip(shares, types, strict=True)]


def open_secrets(
    protocol: MpcProtocol, secrets: Sequence[SecretArray], to: Sequence[int]
) -> Generator[Round, Any, list[Any]]:
    """Open arrays to the roles (or the guest) in `to`; they get numbers, the others an empty list. Cost: 1 round."""
    operations = [
        protocol.reveal_bits(s.share, to) if s.type.kind == "bool" else protocol.reveal(s.share, to) for s in secrets
    ]
    words = yield from parallel(*operations)
    if protocol.role not in to:
        return []
    return [fixed.decode(w, kind=s.type.kind, fraction=s.type.fraction) for w, s in zip(words, secrets, strict=True)]


def types_of(specs: Sequence[Spec], text: str) -> list[ValueType]:
    """How arrays are represented on an mpc device.

    Raises: UnsupportedValue if one is not made of numbers or booleans.
    """
    kinds = {"f": "fixed", "i": "int", "u": "int", "b": "int"}
    types = []
    for spec in specs:
        kind = kinds.get(np.dtype(spec.dtype).kind)
        if kind is None:
            raise UnsupportedValue(
                f"{text!r} holds {spec}; an mpc device takes numbers and booleans: encode strings and dates as numbers "
                "at the owner first"
            )
        types.append(ValueType(shape=spec.shape, kind=kind, fraction=DEFAULT_FRACTION if kind == "fixed" else 0))
    return types


def _words(array: NDArray[Any] | None, kind: ValueType) -> NDArray[np.uint64] | None:
    return None if array is None else fixed.encode(array, kind=kind.kind, fraction=kind.fraction)


def _announce(context: Context, to: Sequence[str], structure: Structure, types: Sequence[ValueType]) -> None:
    rows = [[list(t.shape), t.kind, t.fraction] for t in types]
    for party in to:
        context.stream(party, OUTLINE).send(*codec.encode([structure.to_value(), rows]))


def _hear(context: Context, owner: str) -> tuple[Structure, list[ValueType]]:
    tree, rows = codec.decode(context.stream(owner, OUTLINE).receive())
    types = [ValueType(shape=tuple(shape), kind=kind, fraction=fraction) for shape, kind, fraction in rows]
    return Structure.from_value(tree), types
