# SPDX-License-Identifier: Apache-2.0
"""Private set intersection: which keys two parties have in common, and their tables aligned on those rows."""
