# SPDX-License-Identifier: Apache-2.0
"""Sorting, greatest elements and secret places, written once over the contract."""
