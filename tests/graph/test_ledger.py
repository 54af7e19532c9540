# SPDX-License-Identifier: Apache-2.0
"""The ledger: every change to a written file is noticed, at the right line."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from jali.core.errors import LedgerBroken, LedgerUnwritable
from jali.graph.ledger import Ledger, verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "alice.jsonl"
    ledger = Ledger("alice", path)
    for number in range(5):
        ledger.append("node", {"text": f"step {number}", "bytes_sent": number})
    return path


def test_written_ledger_verifies(written: Path) -> None:
    count, head = verify(written)
    assert count == 5
    assert len(head) == 64


def test_ledger_continues_an_existing_file(written: Path) -> None:
    Ledger("alice", written).append("node", {})
    assert verify(written)[0] == 6


def test_changed_entry_is_named(written: Path) -> None:
    written.write_bytes(written.read_bytes().replace(b"step 2", b"step 9"))
    with pytest.raises(LedgerBroken, match="line 3 was changed"):
        verify(written)


@pytest.mark.parametrize("edit", ["remove", "swap", "repeat"])
def test_removed_moved_and_repeated_entries_are_noticed(written: Path, edit: str) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    if edit == "remove":
        del lines[1]
    elif edit == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines.insert(2, lines[1])
    written.write_bytes(b"".join(lines))
    with pytest.raises(LedgerBroken, match="does not follow"):
        verify(written)


def test_cut_off_line_is_noticed(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:-10])
    with pytest.raises(LedgerBroken, match="cut off"):
        verify(written)


def test_removed_end_is_noticed_by_who_noted_the_head(written: Path) -> None:
    _, head = verify(written)
    Ledger("alice", written).append("node", {})
    assert verify(written, containing=head)[0] == 6
    written.write_bytes(b"".join(written.read_bytes().splitlines(keepends=True)[:3]))
    assert verify(written)[0] == 3
    with pytest.raises(LedgerBroken, match="removed at its end"):
        verify(written, containing=head)


def test_foreign_line_is_noticed(written: Path) -> None:
    written.write_bytes(b"{}\n" + written.read_bytes())
    with pytest.raises(LedgerBroken, match="line 1 is not a ledger entry"):
        verify(written)


def test_full_disk_is_a_named_error_and_leaves_nothing_of_the_entry(written: Path) -> None:
    size = written.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ledger = Ledger("alice", written)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(LedgerUnwritable, match="could not be written"):
            ledger.append("node", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert verify(written)[0] == 5
    assert written.stat().st_size == size


def test_directory_that_is_a_file_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerUnwritable):
        Ledger("alice", tmp_path / "file" / "alice.jsonl").append("node", {})
