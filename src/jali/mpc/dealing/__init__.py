# SPDX-License-Identifier: Apache-2.0
"""What a dealer deals ahead of time, and the stores that keep it."""
