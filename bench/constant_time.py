# SPDX-License-Identifier: Apache-2.0
"""Whether the curve kernel takes as long for one secret scalar as for any other, at each level of the instruction set.

Two classes of scalars, all zero (but for the bits that clamping sets) and random, come in random order; Welch's t of
their times says whether the means differ. Beyond 4.5 they do, as good as surely (Reparaz, Balasch, Verbauwhede 2017,
ePrint 2016/1123). Close everything else first.
"""

from __future__ import annotations

import os
import time

import numpy as np

from jali.kernels import _native

CALLS, KEPT, LIMIT = 12_000, 80, 4.5


def main() -> None:
    """Print a line for each level."""
    draw = np.random.default_rng(0)
    points = draw.integers(0, 256, (8, 32), np.uint8)
    scalars = [[bytes(bytearray(32)) for _ in range(CALLS)], [os.urandom(32) for _ in range(CALLS)]]
    _native.set_threads(1)
    for level in _native.levels():
        _native.set_level(level)
        times: list[list[int]] = [[], []]
        for i, kind in enumerate(draw.integers(0, 2, CALLS).tolist()):
            scalar = scalars[kind][i]
            start = time.perf_counter_ns()
            _native.curve_multiply(points, scalar)
            times[kind].append(time.perf_counter_ns() - start)
        limit = np.percentile(np.concatenate(times), KEPT)  # interrupts take long
        zero, random = (kept[kept < limit] for kept in map(np.array, times))
        t = (zero.mean() - random.mean()) / np.sqrt(zero.var() / len(zero) + random.var() / len(random))
        verdict = "" if abs(t) < LIMIT else "  DIFFERS"
        print(f"{level:10} {zero.mean():9.0f} ns and {random.mean():9.0f} ns, t = {t:5.2f}{verdict}")


if __name__ == "__main__":
    main()
