# SPDX-License-Identifier: Apache-2.0
"""From jax's primitives to the operations of a program: a rule for each, a file a family."""
