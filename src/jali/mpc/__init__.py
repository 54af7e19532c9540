# SPDX-License-Identifier: Apache-2.0
"""The engine of the mpc device: programs, protocols and the scheduler that runs one on the other.

For functions that run on an mpc device it offers what `jax.numpy` lacks: `bounded_while` is a loop of secret length,
`bounded` declares how large numbers are; `dry_run` tries a function on sample data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jali.mpc.bounds import bounded
    from jali.mpc.loops import bounded_while
    from jali.mpc.trial import dry_run

__all__ = ["bounded", "bounded_while", "dry_run"]

_HOMES = {
    "bounded": "jali.mpc.bounds",
    "bounded_while": "jali.mpc.loops",
    "dry_run": "jali.mpc.trial",
}


if not TYPE_CHECKING:  # so that type checkers know the names above, and no others

    def __getattr__(name: str) -> Any:
        """The public name, from the module that defines it (PEP 562)."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'jali.mpc' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
