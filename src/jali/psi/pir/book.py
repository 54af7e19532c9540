# SPDX-License-Identifier: Apache-2.0
"""Books: tables in which others look rows up, and their owners do not learn which.

`publish` prepares a table once and hands out what it takes to ask; `Book.look_up` asks, as often as one likes. By key
that is `jali.psi.pir.keyword`, by number of the row `jali.psi.pir.index`, and from two owners of one table, by number,
`jali.psi.pir.two_server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from jali.core.errors import ProgramError, PsiFrameInvalid, TableInvalid
from jali.core.table import Table
from jali.crypto.hashing import digest
from jali.devices.handle import Handle
from jali.graph.node import Visibility
from jali.graph.operation import ABSENT
from jali.psi.keys import Keys
from jali.psi.normalise import canonical
from jali.psi.owners import owner_of
from jali.psi.pir import index, keyword, two_server
from jali.psi.pir.packing import columns_from, columns_of, packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.threat import Leak
    from jali.devices.program import Program
    from jali.graph.operation import NodeContext
    from jali.psi.pir.packing import Column
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["Book", "LookUp", "Publish", "publish"]

FOUND: Final = "found"
_AT_ONCE: Final = 256
_COUNT_BYTES: Final = 8


def publish(
    table: Any,
    *,
    to: str | Sequence[str],
    on: str | Sequence[str] | None = None,
    normalise: str = "trimmed",
) -> Book:
    """Let the parties in `to` look up rows of a table, of which its owner does not learn which.

    `on` is the key, one column or several; without it rows are looked up by their number, counted from 0. A pair of
    handles to one and the same table at two owners who do not collude, without `on`, costs less: nothing is handed out.

    Security: the table is not kept from who asks: see `leaks` of the module for each way.
    Cost: a hint of 4 kB for each byte of a column, some 12 MB for a million rows of 32 bytes, to each of `to`, once.
    Raises: ProgramError; TableInvalid, KeyInvalid at the owner for an empty table or a key in two rows.

    Example: ``book = jali.publish(registry, on="phone", to="shop")`` and then ``known = book.look_up(orders)``.
    """
    normalise = canonical(normalise)
    tables = table if isinstance(table, tuple) else (table,)
    owners, clients = tuple(owner_of(each) for each in tables), (to,) if isinstance(to, str) else tuple(to)
    columns = () if on is None else (on,) if isinstance(on, str) else tuple(on)
    if len(owners) > 2 or len(set(owners)) < len(owners) or (len(owners) == 2 and columns):
        raise ProgramError("expected a table at one party, or the same at two without `on`: those are by row number")
    if not clients or set(owners) & set(clients):
        raise ProgramError(f"expected parties that are none of the owners, {' and '.join(owners)}, in `to`")
    program: Program = tables[0].program
    for client in clients:
        program.require_party(client)
    node = program.append(
        Publish.name,
        device=", ".join(owners),
        participants=(*owners, *clients),
        inputs=tuple(each.node for each in tables),
        attributes={"owners": owners, "on": columns, "normalise": normalise},
        fingerprint=digest(Publish.name, *owners, *columns, normalise),
        visibility=Visibility("private", owners),
        text=f"publish {tables[0].node.text}",
        leaks=tuple(leak for client in clients for leak in _leaks(client, owners, by_key=bool(columns))[1]),
    )
    return Book(Handle(program, node), columns)


class Book:
    """A published table, as programs hold it."""

    def __init__(self, handle: Handle, on: tuple[str, ...]) -> None:
        """Made by `publish`."""
        self._handle, self._on = handle, on

    def look_up(self, asked: Any, *, on: str | Sequence[str] | None = None) -> Handle:
        """A table at one of the parties, with the columns of the book's rows, and whether it has one: `found`.

        `on` are the columns that have the key, if they have other names than in the book, or the row's number. Where
        nothing is found, cells are 0, "" or False.

        Cost: see `query_cost` of each way; 256 keys or rows a message.
        Raises: ProgramError; PsiKeysDiffer for keys of another kind; TableInvalid for a row number that is not there,
        or a column that is in both tables.
        """
        party, node = owner_of(asked), self._handle.node
        owners: tuple[str, ...] = node.attributes["owners"]
        columns = self._on if on is None else (on,) if isinstance(on, str) else tuple(on)
        if len(columns) != max(len(self._on), 1):
            raise ProgramError("expected in `on` as many columns as the book's key has, or the one with row numbers")
        if party not in node.participants or party in owners:
            raise ProgramError(f"{party!r} was not given the book: publish(..., to={party!r})")
        leaks, _ = _leaks(party, owners, by_key=bool(self._on))
        threat = two_server.THREAT if len(owners) == 2 else index.THREAT
        looked = self._handle.program.append(
            LookUp.name,
            device=party,
            participants=(party, *owners),
            inputs=(asked.node, node),
            attributes={
                "owners": owners,
                "on": columns,
                "by_key": bool(self._on),
                "normalise": node.attributes["normalise"],
                "trust": f"private look-up by {party} at {' and '.join(owners)}: {threat.adversary}; "
                f"{'; '.join(threat.assumptions)} ({threat.paper})",
            },
            fingerprint=digest(LookUp.name, *columns),
            visibility=Visibility("private", (party,)),
            text=f"look up {' and '.join(map(repr, columns))}",
            leaks=leaks,
        )
        return Handle(self._handle.program, looked)


class _Served(NamedTuple):
    """What an owner has of a book, ready to answer: of two owners the rows alone."""

    server: index.IndexServer | None
    rows: Bytes


class _Given(NamedTuple):
    """What a client has of a book."""

    columns: tuple[Column, ...]
    client: keyword.KeywordClient | index.IndexClient | None
    n: int
    width: int


class Publish:
    """The graph node behind `publish`."""

    name = "pir.publish"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> _Served | _Given:
        """The owner's or a client's part."""
        owners: tuple[str, ...] = attributes["owners"]
        if context.party not in owners:
            return _received(context.streams[owners[0]], by_key=bool(attributes["on"]), alone=len(owners) == 1)
        table = inputs[owners.index(context.party)]
        if not isinstance(table, Table) or not len(table):
            raise TableInvalid(f"expected a jali.Table with rows to publish at {context.party!r}, found none")
        columns = columns_of(table, [name for name in table if name not in attributes["on"]])
        rows = packed(table, columns)
        message, served = _prepared(context, table, rows, attributes)
        if context.party == owners[0]:
            for client in context.participants[len(owners) :]:
                context.streams[client].send(msgspec.msgpack.encode(columns))
                for part in message:
                    context.streams[client].send(part)
        return served


def _prepared(
    context: NodeContext, table: Table, rows: Bytes, attributes: Mapping[str, Any]
) -> tuple[tuple[bytes, ...], _Served]:
    """What goes to clients, and what stays."""
    owners: tuple[str, ...] = attributes["owners"]
    if len(owners) == 2:
        _compare(context, rows, next(party for party in owners if party != context.party))
        return (len(rows).to_bytes(_COUNT_BYTES, "little"),), _Served(None, rows)
    if not attributes["on"]:
        server = index.IndexServer(rows)
        return (server.hint.to_bytes(),), _Served(server, rows[:0])
    keys = Keys({name: table[name] for name in attributes["on"]}, normalise=attributes["normalise"])
    by_key = keyword.KeywordServer(keys, rows)
    return (by_key.layout.to_bytes(), by_key.hint.to_bytes()), _Served(by_key.index, rows[:0])


def _compare(context: NodeContext, rows: Bytes, peer: str) -> None:
    """Two owners of one table make sure of it. Raises: TableInvalid."""
    own = digest("jali.pir.table.v1", rows.tobytes(), *map(str, rows.shape))
    stream = context.streams[peer]
    stream.send(own)
    if bytes(stream.receive()) != own:
        raise TableInvalid(f"{context.party!r} and {peer!r} hold different tables: publish one and the same")


def _received(stream: Stream, *, by_key: bool, alone: bool) -> _Given:
    columns = columns_from(stream.receive())
    width = sum(column.width for column in columns)
    if not alone:
        return _Given(columns, None, int.from_bytes(stream.receive(), "little"), width)
    if not by_key:
        hint = index.Hint.from_bytes(stream.receive())
        given = _Given(columns, index.IndexClient(hint), hint.n, hint.width)
    else:
        layout = keyword.Layout.from_bytes(stream.receive())
        given = _Given(columns, keyword.KeywordClient(layout, index.Hint.from_bytes(stream.receive())), 0, layout.width)
    if given.width != width:
        raise PsiFrameInvalid(f"expected rows of {width} bytes from {stream.peer!r}, found others", party=stream.peer)
    return given


class LookUp:
    """The graph node behind `Book.look_up`."""

    name = "pir.look_up"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """The client's table, or ABSENT at an owner."""
        owners: tuple[str, ...] = attributes["owners"]
        asked, book = inputs
        if context.party in owners:
            _serve(context.streams[context.participants[0]], book)
            return ABSENT
        streams = [context.streams[owner] for owner in owners]
        if not isinstance(asked, Table):
            raise TableInvalid(f"expected a jali.Table at {context.party!r}, found {type(asked).__name__}")
        columns = {name: asked[name] for name in attributes["on"]}
        if attributes["by_key"]:
            keys = Keys(columns, normalise=attributes["normalise"])
            found, rows = _by_key(context, streams[0], book, keys)
            of_row = np.zeros(len(asked), np.int64)
            of_row[keys.rows] = np.repeat(np.arange(len(keys)), keys.counts)
            found, rows = found[of_row], rows[of_row]
        else:
            [(name, numbers)] = columns.items()
            rows = _by_number(context, streams, book, numbers, name)
            found = np.ones(len(rows), np.bool_)
        return _with(asked, {**unpacked(rows, book.columns), FOUND: found})


def _with(asked: Table, columns: Mapping[str, NDArray[Any]]) -> Table:
    both = [name for name in columns if name in asked]
    if both:
        raise TableInvalid(f"both tables have the column {both[0]!r}: rename it in one (Table.rename)")
    return asked.with_columns(columns)


def _by_key(context: NodeContext, stream: Stream, book: _Given, keys: Keys) -> tuple[NDArray[np.bool_], Bytes]:
    """Shapes: to (keys,) and (keys, width)."""
    if not isinstance(book.client, keyword.KeywordClient):
        raise ProgramError("the book is by row number")
    stream.send(len(keys).to_bytes(_COUNT_BYTES, "little"))
    found, rows = np.zeros(len(keys), np.bool_), np.zeros((len(keys), book.width), np.uint8)
    for start in range(0, len(keys), _AT_ONCE):
        context.progress(start / len(keys), "keys looked up")
        part = keys.part(start, min(start + _AT_ONCE, len(keys)), np.zeros((0, 16), np.uint8))
        chunk = slice(start, start + _AT_ONCE)
        found[chunk], rows[chunk] = keyword.ask_keys(stream, book.client, part)
    return found, rows


def _by_number(
    context: NodeContext, streams: Sequence[Stream], book: _Given, numbers: NDArray[Any], name: str
) -> Bytes:
    """Shapes: (n,) to (n, width)."""
    if numbers.dtype.kind != "i" or np.any((numbers < 0) | (numbers >= book.n)):
        raise TableInvalid(f"expected row numbers from 0 to {book.n - 1} in column {name!r}, found others")
    for stream in streams:
        stream.send(len(numbers).to_bytes(_COUNT_BYTES, "little"))
    parts = [np.zeros((0, book.width), np.uint8)]
    for start in range(0, len(numbers), _AT_ONCE):
        context.progress(start / len(numbers), "rows looked up")
        wanted = numbers[start : start + _AT_ONCE].tolist()
        if isinstance(book.client, index.IndexClient):
            parts.append(index.ask(streams[0], book.client, wanted))
        else:
            parts.append(two_server.ask((streams[0], streams[1]), wanted, n=book.n, width=book.width))
    return np.concatenate(parts)


def _serve(stream: Stream, book: _Served) -> None:
    message = stream.receive()
    if message.nbytes != _COUNT_BYTES:
        raise PsiFrameInvalid(f"expected a number of queries from {stream.peer!r}, found others", party=stream.peer)
    left = int.from_bytes(message, "little")
    for _ in range(-(-left // _AT_ONCE)):
        if book.server is None:
            two_server.answer(stream, book.rows)
        else:
            index.answer(stream, book.server)


def _leaks(client: str, owners: tuple[str, ...], *, by_key: bool) -> tuple[tuple[Leak, ...], tuple[Leak, ...]]:
    """What look-ups tell, and what publishing does."""
    if len(owners) == 2:
        return two_server.leaks(client, (owners[0], owners[1])), ()
    every = keyword.keyword_leaks(client, owners[0]) if by_key else index.leaks(client, owners[0])
    return tuple(leak for leak in every if leak.to != client), tuple(leak for leak in every if leak.to == client)
