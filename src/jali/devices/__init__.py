# SPDX-License-Identifier: Apache-2.0
"""Devices, the moves between them, and the federation that a program sees."""
