# SPDX-License-Identifier: Apache-2.0
"""Cryptographic building blocks without input or output: generators, hashing, keys, sealing, sharing, the curve."""
