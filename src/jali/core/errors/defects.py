# SPDX-License-Identifier: Apache-2.0
"""J9xxx: defects in jali."""

from __future__ import annotations

from jali.core.errors.tree import InternalError

__all__ = [
    "DemoFailed",
    "KernelArgumentError",
]


class KernelArgumentError(InternalError):
    """A kernel was called with arrays of the wrong shape or type."""

    code = "J9010"


class DemoFailed(InternalError):
    """The demonstration ended without the results that it should have written."""

    code = "J9501"
