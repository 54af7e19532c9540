# SPDX-License-Identifier: Apache-2.0
"""The demonstration's files, its pooled reference and its report, without running any party."""

from __future__ import annotations

import csv
import errno
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from jali.cli.demo import job
from jali.cli.demo.customers import BANK_COLUMNS, national_id, write_customers
from jali.cli.demo.outcome import Disclosure, Outcome, Stage, disclosures_of, size_text, stages_of
from jali.cli.demo.pooled import Pooled, pooled_model
from jali.cli.demo.report import report_page, summary
from jali.core.errors import LabelError, WriteFailed
from jali.core.files import write_atomically
from jali.core.threat import Leak
from jali.devices.report import Report, Row
from jali.prep import train_test_split
from jali.tables.csv import read_csv

SOURCE = Path(job.__file__).with_name("data") / "german_credit.csv"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo")
    for name in ("bank", "bureau"):
        (path / name).mkdir()
    write_customers(path / "bank", path / "bureau")
    return path


@pytest.fixture(scope="module")
def pooled(directory: Path) -> Pooled:
    return pooled_model(directory)


def outcome(pooled: Pooled) -> Outcome:
    return Outcome(
        joint=pooled.curve,
        pooled=pooled.curve,
        pooled_exact_auc=pooled.exact_auc,
        training_rows=pooled.training_rows,
        held_out_rows=pooled.held_out_rows,
        features=pooled.features,
        disclosures=(Disclosure(stage="align", to="bank", what="<b>which</b> customers", why="a & b"),),
        stages=(
            Stage(name="align", bytes_sent={"bank": 1200, "bureau": 7}, rounds=3, seconds=0.25, planned_bytes=1207),
        ),
        trust=("two & one",),
        seconds=1.5,
    )


def test_files_hold_the_real_rows_split_as_declared(directory: Path) -> None:
    with SOURCE.open(encoding="utf-8") as file:
        applicants = {national_id(number): row for number, row in enumerate(csv.DictReader(file))}
    assert len(applicants) == 1000
    bank, bureau = (
        {row["national_id"]: row for row in read(directory / name / f"{name}.csv")} for name in ("bank", "bureau")
    )
    assert (len(bank), len(bureau), len(bank.keys() & bureau.keys())) == (950, 950, 900)
    for side in (bank, bureau):
        for key, row in side.items():
            assert all(applicants[key][name] == value for name, value in row.items() if name != "national_id")
    columns = [set(next(iter(side.values()))) - {"national_id"} for side in (bank, bureau)]
    assert columns[0] == set(BANK_COLUMNS)
    assert columns[0] | columns[1] == set(next(iter(applicants.values())))
    assert not columns[0] & columns[1]
    assert [key for key in bank if key in bureau] != [key for key in bureau if key in bank]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_are_the_same_every_time(directory: Path, tmp_path: Path) -> None:
    write_customers(tmp_path, tmp_path)
    for name in ("bank", "bureau"):
        assert (tmp_path / f"{name}.csv").read_bytes() == (directory / name / f"{name}.csv").read_bytes()


def test_data_come_with_their_attribution() -> None:
    text = SOURCE.with_name("ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "Hofmann" in text
    assert "CC BY 4.0" in text
    assert hashlib.sha256(SOURCE.read_bytes()).hexdigest().startswith("2c0bae00275c028f")


def test_pooled_model_is_as_good_as_the_field_knows(pooled: Pooled) -> None:
    assert (pooled.training_rows, pooled.held_out_rows) == (630, 270)
    assert 0.74 < pooled.exact_auc < 0.84
    assert abs(pooled.curve.auc - pooled.exact_auc) <= pooled.curve.auc_error_bound < 0.01


def test_preparation_ignores_held_out_rows(directory: Path) -> None:
    table = job.in_key_order(read_csv(directory / "bank" / "bank.csv", key="national_id"))
    train, test = train_test_split(len(table), job.SEED, held_out=job.HELD_OUT)
    amounts = table["credit_amount"].copy()
    amounts[test] *= 1000
    changed = job.prepare_bank(table.with_columns({"credit_amount": amounts}))
    assert np.array_equal(changed[0], job.prepare_bank(table)[0])
    assert len(changed[0]) == len(train)


def test_wrong_labels_are_named_without_showing_them(directory: Path) -> None:
    table = read_csv(directory / "bank" / "bank.csv", key="national_id")
    wrong = table[job.LABEL].copy()
    wrong[3] = "odd"
    with pytest.raises(LabelError, match="J1503 expected 'good' or 'bad'") as caught:
        job.prepare_bank(table.with_columns({job.LABEL: wrong}))
    assert "odd" not in str(caught.value)


class Page(HTMLParser):
    """Collects tags, and every attribute that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_is_whole_escaped_and_needs_no_network(pooled: Pooled) -> None:
    text = report_page(outcome(pooled))
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert "@import" not in text
    assert "url(" not in text
    assert "&lt;b&gt;which&lt;/b&gt; customers" in text
    assert f"{pooled.curve.auc:.4f}" in text
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert [ET.fromstring(picture)[0].text for picture in pictures] == [  # noqa: S314 - our own text
        "ROC curve",
        "KS curve of the joint model",
    ]


def test_summary_names_everything(pooled: Pooled) -> None:
    text = summary(outcome(pooled))
    assert re.search(r"joint, under MPC\s+0\.\d{4}", text)
    assert re.search(r"align\s+bank\s+<b>which</b> customers", text)
    assert re.search(r"align\s+0\.25\s+3\s+1,207\s+1,207\s+1\.2 kB\s+7 B", text)
    assert "  two & one" in text
    assert max(map(len, text.splitlines())) <= 160


def row(index: int, stage: str, sent: int, **more: Any) -> Row:
    given = {"text": "t", "device": "d", "source": "job.py:1", "participants": ("a",), "visibility": "public"}
    return Row(index=index, stage=stage, bytes_sent=sent, **{**given, **more})


def test_costs_of_parties_merge_by_stage() -> None:
    def report(sent: int, rounds: int) -> Report:
        rows = (
            row(0, "align", sent, rounds=rounds, started=10.0, seconds=1.0),
            row(1, "train", sent, rounds=1, started=11.0, seconds=2.0),
            row(2, "train", sent, rounds=1, started=12.0, seconds=sent / 10),
        )
        return Report(title="t", parties=("a", "b"), rows=rows)

    align, train = stages_of({"a": report(10, 5), "b": report(40, 4)})
    assert align == Stage(name="align", bytes_sent={"a": 10, "b": 40}, rounds=5, seconds=1.0)
    assert (train.bytes_sent, train.rounds, train.seconds) == ({"a": 20, "b": 80}, 2, 5.0)
    assert (train.planned_bytes, train.planned_rounds) == (None, None)
    assert train.total_bytes == 100


def test_disclosures_group_by_stage_party_and_reason() -> None:
    leaks = [
        Leak(what="size of x", to="a", why="w"),
        Leak(what="size of y", to="a", why="w"),
        Leak(what="x", to="b", why="w"),
    ]
    rows = (row(0, "s", 0, disclosures=tuple(leaks)), row(1, "s", 0, disclosures=(leaks[0],)))
    assert disclosures_of(Report(title="t", parties=("a", "b"), rows=rows)) == (
        Disclosure(stage="s", to="a", what="size of x, y", why="w"),
        Disclosure(stage="s", to="b", what="x", why="w"),
    )


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB"), (3e12, "3000.0 GB")]
)
def test_sizes_are_for_people(size: float, text: str) -> None:
    assert size_text(size) == text


def test_full_disk_leaves_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pooled: Pooled) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteFailed, match=r"J6010 cannot write .*No space left"):
        write_atomically(tmp_path / "report.html", report_page(outcome(pooled)))
    assert list(tmp_path.iterdir()) == []
