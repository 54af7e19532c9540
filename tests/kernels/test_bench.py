# SPDX-License-Identifier: Apache-2.0
"""The benchmark covers every kernel and reports times that make sense."""

from __future__ import annotations

from jali.kernels import bench, reference


def test_every_kernel_is_timed_beside_its_twin() -> None:
    rows = bench.kernel_rows(repeats=1, n=1000, side=20)
    timed = {str(row["case"]).split()[0] for row in rows}
    assert timed == set(reference.__all__) - {"permute"}
    for row in rows:
        seconds, twin_seconds, ratio = row["seconds"], row["twin_seconds"], row["ratio"]
        assert isinstance(seconds, float)
        assert isinstance(twin_seconds, float)
        assert seconds > 0
        assert ratio == twin_seconds / seconds


def test_limits_are_measured() -> None:
    rows = bench.limit_rows(repeats=1, size_bytes=1 << 20)
    assert [row["suite"] for row in rows] == ["limits"] * 4
    for row in rows:
        speed = row["gigabytes_per_s"]
        assert isinstance(speed, float)
        assert 0 < speed < 10_000
