# SPDX-License-Identifier: Apache-2.0
"""Overflow on devices: the owners of inputs compare their numbers with what a program can take, before it runs.

Shares are made before the function that will use them is known. So a party remembers, beside its share, how large the
numbers are that it put in, and compares that with the program's bound when there is one; nobody else learns it. An
owner outside the device is told the bound by the first evaluator, who waits for its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from jali.core import codec
from jali.core.errors import DeviceInvalid
from jali.core.tree import flatten
from jali.devices.roles import RoleParts
from jali.mpc.numbers import Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.devices.handle import Handle
    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.mpc.prepare import Prepared

__all__ = ["OwnNumbers", "check_as_guest", "check_ranges", "numbers_from", "outside_owners"]

RANGE = "~range"


class OwnNumbers:
    """What an owner outside a device remembers of a result: how large the numbers are that it put into it."""

    __slots__ = ("largest",)

    def __init__(self, largest: float | None) -> None:
        """Remember the largest magnitude."""
        self.largest = largest

    def __getitem__(self, key: int | str) -> OwnNumbers:
        """The same for any part of the result."""
        return self


def numbers_from(**options: Any) -> Numbers:
    """The settings that are given, with defaults for those that are None.

    Raises: DeviceInvalid if one of them is not possible.
    """
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return msgspec.convert(given, Numbers)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        raise DeviceInvalid(f"{place.rstrip('`')} of an mpc device: {reason[0].lower()}{reason[1:]}") from None


def outside_owners(handles: Sequence[Handle], layout: Layout) -> tuple[str, ...]:
    """The parties that put numbers of undeclared size into these values and play no role in the device."""
    if layout.numbers.ranges == "unchecked" or layout.numbers.input_bound is not None:
        return ()
    found: dict[str, None] = {}
    for handle in handles:
        node = handle.node
        while node.operation == "item":
            node = node.inputs[0]
        owners = (node.attributes["owner"],) if node.operation == "mpc.share" else node.attributes.get("outside", ())
        found.update(dict.fromkeys(owner for owner in owners if owner not in layout.roles))
    return tuple(found)


def check_ranges(context: Context, layout: Layout, prepared: Prepared, inputs: Sequence[Any]) -> None:
    """Compare this party's inputs with the bound of the program; the first evaluator has the guests do so too.

    Security: nobody learns how large a number is; that one is too large ends the run, which everybody sees.
    Raises: FixedPointRangeError at an owner.
    """
    from jali.mpc.prepare import owner_check

    if layout.numbers.ranges == "unchecked":
        return
    bound, reason = prepared.bound, prepared.reason
    owner_check(_largest(inputs), bound, reason)
    if context.party != layout.roles[0]:
        return
    guests = [party for party in context.participants if party not in layout.roles]
    for guest in guests:
        context.stream(guest, RANGE).send(*codec.encode([bound, reason]))
    for guest in guests:
        codec.decode(context.stream(guest, RANGE).receive())


def check_as_guest(context: Context, layout: Layout, inputs: Sequence[Any]) -> RoleParts:
    """Compare this party's inputs with the bound that the first evaluator found.

    Raises: FixedPointRangeError if one is too large.
    """
    from jali.mpc.prepare import owner_check

    stream = context.stream(layout.roles[0], RANGE)
    bound, reason = codec.decode(stream.receive())
    largest = _largest(inputs)
    owner_check(largest, bound, reason)
    stream.send(*codec.encode(True))
    return RoleParts({len(layout.roles): OwnNumbers(largest)})


def _largest(inputs: Sequence[Any]) -> float | None:
    """The largest magnitude among this party's own numbers of undeclared size."""
    found = [
        leaf.largest
        for parts in inputs
        if isinstance(parts, RoleParts)
        for tree in parts.values()
        for leaf in flatten(tree)[0]
        if leaf.largest is not None
    ]
    return max(found, default=None)
