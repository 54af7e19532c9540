# SPDX-License-Identifier: Apache-2.0
"""`jali demo`: a bank, a credit bureau and a dealer train and evaluate one model on data that none shows the others."""

__all__: list[str] = []
