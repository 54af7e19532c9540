# SPDX-License-Identifier: Apache-2.0
"""Private information retrieval: a row of a server's table, and the server does not learn which."""
