# SPDX-License-Identifier: Apache-2.0
"""rep3: three parties, each holding two of the three parts of every value; no dealer and no preprocessing.

Sharing and products are in `jali.mpc.rep3.side`. Truncation and comparison make role 2 the dealer of the two others
for a moment (`jali.mpc.rep3.dealer`), which is our own arrangement; `jali.mpc.aby3` does both as published.

References: Araki, Furukawa, Lindell, Nof, Ohara 2016 (ePrint 2016/768); Mohassel, Rindal 2018, ABY3 (ePrint
2018/403). The docs page "explanation/protocols/rep3" has the formulas and the security argument.
"""

from __future__ import annotations

from typing import ClassVar, final

from jali.core.threat import Threat
from jali.mpc.rep3 import compare, convert
from jali.mpc.rep3.side import Circuits, ReplicatedSide
from jali.mpc.rep3.truncate import truncate, truncate_product

__all__ = ["Rep3"]


@final
class Rep3(ReplicatedSide):
    """One role's side of rep3.

    Security: semi-honest, one of the three parties corrupted.
    """

    name: ClassVar[str] = "rep3"
    threat: ClassVar[Threat] = Threat(
        parties=3,
        corrupt=1,
        adversary="semi-honest",
        abort="a message of the wrong length ends the program; wrong words are not noticed",
        assumptions=(
            "no two of the three parties collude",
            "AES-128 is a pseudo-random function",
            "truncated numbers lie within -2^62 and 2^62",
        ),
        paper="Araki et al. 2016 (ePrint 2016/768), Mohassel and Rindal 2018 (ePrint 2018/403)",
    )
    circuits: ClassVar[Circuits] = Circuits(
        truncate=truncate,
        sign=compare.sign,
        at_least=compare.at_least,
        is_zero=compare.is_zero,
        compare_with_zero=compare.compare_with_zero,
        to_arithmetic=convert.to_arithmetic,
        select=convert.select,
        truncate_product=truncate_product,
    )
