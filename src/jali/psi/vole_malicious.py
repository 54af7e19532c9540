# SPDX-License-Identifier: Apache-2.0
"""The intersection of `jali.psi.vole`, checked, so that it withstands malicious parties.

What is added: the checks of `jali.crypto.vole`, before the encoder sends its table; a random value of either party in
the function, the tagger's committed to before it sees the encoder's (`jali.psi.vole_oprf`); tags in full length, so
that whoever makes one has hashed its key; and, where both learn, a hash of other outputs of the function at all keys
that the encoder says it found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from jali.core.threat import Threat
from jali.psi import vole
from jali.psi.contract import counted, least_leaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from jali.core.threat import Cost, Leak
    from jali.psi.contract import Learns, Step
    from jali.psi.keys import Keys
    from jali.transport.channel import Stream

__all__ = ["VoleMaliciousPsi"]


class VoleMaliciousPsi:
    """Two-party intersection against a malicious party, with abort.

    Security: a malicious encoder learns the intersection with a set that it chose before, where it said n keys (the
    table has m = 1.1 n + 256 places) of fewer than 1.54 m at a million and 1.74 m at a thousand, unless it hashes 2^64
    keys. A malicious tagger learns nothing but, where both learn, the result; that is one of a set of its
    choice. Where both learn, an encoder can leave keys out of what it says, and claim none that it has not. Who cheats
    in the checks, and guesses right, learns the guessed bits of the factor or of the sparse vector's places; a wrong
    guess ends the run.
    Cost: that of `VolePsi`, with 16 bytes a tag, two rounds and some 4 kB more.
    References: Raghuraman, Rindal 2022 (ePrint 2022/320), section 4; Rindal, Schoppmann 2021 (ePrint 2021/266); Weng,
    Yang, Katz, Wang 2021 (ePrint 2020/925), section 5. The argument stands in `docs/explanation/psi.md`.
    """

    name: ClassVar[str] = "vole-malicious"
    threat: ClassVar[Threat] = Threat(
        parties=2,
        corrupt=1,
        adversary="malicious",
        abort="messages that do not fit together, or are malformed, repeated or miscounted, raise a named error",
        assumptions=(
            "regular syndromes of the expand-convolute code look random, also to who learns a few bits of the places",
            *vole.VolePsi.threat.assumptions[1:],
        ),
        paper="Raghuraman, Rindal 2022 (ePrint 2022/320); Weng, Yang, Katz, Wang 2021 (ePrint 2020/925)",
    )

    def intersect(
        self,
        stream: Stream,
        keys: Keys,
        n_theirs: int,
        *,
        learns: Learns = "both",
        first: bool = True,
        progress: Callable[[float, str], None],
    ) -> NDArray[np.int64] | None:
        """See `PsiProtocol.intersect`. Raises: CheckFailed, too."""
        return vole.run(stream, keys, n_theirs, learns=learns, first=first, progress=progress, checked=True)

    def cost(self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True) -> Cost:
        """See `PsiProtocol.cost`."""
        return counted(self.script(n_mine, n_theirs, learns=learns, first=first))

    def script(
        self, n_mine: int, n_theirs: int, *, learns: Learns = "both", first: bool = True
    ) -> Iterator[tuple[Step, int]]:
        """See `PsiProtocol.script`."""
        return vole.script(n_mine, n_theirs, learns=learns, first=first, checked=True)

    def pace(self) -> dict[Step, float]:
        """See `PsiProtocol.pace`; the checks take a hundredth of the rest."""
        return vole.VolePsi().pace()

    def leaks(self, parties: tuple[str, str], *, learners: tuple[str, ...]) -> tuple[Leak, ...]:
        """See `PsiProtocol.leaks`."""
        return least_leaks(parties, learners)
