# SPDX-License-Identifier: Apache-2.0
"""The lowest layer: errors, types, configuration, registries, trees, tables and the wire codec."""

__all__: list[str] = []
