# SPDX-License-Identifier: Apache-2.0
"""The engine of the mpc device: programs, protocols and the scheduler that runs one on the other."""
