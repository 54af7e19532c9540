# SPDX-License-Identifier: Apache-2.0
"""Makes the two organisations' files: real applicants, made-up ids, columns and rows split as they would be."""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
import io
from typing import TYPE_CHECKING

from jali.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["BANK_COLUMNS", "KEY", "LABEL", "national_id", "write_customers"]

KEY = "national_id"
LABEL = "creditability"
BANK_COLUMNS = (
    "status_of_existing_checking_account",
    "duration_in_month",
    "credit_history",
    "purpose",
    "credit_amount",
    "savings_account_and_bonds",
    "installment_rate_in_percentage_of_disposable_income",
    LABEL,
)
HELD_BACK = 50  # of 1,000 applicants: 950 each, 900 in common, so 5.3 % of each side's customers are not the other's


def write_customers(bank_directory: Path, bureau_directory: Path) -> None:
    """Write ``bank.csv`` and ``bureau.csv``, each at its owner; the same files every time.

    All rows are real applicants. Of the 1,000, 50 are held back from the bureau and 50 others from the bank; each
    file is in an order of its own.

    Raises: WriteFailed.
    """
    source = importlib.resources.files("jali.cli.demo") / "data" / "german_credit.csv"
    applicants = list(csv.DictReader(io.StringIO(source.read_text(encoding="utf-8"))))
    for number, applicant in enumerate(applicants):
        applicant[KEY] = national_id(number)
    bureau_columns = tuple(name for name in applicants[0] if name not in (*BANK_COLUMNS, KEY))
    mixed = _shuffled(applicants, "held back")
    bank, bureau = _shuffled(mixed[HELD_BACK:], "bank"), _shuffled(mixed[:-HELD_BACK], "bureau")
    _write(bank_directory / "bank.csv", bank, columns=(KEY, *BANK_COLUMNS))
    _write(bureau_directory / "bureau.csv", bureau, columns=(KEY, *bureau_columns))


def national_id(number: int) -> str:
    """A made-up, stable id, such as ``ID-4821-7735-0936``; different for every number below 1,000."""
    digits = f"{int.from_bytes(_hash('national id', str(number))) % 10**12:012d}"
    return f"ID-{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def _shuffled(rows: Iterable[dict[str, str]], purpose: str) -> list[dict[str, str]]:
    """The rows in a made-up order that is the same every time."""
    return sorted(rows, key=lambda row: _hash(f"order of {purpose}", row[KEY]))


def _hash(purpose: str, text: str) -> bytes:
    return hashlib.blake2b(f"jali demo, {purpose}: {text}".encode(), digest_size=16).digest()


def _write(path: Path, rows: list[dict[str, str]], *, columns: tuple[str, ...]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
