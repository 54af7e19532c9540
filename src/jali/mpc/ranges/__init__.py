# SPDX-License-Identifier: Apache-2.0
"""How large every value of a program can get, before anything runs."""
