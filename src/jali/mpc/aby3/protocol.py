# SPDX-License-Identifier: Apache-2.0
"""aby3: three parties with replicated shares, who truncate and compare in published ways: what rep3 does, established.

Sharing and products are those of rep3 (`jali.mpc.rep3.side`). Truncation opens a masked value to one role
(`jali.mpc.aby3.truncate`), comparison evaluates circuits of bits (`jali.mpc.aby3.compare`), and bits meet numbers by
three-party oblivious transfer (`jali.mpc.aby3.inject`).

References: Mohassel, Rindal 2018, ABY3 (ePrint 2018/403), on share conversions; Dalskov, Escudero, Keller 2020 (ePrint
2019/131), on truncation. The docs page "explanation/protocols/aby3" has the formulas and the security argument.
"""

from __future__ import annotations

from typing import ClassVar, final

from jali.core.threat import Threat
from jali.mpc.aby3 import compare, inject
from jali.mpc.aby3.truncate import truncate
from jali.mpc.rep3.side import Circuits, ReplicatedSide

__all__ = ["Aby3"]


@final
class Aby3(ReplicatedSide):
    """One role's side of aby3.

    Security: semi-honest, one of the three parties corrupted.
    """

    name: ClassVar[str] = "aby3"
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
        paper="Mohassel and Rindal 2018 (ePrint 2018/403), Araki et al. 2016 (ePrint 2016/768), Dalskov et al. 2020 "
        "(ePrint 2019/131)",
    )
    circuits: ClassVar[Circuits] = Circuits(
        truncate=truncate,
        sign=compare.sign,
        at_least=compare.at_least,
        is_zero=compare.is_zero,
        compare_with_zero=compare.compare_with_zero,
        to_arithmetic=inject.to_arithmetic,
        select=inject.select,
    )
