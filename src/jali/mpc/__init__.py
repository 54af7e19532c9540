# SPDX-License-Identifier: Apache-2.0
"""The engine of the mpc device: programs, protocols and the scheduler that runs one on the other.

For functions that run on an mpc device it offers what `jax.numpy` lacks.
"""

from jali.mpc.loops import bounded_while

__all__ = ["bounded_while"]
