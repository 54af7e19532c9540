# SPDX-License-Identifier: Apache-2.0
"""m3k: three parties own data and learn results; the third deals what the first two compute with.

The computation is that of m2k, line by line. What is added is in `M2k.input` and `M2k.reveal`, for a dealer that owns
data: it knows every mask, so it shares x as x + lam, learns a masked value from x + lam, and is sent an additive one
in parts that the evaluators make fresh with words that the dealer cannot draw.

References: Chaudhari, Choudhury, Patra, Suresh 2019, ASTRA (ePrint 2019/429), whose P0 this dealer is; Patra,
Schneider, Suresh, Yalame 2021, ABY2.0 (ePrint 2020/1225). The docs page "explanation/protocols/m3k" has the
security argument.
"""

from __future__ import annotations

from typing import ClassVar, final

from jali.core.threat import Threat
from jali.mpc.m2k.protocol import M2k

__all__ = ["M3k"]


@final
class M3k(M2k):
    """One role's side of m3k; see `jali.mpc.contract.MpcProtocol` for the operations and `M2k` for their costs.

    Security: semi-honest, one of the three parties corrupted.
    """

    name: ClassVar[str] = "m3k"
    roles: ClassVar[tuple[str, ...]] = ("evaluator0", "evaluator1", "dealer")
    owners: ClassVar[tuple[int, ...]] = (0, 1, 2)
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
        paper="Chaudhari et al. 2019 (ePrint 2019/429), Patra et al. 2021 (ePrint 2020/1225)",
    )
