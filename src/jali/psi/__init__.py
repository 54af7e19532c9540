# SPDX-License-Identifier: Apache-2.0
"""Private set intersection: which keys parties have in common, and their tables aligned on those rows.

The package can be called: `jali.psi(left, right, on="id")` is `jali.align`, and with more tables `jali.align_all`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _Psi(ModuleType):
    """A package that can be called."""

    def __call__(self, *tables: Any, **how: Any) -> tuple[Any, ...]:
        """Align tables by the protocol that should be done first, or by the one that is named: see `jali.align`."""
        from jali.psi.join import align
        from jali.psi.many_join import align_all

        return align(*tables, **how) if len(tables) == 2 else align_all(tables, **how)


sys.modules[__name__].__class__ = _Psi
