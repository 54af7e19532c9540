# SPDX-License-Identifier: Apache-2.0
"""Two parties' tables joined on an mpc device, where nobody sees which rows are in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from jali.core.errors import KeyInvalid, ProgramError, PsiFrameInvalid, WouldDisclose
from jali.core.extras import need
from jali.core.threat import Cost
from jali.core.tree import flatten, unflatten
from jali.crypto.hashing import digest
from jali.devices.handle import Handle
from jali.devices.moves import announce, hear
from jali.devices.predict import Planned
from jali.devices.roles import RoleParts
from jali.devices.secret_moves import groups_of, received, share_parts
from jali.devices.specs import input_type, type_of_spec
from jali.graph.node import Visibility
from jali.mpc.cost.estimate import transcribe
from jali.mpc.fixed import encode
from jali.mpc.ir import ValueType
from jali.mpc.registry import PROTOCOLS
from jali.psi.circuit import THREAT, cost, leaks, left_parts, place, right_parts
from jali.psi.cuckoo import size_for
from jali.psi.forecast import rows_of
from jali.psi.hello import HELLO_BYTES, Speed, read_hello, write_hello
from jali.psi.normalise import canonical
from jali.psi.owners import owners_of, side_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.table import Table
    from jali.devices.mpc import MpcDevice
    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.graph.node import Node
    from jali.psi.keys import Keys
    from jali.psi.owners import Side
    from jali.transport.network import Network

    Columns = dict[str, NDArray[Any]]
    Types = dict[str, Any]  # of columns by name, and of the difference

__all__ = ["ROWS", "TOTAL", "SecretJoin", "align_secret", "join_on"]

ROWS: Final = "rows"
"""The column that says in how many rows a key stands, where a table was summed up by key."""

TOTAL: Final = "total"
"""The column that has the sum over these rows."""

_NAME: Final = "circuit"


def align_secret(
    left: Any, right: Any, *, on: str | Sequence[str], device: MpcDevice, normalise: str = "trimmed"
) -> tuple[Handle, Handle, Handle]:
    """Join two parties' tables on an mpc device: columns of the left, columns of the right, and which rows match.

    All three are secrets of one length, some 1.5 times the number of the left table's keys: `left` and `right` map
    names of columns to numbers (booleans are 0 and 1; text and the columns of the key stay where they are), `member`
    says for each place whether both have a row there. Where they have not, the right's columns are 0; the left's are 0
    in places where it has no row either. Nobody learns which rows match, nor how many.

    Each key stands in one row of a table; sum up by the key first where it stands in several. The left table had better
    be the smaller one.

    Security: `jali.psi.circuit`, and the device's own.
    Cost: 27 bytes from the left for each of its keys, 53 from the right for each of its own and each two columns (the
    first is free); then the device's inputs of 1 word a place and column from each party, and an equality.
    Raises: ProgramError; WouldDisclose for a device that computes in the clear; KeyInvalid for repeated keys.

    Example: ``left, right, member = jali.align_secret(customers, scores, on="id", device=mpc)``, and then
    ``mpc(lambda a, b, m: (m * a["amount"] * b["score"]).sum())(left, right, member)``.
    """
    joined = join_on(left, right, on=on, device=device, normalise=normalise)
    member = device(_member)(joined["difference"])
    return joined["left"], device(_kept)(joined["right"], member), member


def join_on(
    left: Any, right: Any, *, on: str | Sequence[str], device: MpcDevice, normalise: str, of: str | None = None
) -> Handle:
    """The join before anything is compared: "difference", 0 where rows match, "left" and "right".

    With `of`, tables are summed up by the key: the left has `ROWS`, the right `ROWS` and `TOTAL`, that of this column;
    with an empty one only `ROWS`.
    """
    owners = owners_of(left, right)
    normalise = canonical(normalise)
    layout = getattr(device, "layout", None)
    if layout is None or device.kind != "mpc":
        raise ProgramError(f"expected an mpc device to join on, found {device!r}: for instance fed.mpc(...)")
    if PROTOCOLS.get(layout.protocol).threat.corrupt == 0:
        raise WouldDisclose(
            f"{device.name} computes in the clear: name an mpc device of several parties, or see rows with jali.align"
        )
    columns = (on,) if isinstance(on, str) else tuple(on)
    assumed = "; ".join(THREAT.assumptions)
    node = left.program.append(
        SecretJoin.name,
        device=device.name,
        participants=tuple(dict.fromkeys((*owners, *device.participants))),
        inputs=(left.node, right.node),
        attributes={
            "on": columns,
            "normalise": normalise,
            "of": of,
            "owners": owners,
            "device": layout,
            "trust": f"secret join of {' and '.join(owners)}: {THREAT.adversary}, 1 of 2 may be corrupt; {assumed} "
            f"({THREAT.paper}); then {device.name} protects it",
        },
        fingerprint=digest("psi.secret", *columns, normalise, repr(of), *owners, layout.fingerprint),
        visibility=Visibility("secret", (device.name,)),
        text=f"join secretly on {' and '.join(map(repr, columns))}",
        leaks=leaks(*owners, device.name),
    )
    return Handle(left.program, node)


class SecretJoin:
    """The graph node behind `align_secret`: the owners make additive parts, and share them on the device."""

    name = "psi.secret"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's shares. Raises: as `align_secret`; PsiKeysDiffer, PsiFrameInvalid for the peer."""
        layout: Layout = attributes["device"]
        owners: tuple[str, str] = attributes["owners"]
        parts, rounds, types = None, 0, {}
        if context.party in owners:
            mine = side_of(context, inputs, attributes, owners=owners)
            columns = _columns(mine, attributes)
            n_theirs = _greet(mine)
            size = size_for(len(mine.keys) if mine.left else n_theirs)
            own = _announced(context, columns, size, layout, left=mine.left)
            theirs = _heard(context, mine.stream.peer, size=size)
            types = {**own, **theirs}
            parts = _parts(context, mine, columns, types, n_theirs)
            rounds = mine.stream.counters.rounds
        else:
            for party in owners:
                types |= _heard(context, party)
        kinds, structure = flatten(types)
        context.outline = (structure, kinds)
        shares = share_parts(context, layout, owners, parts, kinds)
        context.rounds = (context.rounds or 0) + rounds
        return RoleParts({role: unflatten(structure, secrets) for role, secrets in shares.items()})

    def plan(self, node: Node, inputs: list[Any], network: str | Network | None) -> Planned:
        """Exact bytes for tables whose columns are known, with different keys; no seconds."""
        del network
        layout: Layout = node.attributes["device"]
        owners: tuple[str, str] = node.attributes["owners"]
        rows = [rows_of(table) for table in inputs]
        columns = [_column_types(table, node.attributes, layout, rows[0], side) for side, table in enumerate(inputs)]
        between = cost(rows[0], rows[1], len(columns[1]))
        kinds = [ValueType(shape=(size_for(rows[0]),), kind="int"), *columns[0], *columns[1]]
        sent = {
            party: HELLO_BYTES + between.bytes_sent[side] for party, side in zip(owners, ("me", "peer"), strict=True)
        }
        for group in groups_of(owners, layout):
            roles = [layout.input_role(party) for party in group]

            def operation(side: Any, roles: list[int] = roles) -> Any:
                return received(side, dict.fromkeys(roles), kinds)

            guest = operation if len(layout.roles) in roles else None
            for role, size in transcribe(layout.protocol, operation, guest=guest).cost.bytes_sent.items():
                sent[role] = sent.get(role, 0) + size
        return Planned(cost=Cost(rounds=1 + between.rounds + 1, bytes_sent=sent))


def _column_types(table: Any, attributes: Mapping[str, Any], layout: Layout, n_left: int, side: int) -> list[ValueType]:
    """The types of a planned table's columns on the device, as `_columns` will have them."""
    if attributes["of"] is not None:
        names = 1 + (side == 1 and attributes["of"] != "")
        return [ValueType(shape=(size_for(n_left),), kind="int")] * names
    kinds = [type_of_spec(spec, layout.numbers) for name, spec in table.items() if name not in attributes["on"]]
    return [msgspec.structs.replace(kind, shape=(size_for(n_left),)) for kind in kinds]


def _greet(mine: Side) -> int:
    """The peer's number of keys."""
    mine.stream.send(write_hello(mine.keys, _NAME, Speed(0.0, 0.0), resumable=False))
    peer = read_hello(mine.stream.receive(), mine.keys, peer=mine.stream.peer)
    if peer.protocol != _NAME:
        raise PsiFrameInvalid(
            f"expected {mine.stream.peer!r} to join secretly, it wants {peer.protocol!r}", party=mine.stream.peer
        )
    return peer.n


def _columns(mine: Side, attributes: Mapping[str, Any]) -> Columns:
    """What this party shares: for each key a number in each column."""
    table, keys, of = mine.table, mine.keys, attributes["of"]
    if of is None:
        keys.require_distinct()
        order = keys.rows[keys.starts[:-1]]
        names = [name for name in table if name not in attributes["on"] and table[name].dtype.kind != "U"]
        return {name: _number(table[name][order]) for name in sorted(names)}  # as trees order them
    counts = {ROWS: keys.counts}
    return dict(sorted({**counts, TOTAL: _sums(table, keys, of)}.items())) if of and not mine.left else counts


def _number(cells: NDArray[Any]) -> NDArray[Any]:
    return cells.astype(np.int64) if cells.dtype.kind == "b" else cells


def _sums(table: Table, keys: Keys, of: str) -> NDArray[Any]:
    """The sum of a column over the rows of each key."""
    cells = _number(table[of])
    if cells.dtype.kind == "U":
        raise KeyInvalid(f"expected numbers to sum in column {of!r}, found text")
    return np.add.reduceat(cells[keys.rows], keys.starts[:-1]) if len(keys) else cells[:0]


def _announced(context: Context, columns: Columns, size: int, layout: Layout, *, left: bool) -> Types:
    """What everybody may know of this party's columns, and does then."""
    kinds = {
        name: input_type(np.broadcast_to(np.zeros((), cells.dtype), (size,)), layout.numbers)
        for name, cells in columns.items()
    }
    types: Types = {"difference": ValueType(shape=(size,), kind="int"), "left": kinds} if left else {"right": kinds}
    leaves, structure = flatten(types)
    announce(context, [party for party in context.participants if party != context.party], structure, leaves)
    return types


def _heard(context: Context, owner: str, *, size: int | None = None) -> Types:
    structure, leaves = hear(context, owner)
    types = unflatten(structure, leaves)
    if not isinstance(types, dict) or any(size not in {None, kind.size} for kind in leaves):
        raise PsiFrameInvalid(f"expected columns of a join from {owner!r}, found another value", party=owner)
    return types


def _parts(context: Context, mine: Side, columns: Columns, types: Types, n_theirs: int) -> list[NDArray[np.uint64]]:
    """This party's additive parts, in the order of the types."""
    sides = ("left", "right") if mine.left else ("right", "left")
    own, other = (types[side] for side in sides)
    words = {name: encode(cells, kind=own[name].kind, fraction=own[name].fraction) for name, cells in columns.items()}
    if mine.left:
        placed = place(mine.keys.digests)
        found = left_parts(mine.stream, placed, n_theirs, len(other), context.progress)
        taken = placed.holder >= 0
        at_home = {name: np.where(taken, np.append(cells, 0)[placed.holder], 0) for name, cells in words.items()}
        tree = {"difference": found[:, 0], "left": at_home, "right": dict(zip(other, found.T[1:], strict=True))}
    else:
        cells = np.zeros((len(mine.keys), len(words)), np.uint64)
        for i, column in enumerate(words.values()):
            cells[:, i] = column
        found = right_parts(mine.stream, mine.keys.digests, cells, n_theirs, context.progress)
        nothing = np.zeros(len(found), np.uint64)
        tree = {
            "difference": found[:, 0],
            "left": dict.fromkeys(other, nothing),
            "right": dict(zip(words, found.T[1:], strict=True)),
        }
    leaves, _ = flatten(tree)
    return [np.ascontiguousarray(leaf, dtype=np.uint64) for leaf in leaves]


def _member(difference: Any) -> Any:
    """Whether both have the key of a place."""
    return difference == 0


def _kept(columns: Any, member: Any) -> Any:
    """Columns, and 0 where there is no match: what stands there is random."""
    where = need("jax.numpy", extra="jax").where
    return {name: where(member, column, 0) for name, column in columns.items()}
