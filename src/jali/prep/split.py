# SPDX-License-Identifier: Apache-2.0
"""Which rows train and which are held out: the same at every party, from a public seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jali.core.errors import TrainingRowsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["train_test_split"]


def train_test_split(rows: int, seed: int, *, held_out: float = 0.3) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training rows and of the held-out rows, a public random partition of range(rows).

    Parties whose tables are aligned call it with the same arguments and take the same rows, without a message.

    Raises: TrainingRowsError if either part would be empty.

    Example:
    >>> train, test = train_test_split(10, 7, held_out=0.3)
    >>> len(train), len(test)
    (7, 3)
    """
    count = round(rows * held_out)
    if not 0 < count < rows:
        raise TrainingRowsError(
            f"cannot split {rows} rows with held_out={held_out}: both parts need at least one row; "
            "did the alignment find customers in common?"
        )
    order = np.random.default_rng(seed).permutation(rows).astype(np.int64)
    return order[count:], order[:count]
