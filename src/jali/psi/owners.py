# SPDX-License-Identifier: Apache-2.0
"""The parties of an intersection in a program, and the parts of its result that they get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jali.core.errors import ProgramError, TableInvalid
from jali.core.table import Table
from jali.devices.handle import Handle
from jali.devices.plain import PlainDevice
from jali.graph.node import Visibility
from jali.psi.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jali.core.threat import Leak
    from jali.graph.operation import NodeContext
    from jali.transport.channel import Stream

__all__ = ["Side", "all_owners", "joint", "learners_of", "owner_of", "owners_of", "side_of"]


def owners_of(left: Any, right: Any) -> tuple[str, str]:
    """The owners of two tables. Raises: ProgramError unless they are two parties."""
    owners = (owner_of(left), owner_of(right))
    if owners[0] == owners[1]:
        raise ProgramError(f"expected tables of two parties, but both are at {owners[0]!r}: join them there")
    return owners


def all_owners(tables: tuple[Any, ...]) -> tuple[str, ...]:
    """The owners of several tables. Raises: ProgramError unless they are different parties, two at least."""
    owners = tuple(map(owner_of, tables))
    if len(owners) < 2 or len(set(owners)) < len(owners):
        raise ProgramError(f"expected tables of different parties, two at least, found {', '.join(owners) or 'none'}")
    return owners


def learners_of(learns: Any, owners: tuple[str, str]) -> tuple[str, ...]:
    """Who learns: "both", a party, or its plain device. Raises: ProgramError for anybody else."""
    learners = owners if learns == "both" else (learns if isinstance(learns, str) else str(learns.party),)
    if not set(learners) <= set(owners):
        raise ProgramError(f'expected learns = "both", "{owners[0]}" or "{owners[1]}", found "{learners[0]}"')
    return learners


def joint(
    tables: tuple[Any, ...],
    learners: tuple[str, ...],
    *,
    operation: str,
    attributes: Mapping[str, Any],
    fingerprint: bytes,
    text: str,
    leaks: tuple[Leak, ...],
    named: Callable[[Any], Any],
) -> tuple[Any, ...]:
    """Add a node of all owners to the program; handles to each learner's part, which `named` names in reports."""
    program, owners = tables[0].program, tuple(map(owner_of, tables))
    node = program.append(
        operation,
        device=", ".join(owners),
        participants=owners,
        inputs=tuple(table.node for table in tables),
        attributes=dict(attributes),
        fingerprint=fingerprint,
        visibility=Visibility("private", learners),
        text=text,
        leaks=leaks,
    )
    whole = Handle(program, node)
    return tuple(PlainDevice(program, owner, owner)(named)(whole) if owner in learners else None for owner in owners)


class Side(NamedTuple):
    """One owner's side of a running node: its table and keys, the stream to the other, and whether it is the left.

    `otherwise` are the keys for rows that those do not match, in order.
    """

    table: Table
    keys: Keys
    stream: Stream
    left: bool
    otherwise: tuple[Keys, ...] = ()


def side_of(
    context: NodeContext,
    inputs: tuple[Any, ...],
    attributes: Mapping[str, Any],
    *,
    owners: tuple[str, ...] | None = None,
) -> Side:
    """This party's side, of the node's participants or of two `owners` among them.

    Raises: TableInvalid, ColumnMissing, KeyTypeWrong, KeyInvalid for its table.
    """
    left, right = owners or context.participants
    me_left = context.party == left
    table = inputs[0 if me_left else 1]
    if not isinstance(table, Table):
        raise TableInvalid(f"expected a jali.Table to align at {context.party!r}, found {type(table).__name__}")
    otherwise = attributes.get("otherwise", ())
    keys, *more = (
        Keys({name: table[name] for name in columns}, normalise=attributes["normalise"], optional=bool(otherwise))
        for columns in (attributes["on"], *otherwise)
    )
    return Side(table, keys, context.streams[right if me_left else left], me_left, tuple(more))


def owner_of(handle: Any) -> str:
    """The party that has a value. Raises: ProgramError for what is no handle, or to no value at one party."""
    if not isinstance(handle, Handle):
        raise ProgramError(f"expected a handle to a table at a party, found {type(handle).__name__}")
    seen = handle.node.visibility
    if seen.kind != "private":
        raise ProgramError(f"expected a table at one party, found {handle.node.text!r}, which is {seen}")
    return str(seen.holders[0])
