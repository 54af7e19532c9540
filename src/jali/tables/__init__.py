# SPDX-License-Identifier: Apache-2.0
"""Tables of one party: reading and writing them at their owner."""

__all__: list[str] = []
