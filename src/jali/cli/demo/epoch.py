# SPDX-License-Identifier: Apache-2.0
"""The program of one benchmark: epochs of logistic regression on 10,000 rows of 100 features, half at each party."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import jali
from jali.core.files import write_atomically
from jali.ml import LogisticRegression

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FEATURES", "MODEL", "REPEATS", "REPORT", "ROWS", "main"]

ROWS, FEATURES, REPEATS = 10_000, 100, 4
MODEL = LogisticRegression(epochs=1, batch_size=1024)
REPORT = "report.json"


def features(seed: int) -> NDArray[np.float64]:
    """Half of the columns."""
    return np.random.default_rng(seed).normal(size=(ROWS, FEATURES // 2))


def labels(seed: int) -> NDArray[np.int64]:
    """Zeros and ones."""
    return np.random.default_rng(seed).integers(0, 2, ROWS)


def main() -> None:
    """Train one epoch several times, one after the other; the first time includes tracing."""
    with jali.connect() as fed:
        bank, bureau, mpc = fed.plain("bank"), fed.plain("bureau"), fed.mpc("bank", "bureau")
        x, y = (bank(features)(1), bureau(features)(2)), bank(labels)(3)
        for _ in range(REPEATS):
            jali.reveal(mpc(MODEL.fit)(x, y), to=[bank, bureau, "dealer"])
        write_atomically(REPORT, fed.report().to_json())


if __name__ == "__main__":
    main()
