# SPDX-License-Identifier: Apache-2.0
"""Preparation of one party's own columns: fill, scale, encode, bin.

Every preparer is a frozen bag of options. `fit(table, columns)` learns from the rows it is given (give it the training
rows only) and returns a frozen fitted state, whose `transform(table)` leaves the other columns alone. Nothing
here talks to anybody: run it at the plain device of the party that owns the table.
"""

from jali.prep.encode import FittedOneHot, OneHot
from jali.prep.impute import FittedImpute, Impute
from jali.prep.scale import FittedStandardise, Standardise
from jali.prep.split import train_test_split
from jali.prep.woe import FittedWeightOfEvidence, WeightOfEvidence

__all__ = [
    "FittedImpute",
    "FittedOneHot",
    "FittedStandardise",
    "FittedWeightOfEvidence",
    "Impute",
    "OneHot",
    "Standardise",
    "WeightOfEvidence",
    "train_test_split",
]
