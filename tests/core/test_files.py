# SPDX-License-Identifier: Apache-2.0
"""Files are whole or absent, whatever the disk does."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jali.core.errors import EncodingWrong, FileMissing, WriteFailed
from jali.core.files import read_text, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_atomically(path, "old")
    assert write_atomically(path, b"n\xc3\xa9w", mode=0o600) == path
    assert path.read_text("utf-8") == "néw"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_may_come_part_by_part_and_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_atomically(tmp_path / "a", iter([b"one ", b"two"]))
    assert path.read_bytes() == b"one two"

    def broken() -> Iterator[bytes]:
        yield b"three"
        message = "no more"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no more"):
        write_atomically(path, broken())
    assert path.read_bytes() == b"one two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteFailed, match=r"report\.html.*No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_directory_that_cannot_be_written_is_named() -> None:
    with pytest.raises(WriteFailed, match="/proc/report"):
        write_atomically("/proc/report", "x")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match="No such file"):
        write_atomically(tmp_path / "no" / "report.html", "x")


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa")
    assert read_text(path) == "a"
    path.write_bytes(b"ok\xff")
    with pytest.raises(EncodingWrong, match="offset 2"):
        read_text(path)
    with pytest.raises(FileMissing):
        read_text(tmp_path)
