# SPDX-License-Identifier: Apache-2.0
"""Three parties with replicated shares."""
