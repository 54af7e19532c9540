# SPDX-License-Identifier: Apache-2.0
"""An oblivious *programmable* pseudo-random function: the server chooses its values at keys of its own.

The server sends a table whose places for each of its keys y sum up to F(y) plus the value that it wants there. The
client, who has F at its own keys x, adds that to the sum of x's places: the value for a key that the server programmed,
and something that looks random for any other.

References: Kolesnikov, Matania, Pinkas, Rosulek, Trieu 2017 (ePrint 2017/799), section 4; Rindal, Schoppmann 2021
(ePrint 2021/266), section 5, with tables such as these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from jali import kernels
from jali.psi.messages import receive_parts
from jali.psi.vole_oprf import table_of, table_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["Evaluated", "Function", "program", "programmed", "table_bytes"]

_VALUE, _SEED = 16, 8
_TO_MASK: Final = "jali.psi.programmed.v1"


class Function(Protocol):
    """What a server can evaluate: see `jali.psi.vole_oprf.OprfServer`."""

    def outputs(self, digests: Bytes, *, domain: str, width: int = 16) -> Bytes:
        """F at keys. Shapes: (n, 16) to (n, width)."""
        ...


class Evaluated(Protocol):
    """What a client has: see `jali.psi.vole_oprf.OprfClient`."""

    def outputs(self, *, domain: str, width: int = 16) -> Bytes:
        """F at its keys. Shapes: (n, width)."""
        ...


def program(stream: Stream, function: Function, digests: Bytes, values: Bytes, *, label: str = "") -> None:
    """The server's part: give its keys values. `label` tells several tables of one function apart.

    Shapes: digests (n, 16), different ones; values (n, 16).
    Security: the table is random but for values at keys that the client has too: these it learns. If values are
    uniform to the client, it learns nothing else, not even which keys these are.
    Cost: see `table_bytes`.
    """
    table, seed = table_of(digests, values ^ function.outputs(digests, domain=_TO_MASK + label))
    stream.send(seed.to_bytes(_SEED, "little"), table.tobytes())


def programmed(stream: Stream, evaluated: Evaluated, digests: Bytes, n_theirs: int, *, label: str = "") -> Bytes:
    """The client's part: the values at its keys, for a server that programs n_theirs.

    Shapes: digests (n, 16), those of `evaluated`; the result (n, 16).
    Raises: PsiFrameInvalid.
    """
    seed, table = receive_parts(stream, _SEED, _VALUE * table_places(n_theirs))
    sums = kernels.okvs_decode(digests, table.reshape(-1, _VALUE), seed=int.from_bytes(seed.tobytes(), "little"))
    return np.asarray(sums ^ evaluated.outputs(domain=_TO_MASK + label))


def table_bytes(n: int) -> int:
    """The size of the server's message for n keys."""
    return _SEED + _VALUE * table_places(n)
