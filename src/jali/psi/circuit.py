# SPDX-License-Identifier: Apache-2.0
"""A join that nobody sees: which keys are in common stays secret, and so do the columns that come along.

The *left* party puts each of its keys into one place of a cuckoo table, the *right* party each of its own into all
three (`jali.psi.cuckoo`). For each place the right party draws words: t, and a mask for each of its columns. It
programs an oblivious function (`jali.psi.programmed`) so that its key, asked for in one of its places, gives that
place's t and its cells less the masks. The left party asks for the key in each place, or for something random in an
empty one. Now what it got and what the other drew are additive parts of secrets on an mpc device: the difference of
both t, which is 0 exactly where the key is in common, and the cells, which are random elsewhere.

References: Pinkas, Schneider, Tkachenko, Yanai 2019 (ePrint 2019/241), section 3, and 5 for columns; Rindal, Schoppmann
2021 (ePrint 2021/266), section 6, with the function of `jali.psi.vole_oprf`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from jali.core.threat import Leak, Threat
from jali.crypto.randomness import random_bytes, random_words
from jali.crypto.secret import Secret
from jali.psi.contract import counted
from jali.psi.cuckoo import TABLES, arrange, places, queries, size_for
from jali.psi.programmed import program, programmed, table_bytes
from jali.psi.vole import VolePsi
from jali.psi.vole_oprf import OprfClient, OprfServer, oprf_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.core.threat import Cost
    from jali.psi.contract import Step
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]

__all__ = ["THREAT", "Placed", "cost", "leaks", "left_parts", "place", "right_parts", "script"]

THREAT: Final = Threat(
    parties=2,
    corrupt=1,
    adversary="semi-honest",
    abort="malformed, repeated or miscounted messages raise a named error",
    assumptions=VolePsi.threat.assumptions,
    paper="Pinkas, Schneider, Tkachenko, Yanai 2019 (ePrint 2019/241)",
)
_WORDS: Final = 2  # of a value that is programmed


class Placed(Secret):
    """The left party's keys in their places: of each place its key or -1, and what is asked for there.

    Shapes: holder (places,), queries (places, 16).
    """

    __slots__ = ("holder", "queries")

    def __init__(self, holder: NDArray[np.int64], queries: Bytes) -> None:
        """See `place`."""
        self.holder, self.queries = holder, queries


def place(digests: Bytes) -> Placed:
    """Put the left party's keys into places.

    Shapes: digests (n, 16), different ones; the result has `size_for(n)` places.
    """
    size = size_for(len(digests))
    holder = arrange(places(digests, size), size)
    taken = np.flatnonzero(holder >= 0)
    asked = np.frombuffer(bytearray(random_bytes(16 * size)), np.uint8).reshape(size, 16)
    asked[taken] = queries(digests[holder[taken]], taken // (size // TABLES))
    return Placed(holder, asked)


def left_parts(
    stream: Stream, placed: Placed, n_right: int, columns: int, progress: Callable[[float, str], None]
) -> Words:
    """The left party's parts, for n_right keys of the other with so many columns.

    Shapes: (places, 1 + columns): of the difference, then of each column.
    Security: sees t and masked cells of the places of its keys if the other has them, and else random words: uniform
    ones in either case, since t and the masks of a place are used for one query.
    Raises: PsiFrameInvalid.
    """
    evaluated = OprfClient(stream, placed.queries, progress)
    parts = []
    for table in range(_tables(columns)):
        progress(0.6, "values of the other's keys")
        values = programmed(stream, evaluated, placed.queries, TABLES * max(n_right, 1), label=str(table))
        parts.append(np.ascontiguousarray(values).view(np.uint64))
    return np.concatenate(parts, axis=1)[:, : 1 + columns]


def right_parts(
    stream: Stream, digests: Bytes, cells: Words, n_left: int, progress: Callable[[float, str], None]
) -> Words:
    """The right party's parts, with its keys and the words of their cells.

    Shapes: digests (m, 16), cells (m, columns); the result (places, 1 + columns).
    Security: sees what the server of the oblivious function sees: nothing.
    Raises: PsiFrameInvalid.
    """
    size, columns = size_for(n_left), cells.shape[1]
    if not len(digests):  # something that nobody asks for, so that nothing else differs
        digests, cells = np.frombuffer(random_bytes(16), np.uint8).reshape(1, 16), np.zeros((1, columns), np.uint64)
    where = places(digests, size)  # while the other places its keys
    asked = np.concatenate([queries(digests, table) for table in range(TABLES)])
    drawn = random_words((size, _WORDS * _tables(columns)))
    wanted = drawn[where.T.reshape(-1)]
    wanted[:, 1:] *= np.uint64(2**64 - 1)
    wanted[:, 1 : 1 + columns] += np.tile(cells, (TABLES, 1))
    function = OprfServer(stream, size, progress)
    for table in range(_tables(columns)):
        progress(0.6, "values of its keys")
        values = np.ascontiguousarray(wanted[:, _WORDS * table : _WORDS * (table + 1)]).view(np.uint8)
        program(stream, function, asked, values, label=str(table))
    drawn[:, 0] *= np.uint64(2**64 - 1)
    return drawn[:, : 1 + columns]


def script(n_left: int, n_right: int, columns: int, *, left: bool) -> Iterator[tuple[Step, int]]:
    """What one side does after the greeting: see `PsiProtocol.script`."""
    asked, programmed_keys = size_for(n_left), TABLES * max(n_right, 1)
    yield from oprf_script(asked, client=left)
    for _ in range(_tables(columns)):
        yield "find" if left else "encode", asked if left else programmed_keys
        yield "receive" if left else "send", table_bytes(programmed_keys)


def cost(n_left: int, n_right: int, columns: int) -> Cost:
    """Exact bytes of "me", the left party, and "peer", and rounds, after the greeting."""
    return counted(script(n_left, n_right, columns, left=True))


def leaks(left: str, right: str, device: str) -> tuple[Leak, ...]:
    """What the parties learn."""
    return (
        Leak(what=f"the number of distinct keys of {left}, and their kind", to=right, why="greeting, number of places"),
        Leak(what=f"the number of distinct keys of {right}, and their kind", to=left, why="greeting, size of tables"),
        Leak(what=f"names and types of columns of {left} and {right}", to=device, why="announced by their owners"),
    )


def _tables(columns: int) -> int:
    return -(-(1 + columns) // _WORDS)
