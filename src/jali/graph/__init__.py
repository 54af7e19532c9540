# SPDX-License-Identifier: Apache-2.0
"""Program graphs: nodes, agreement between parties, execution, ledger."""
