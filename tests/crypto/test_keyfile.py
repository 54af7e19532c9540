# SPDX-License-Identifier: Apache-2.0
"""Key files: made once, readable by their owner only, never made again by whoever only reads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from jali.core.errors import SavedInvalid, SavedMissing, WriteFailed
from jali.crypto.keyfile import KEY_BYTES, key_at, own_key

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "alice.key"
    key = own_key(path)
    assert len(key) == KEY_BYTES
    assert own_key(path) == key == key_at(path)
    assert path.stat().st_mode & 0o77 == 0
    assert path.parent.stat().st_mode & 0o77 == 0
    assert [each.name for each in path.parent.iterdir()] == ["alice.key"]
    assert own_key(tmp_path / "bob.key") != key


def test_many_at_once_take_one_key(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    keys: list[bytes] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait(10)
        keys.append(own_key(path))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["alice.key"]


def test_reading_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(SavedMissing, match="put it back from its copy"):
        key_at(tmp_path / "alice.key")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [b"", b"00", b"zz" * 32, b"\xff" * 64])
def test_something_else_is_no_key(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "alice.key"
    path.write_bytes(text)
    with pytest.raises(SavedInvalid, match="expected a key of 32 bytes"):
        own_key(path)
    assert path.read_bytes() == text


def test_a_key_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(WriteFailed, match="keys"):
        own_key(tmp_path / "keys" / "alice.key")
