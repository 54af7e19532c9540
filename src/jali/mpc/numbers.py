# SPDX-License-Identifier: Apache-2.0
"""How a device computes with numbers: precision, rounding of what is revealed, and what is done about overflow."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jali.mpc.ir import DEFAULT_FRACTION

__all__ = ["Numbers"]


class Numbers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public settings of a device, the same at every party.

    `fraction` is the number of fraction bits, 8 to 18, or "auto": the most for which a program is safe under declared
    bounds.
    `rounding` of revealed results is "exact" (to nearest) or "probabilistic" (up or down by chance, and cheaper).
    `ranges` is "checked" (owners compare their numbers with what a program can take), "strict" (programs that are not
    proven safe are refused as well) or "unchecked". `input_bound` declares |x| <= input_bound for all inputs.
    `ring` is "auto" (products and comparisons take place in the least ring that they are proven to fit, Z_2^16 to
    Z_2^128) or 64.
    """

    fraction: Annotated[int, Meta(ge=8, le=18)] | Literal["auto"] = DEFAULT_FRACTION
    rounding: Literal["exact", "probabilistic"] = "exact"
    ranges: Literal["checked", "strict", "unchecked"] = "checked"
    input_bound: Annotated[float, Meta(gt=0)] | None = None
    ring: Literal["auto", 64] = "auto"

    @property
    def shared_fraction(self) -> int:
        """Fraction bits of inputs; a program with fewer rounds them first."""
        return DEFAULT_FRACTION if self.fraction == "auto" else self.fraction

    def __str__(self) -> str:
        """What differs from the defaults, for fingerprints and reports."""
        defaults = Numbers()
        changed = {key: value for key, value in msgspec.structs.asdict(self).items() if value != getattr(defaults, key)}
        return ", ".join(f"{key} = {value}" for key, value in changed.items())
