# SPDX-License-Identifier: Apache-2.0
"""The two parties of an intersection in a program, and the parts of its result that they get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.errors import ProgramError
from jali.devices.handle import Handle
from jali.devices.plain import PlainDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.graph.node import Node

__all__ = ["learners_of", "owners_of", "parts_of"]


def owners_of(left: Any, right: Any) -> tuple[str, str]:
    """The owners of two tables. Raises: ProgramError unless they are two parties."""
    owners = (_owner(left), _owner(right))
    if owners[0] == owners[1]:
        raise ProgramError(f"expected tables of two parties, but both are at {owners[0]!r}: join them there")
    return owners


def learners_of(learns: Any, owners: tuple[str, str]) -> tuple[str, ...]:
    """Who learns: "both", a party, or its plain device. Raises: ProgramError for anybody else."""
    learners = owners if learns == "both" else (learns if isinstance(learns, str) else str(learns.party),)
    if not set(learners) <= set(owners):
        raise ProgramError(f'expected learns = "both", "{owners[0]}" or "{owners[1]}", found "{learners[0]}"')
    return learners


def parts_of(
    program: Any, node: Node, owners: tuple[str, str], learners: tuple[str, ...], named: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Handles to each learner's part of a node's value; `named` gives the part its name in reports."""
    whole = Handle(program, node)
    handles = [PlainDevice(program, owner, owner)(named)(whole) if owner in learners else None for owner in owners]
    return handles[0], handles[1]


def _owner(handle: Any) -> str:
    if not isinstance(handle, Handle):
        raise ProgramError(f"expected a handle to a table at a party, found {type(handle).__name__}")
    seen = handle.node.visibility
    if seen.kind != "private":
        raise ProgramError(f"expected a table at one party, found {handle.node.text!r}, which is {seen}")
    return str(seen.holders[0])
