# SPDX-License-Identifier: Apache-2.0
"""Functions by one-time tables on replicated shares: role 2 deals the tables, roles 0 and 1 open c = x + r.

References: Ishai, Kushilevitz, Meldgaard, Orlandi, Paskin-Cherniavsky 2013 (TCC), on one-time truth tables.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jali.mpc.rep3.dealer import Dealing
from jali.mpc.rep3.wires import Halves
from jali.mpc.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Generator

    from jali.mpc.functions.tables import Table
    from jali.mpc.rep3.wires import Share, Wires
    from jali.mpc.rounds import Round

__all__ = ["lookup"]


def lookup(wires: Wires, x: Share, table: Table) -> Generator[Round, Any, Halves]:
    """The function of each element, in halves.

    Security: roles 0 and 1 see c, uniform, and uniform shares of the tables; role 2 receives nothing.
    Cost: 1 round; from role 2 16 B (of halves 8 B from roles 0 and 1) and, for each element, 8 B for each word of its
    table.
    """
    dealing = Dealing(wires, x.shape)
    words = (math.prod(x.shape), *table.words)
    dealing.deal(words, lambda: table.dealt(dealing.r.reshape(-1)))
    c, dealt = yield from dealing.open(wires.openings.find(x))
    shape = (table.outputs, *x.shape)
    if wires.role == 2:
        return Halves(shape, NOTHING)
    return Halves(shape, wires.compute(shape, lambda: table.combined(c.reshape(-1), dealt).reshape(shape)))
