# SPDX-License-Identifier: Apache-2.0
"""Functions of one number, by polynomials and tables, written once over the contract."""
