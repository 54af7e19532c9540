# SPDX-License-Identifier: Apache-2.0
"""Overflow on devices: the owners of inputs compare their numbers with what a program can take, before it runs.

Shares are made before the function that will use them is known. So a party remembers, beside its share, how large the
numbers are that it put in, and compares that with the program's limits when there are some; nobody else learns it. An
owner outside the device is told the limits by the first evaluator, who waits for its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

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
    from jali.mpc.engine import SecretArray
    from jali.mpc.prepare import Prepared

    Limit = tuple[float, str]

__all__ = ["OwnNumbers", "check_as_guest", "check_ranges", "numbers_from", "outside_owners"]

RANGE = "~range"
NO_LIMIT = (float("inf"), "")


class OwnNumbers:
    """What an owner outside a device remembers of a result: how large the numbers are that it put into it."""

    __slots__ = ("largest",)

    def __init__(self, largest: float | None) -> None:
        """Remember the largest magnitude."""
        self.largest = largest

    def __getitem__(self, key: int | str) -> OwnNumbers:
        """The same for any part of the result."""
        return self


class NumberOptions(TypedDict, total=False):
    """How an mpc device computes with numbers: see `jali.mpc.numbers.Numbers`."""

    fraction: int | str | None
    rounding: str | None
    ranges: str | None
    input_bound: float | None
    ring: int | str | None


def numbers_from(**options: Unpack[NumberOptions]) -> Numbers:
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


def check_ranges(
    context: Context, layout: Layout, prepared: Prepared, inputs: Sequence[Any], *, used: Sequence[SecretArray]
) -> None:
    """Compare this party's inputs with what the program can take of each; the first evaluator has the guests do so too.

    `used` are the secrets that go into the program, in its order.

    Security: nobody learns how large a number is; that one is too large ends the run, which everybody sees.
    Raises: FixedPointRangeError at an owner.
    """
    if layout.numbers.ranges == "unchecked":
        return
    limits: dict[int, Limit] = {}
    for secret, limit in zip(used, prepared.limits, strict=True):
        limits[id(secret)] = min(limits.get(id(secret), limit), limit)
    role = layout.played_by(context.party)[0]
    rows = [[limits.get(id(leaf), NO_LIMIT) for leaf in flatten(parts[role])[0]] for parts in inputs]
    _check(inputs, rows)
    if context.party != layout.roles[0]:
        return
    guests = [party for party in context.participants if party not in layout.roles]
    for guest in guests:
        context.stream(guest, RANGE).send(*codec.encode([[list(limit) for limit in row] for row in rows]))
    for guest in guests:
        codec.decode(context.stream(guest, RANGE).receive())


def check_as_guest(context: Context, layout: Layout, inputs: Sequence[Any]) -> RoleParts:
    """Compare this party's inputs with what the first evaluator found.

    Raises: FixedPointRangeError if one is too large.
    """
    stream = context.stream(layout.roles[0], RANGE)
    _check(inputs, [[(bound, reason) for bound, reason in row] for row in codec.decode(stream.receive())])
    stream.send(*codec.encode(True))
    sizes = [leaf.largest for parts in inputs for tree in _trees(parts) for leaf in tree if leaf.largest is not None]
    return RoleParts({len(layout.roles): OwnNumbers(max(sizes, default=None))})


def _check(inputs: Sequence[Any], rows: Sequence[Sequence[Limit]]) -> None:
    """Each leaf of each value against its limit; what is remembered of a whole value against the least of them."""
    from jali.mpc.prepare import owner_check

    for parts, row in zip(inputs, rows, strict=True):
        for leaves in _trees(parts):
            whole = any(isinstance(leaf, OwnNumbers) for leaf in leaves)
            for leaf, limit in zip(leaves, [min(row, default=NO_LIMIT)] if whole else row, strict=True):
                owner_check(leaf.largest, limit)


def _trees(parts: Any) -> list[list[Any]]:
    """The leaves of this party's parts, for each role that it plays."""
    return [flatten(tree)[0] for tree in parts.values()] if isinstance(parts, RoleParts) else []
