# SPDX-License-Identifier: Apache-2.0
"""Two evaluators with a dealer, independent (m2k) or one of three parties with data (m3k)."""
