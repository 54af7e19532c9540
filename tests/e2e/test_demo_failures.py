# SPDX-License-Identifier: Apache-2.0
"""The demonstration's job when a party is killed or a file is bad: a named error everywhere, no result, no hang."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from jali.cli.demo.parties import PARTIES, set_up
from tests.e2e.parties import Parties

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STAGES = ("load", "align", "prepare", "train", "evaluate")


def start(directory: Path) -> Parties:
    """The job at all parties, with waits that suit a test."""
    federation = directory / "federation" / "federation.toml"
    job = directory / "job.py"
    return Parties(
        federation, dict.fromkeys(PARTIES, job.absolute()), directory={name: directory / name for name in PARTIES}
    )


def ready(tmp_path: Path) -> Path:
    """The demonstration's directories, on new ports."""
    federation = set_up(tmp_path / "demo")
    federation.write_text(federation.read_text() + "\n[network]\nconnect_s = 20\nnode_s = 60\nreconnect_s = 1\n")
    return tmp_path / "demo"


def results(directory: Path) -> list[Path]:
    """What a party would have left behind."""
    return [path for name in PARTIES for path in (directory / name).iterdir() if path.suffix == ".json"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("victim", PARTIES)
def test_killed_party_ends_the_run_everywhere(tmp_path: Path, victim: str, stage: str) -> None:
    directory = ready(tmp_path)
    parties = start(directory)
    parties.wait_for(f"{stage}: ")
    parties.processes[victim].send_signal(signal.SIGKILL)
    ended = parties.ended()
    assert ended[victim].status == -signal.SIGKILL, ended
    for party in PARTIES:
        if party != victim:
            assert ended[party].status == 5, ended
            assert re.search(rf"J3\d\d\d .*{victim}", ended[party].output), ended
    assert results(directory) == []


def without_column(text: str) -> str:
    return text.replace("credit_amount", "amount_of_credit", 1)


def with_word_for_number(text: str) -> str:
    header, first, *rest = text.splitlines()
    column = header.split(",").index("duration_in_month")
    cells = first.split(",")
    cells[column] = "4711x"
    return "\n".join([header, ",".join(cells), *rest]) + "\n"


def empty(text: str) -> str:
    return text[:0]


def with_empty_id(text: str) -> str:
    return re.sub(r"ID-\d{4}-\d{4}-\d{4}", "", text, count=1)


def with_repeated_id(text: str) -> str:
    first, second = re.findall(r"ID-\d{4}-\d{4}-\d{4}", text)[:2]
    return text.replace(second, first)


BAD_FILES: list[tuple[Callable[[str], str], str]] = [
    (without_column, "J1021"),
    (with_word_for_number, "J1032"),
    (empty, "J1031"),
    (with_empty_id, "J1034"),
    (with_repeated_id, "J1034"),
]


@pytest.mark.parametrize(("spoil", "code"), BAD_FILES, ids=[spoil.__name__ for spoil, _ in BAD_FILES])
def test_bad_file_at_the_bank_ends_all_under_one_code(tmp_path: Path, spoil: Callable[[str], str], code: str) -> None:
    directory = ready(tmp_path)
    file = directory / "bank" / "bank.csv"
    file.write_text(spoil(file.read_text()))
    ended = start(directory).ended()
    for party in PARTIES:
        assert ended[party].status == 3, ended
        assert code in ended[party].output, ended
        assert "4711" not in ended[party].output
    assert results(directory) == []
