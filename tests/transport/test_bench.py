# SPDX-License-Identifier: Apache-2.0
"""The loopback limits are measured, not made up: plausible and in order."""

from __future__ import annotations

from jali.transport.bench import limit_rows


def test_limits_are_plausible() -> None:
    rows = {str(row["case"]): row for row in limit_rows(repeats=1, size_bytes=1 << 24)}
    assert len(rows) == 4
    rates = [row["gigabytes_per_s"] for row in rows.values() if "gigabytes_per_s" in row]
    seconds = [row["seconds"] for row in rows.values() if "seconds" in row]
    assert all(isinstance(rate, float) and 0.001 < rate < 1000 for rate in rates)
    assert all(isinstance(trip, float) and 1e-7 < trip < 1 for trip in seconds)
