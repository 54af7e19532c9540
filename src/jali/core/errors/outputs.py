# SPDX-License-Identifier: Apache-2.0
"""J6xxx: results that could not be written."""

from __future__ import annotations

from jali.core.errors.tree import OutputError

__all__ = [
    "LedgerUnwritable",
    "WriteFailed",
]


class WriteFailed(OutputError):
    """A file could not be written; what was there before is untouched."""

    code = "J6010"


class LedgerUnwritable(OutputError):
    """A ledger entry could not be written; the run stops, since what is not recorded must not happen."""

    code = "J6080"
