# SPDX-License-Identifier: Apache-2.0
"""Privacy of results: noise."""
