# SPDX-License-Identifier: Apache-2.0
"""What a program will cost before it runs: rounds and bytes exactly, seconds under a network."""
