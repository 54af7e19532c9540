# SPDX-License-Identifier: Apache-2.0
"""Compute together on data that nobody else can see."""
