# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a command, loaded when it is called."""

__all__: list[str] = []
