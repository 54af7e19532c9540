# SPDX-License-Identifier: Apache-2.0
"""The discrete Laplace distribution."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.privacy.laplace import discrete_laplace


@pytest.mark.parametrize("epsilon", [0.25, 1.0, Fraction(4, 3), 3.5])
def test_frequencies_are_those_of_the_formula(epsilon: float | Fraction) -> None:
    drawn = np.array([discrete_laplace(epsilon) for _ in range(6000)])
    most = int(6 / epsilon) + 1
    numbers = np.arange(-most, most + 1)
    weights = np.exp(-float(epsilon) * np.abs(numbers))
    total = (1 + np.exp(-float(epsilon))) / (1 - np.exp(-float(epsilon)))
    counts = np.array([np.sum(drawn == number) for number in numbers])
    expected = len(drawn) * weights / total
    frequent = expected > 8
    observed = np.append(counts[frequent], len(drawn) - counts[frequent].sum())
    wanted = np.append(expected[frequent], len(drawn) - expected[frequent].sum())
    assert chisquare(observed, wanted).pvalue > 1e-6


@pytest.mark.parametrize("epsilon", [0, -1.0, float("inf"), float("nan")])
def test_an_epsilon_that_means_nothing_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        discrete_laplace(epsilon)
