# SPDX-License-Identifier: Apache-2.0
"""A bank and a credit bureau train one credit model together; the same program runs at every party.

The bank knows accounts, loans and who paid back; the bureau knows the person. Neither shows its file. They learn which
customers they share, and the bank learns how well the joint model separates good from bad: no weight, score or
feature is revealed to anyone. `jali demo` runs it; at an institution, where its own file is:

    jali run job.py --as bank --federation federation.toml
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

import jali
from jali.core.errors import LabelError
from jali.core.files import write_atomically
from jali.devices.progress import listeners
from jali.ml import LogisticRegression, RocCounts, roc_counts, threshold_grid
from jali.prep import Impute, OneHot, Standardise, WeightOfEvidence, train_test_split

if TYPE_CHECKING:
    from jali.core.table import Table
    from jali.graph.node import Node

__all__ = [
    "BANK",
    "BUREAU",
    "COUNTS",
    "KEY",
    "LABEL",
    "MODEL",
    "REPORT",
    "THRESHOLDS",
    "main",
    "prepare_bank",
    "prepare_bureau",
]

KEY, LABEL = "national_id", "creditability"
BANK = {
    "status_of_existing_checking_account": str,
    "duration_in_month": float,
    "credit_history": str,
    "purpose": str,
    "credit_amount": float,
    "savings_account_and_bonds": str,
    "installment_rate_in_percentage_of_disposable_income": float,
    LABEL: str,
}
BUREAU = {
    "present_employment_since": str,
    "personal_status_and_sex": str,
    "other_debtors_or_guarantors": str,
    "present_residence_since": float,
    "property": str,
    "age_in_years": float,
    "other_installment_plans": str,
    "housing": str,
    "number_of_existing_credits_at_this_bank": float,
    "job": str,
    "number_of_people_being_liable_to_provide_maintenance_for": float,
    "telephone": str,
    "foreign_worker": str,
}
COUNTS, REPORT = "counts.json", "report.json"
SEED, HELD_OUT = 2024, 0.3
MODEL = LogisticRegression(epochs=8, batch_size=64, learning_rate=0.1, l2=0.01, momentum=0.9, seed=SEED)
THRESHOLDS = threshold_grid(99)

Features = NDArray[np.float64]
Labels = NDArray[np.int64]


def prepare_bank(table: Table) -> tuple[Features, Features, Labels, Labels]:
    """Features and labels (1 = bad) of the training and of the held-out rows.

    The bank holds the labels, so it can turn its own columns into weights of evidence.
    """
    table = in_key_order(table)
    train, test = train_test_split(len(table), SEED, held_out=HELD_OUT)
    labels = (table[LABEL] == "bad").astype(np.int64)
    if not np.isin(table[LABEL], ("good", "bad")).all():
        raise LabelError(f"expected 'good' or 'bad' in every row of column {LABEL!r}, found others")
    features = table.drop(KEY, LABEL)
    filled = Impute().fit(features.take(train), features.columns).transform(features)
    evidence = WeightOfEvidence().fit(filled.take(train), filled.columns, labels=labels[train])
    x = evidence.transform(filled).numeric()
    return x[train], x[test], labels[train], labels[test]


def prepare_bureau(table: Table) -> tuple[Features, Features]:
    """Training and held-out features: numbers standardised, categories one-hot, both fitted on the training rows."""
    table = in_key_order(table)
    train, test = train_test_split(len(table), SEED, held_out=HELD_OUT)
    features = table.drop(KEY)
    numbers = [name for name in features if features[name].dtype.kind in "if"]
    categories = [name for name in features if name not in numbers]
    filled = Impute().fit(features.take(train), features.columns).transform(features)
    scaled = Standardise().fit(filled.take(train), numbers).transform(filled)
    x = OneHot().fit(scaled.take(train), categories).transform(scaled).numeric()
    return x[train], x[test]


def in_key_order(table: Table) -> Table:
    """The common rows in the order of their ids, which both parties know."""
    return table.take(np.argsort(table[KEY]))


def save_counts(counts: tuple[Any, ...]) -> None:
    """Write what the bank learned to a file of the bank's."""
    named = {name: np.asarray(count).tolist() for name, count in zip(RocCounts._fields, counts, strict=True)}
    write_atomically(COUNTS, msgspec.json.encode(named))


def tell(party: str, node: Node, done: float, what: str) -> None:
    """Print what has been done, once for all parties of a step."""
    if (done == 1.0) != bool(what) and node.operation != "item" and party == node.participants[0]:
        print(f"{node.stage}: {node.text}{', ' if what else ''}{what}", flush=True)


def main() -> None:
    """The program."""
    listeners.add(tell)
    with jali.connect() as fed:
        bank, bureau, mpc = fed.plain("bank"), fed.plain("bureau"), fed.mpc("bank", "bureau")
        with fed.stage("load"):
            loans = bank(jali.read_csv)("bank.csv", key=KEY, columns=(KEY, *BANK), dtypes=BANK)
            people = bureau(jali.read_csv)("bureau.csv", key=KEY, columns=(KEY, *BUREAU), dtypes=BUREAU)
        with fed.stage("align"):
            loans, people = jali.align(loans, people, on=KEY)
        with fed.stage("prepare"):
            x_bank, x_bank_test, y, y_test = bank(prepare_bank, returns=4)(loans)
            x_bureau, x_bureau_test = bureau(prepare_bureau, returns=2)(people)
        with fed.stage("train"):
            weights = mpc(MODEL.fit)((x_bank, x_bureau), y)
        with fed.stage("evaluate"):
            scores = mpc(MODEL.predict)(weights, (x_bank_test, x_bureau_test))
            counts = jali.reveal(mpc(roc_counts)(scores, y_test, THRESHOLDS), to=bank)
            bank(save_counts)(counts)
        write_atomically(REPORT, fed.report().to_json())


if __name__ == "__main__":
    main()
