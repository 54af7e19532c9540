# SPDX-License-Identifier: Apache-2.0
"""Compute together on data that nobody else can see.

Names are loaded when they are first used, so that `import jali` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jali.core.errors import JaliError
    from jali.core.table import Table
    from jali.core.types import Spec
    from jali.devices.connect import connect, reveal, simulate
    from jali.devices.explain import explain
    from jali.devices.federation import Federation
    from jali.devices.saves import is_saved, load, save
    from jali.psi.aggregates import sum_common
    from jali.psi.count import count_common
    from jali.psi.join import align
    from jali.psi.many_join import align_all
    from jali.psi.pir.book import publish
    from jali.psi.secret_join import align_secret
    from jali.tables.csv import read_csv, write_csv
    from jali.transport.network import Network

__all__ = [
    "Federation",
    "JaliError",
    "Network",
    "Spec",
    "Table",
    "__version__",
    "align",
    "align_all",
    "align_secret",
    "connect",
    "count_common",
    "explain",
    "is_saved",
    "load",
    "publish",
    "read_csv",
    "reveal",
    "save",
    "simulate",
    "sum_common",
    "write_csv",
]

__version__ = "0.1.0"

_HOMES = {
    "Federation": "jali.devices.federation",
    "JaliError": "jali.core.errors",
    "Network": "jali.transport.network",
    "Spec": "jali.core.types",
    "Table": "jali.core.table",
    "align": "jali.psi.join",
    "align_all": "jali.psi.many_join",
    "align_secret": "jali.psi.secret_join",
    "connect": "jali.devices.connect",
    "count_common": "jali.psi.count",
    "explain": "jali.devices.explain",
    "is_saved": "jali.devices.saves",
    "load": "jali.devices.saves",
    "publish": "jali.psi.pir.book",
    "read_csv": "jali.tables.csv",
    "reveal": "jali.devices.connect",
    "save": "jali.devices.saves",
    "simulate": "jali.devices.connect",
    "sum_common": "jali.psi.aggregates",
    "write_csv": "jali.tables.csv",
}


if not TYPE_CHECKING:  # so that type checkers know the names above, and no others

    def __getattr__(name: str) -> Any:
        """The public name, from the module that defines it (PEP 562)."""
        from importlib import import_module

        if name == "psi":  # a package that can be called
            return import_module("jali.psi")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'jali' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names and what is loaded."""
    return sorted({*globals(), *__all__})
