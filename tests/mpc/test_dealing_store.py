# SPDX-License-Identifier: Apache-2.0
"""Stores of dealt material: each execution once, whatever crashes, and nothing that was changed, cut or copied."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from jali.core.errors import (
    DealingBroken,
    DealingCopied,
    DealingExhausted,
    DealingMissing,
    DealingSpent,
    InternalError,
    WriteFailed,
)
from jali.crypto.prg import Prg
from jali.mpc.dealing.store import Header, Store, StoreWriter, store_path

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 5
MANIFEST = bytes(range(32))
HEADER = Header(
    federation="test",
    party="alice",
    role=1,
    evaluators=("carol", "alice"),
    protocol="m2k",
    manifest=MANIFEST,
    program="model",
    epoch=bytes(16),
    count=COUNT,
)


def seed(execution: int) -> bytes:
    return bytes([execution + 1]) * 16


def messages(execution: int) -> list[bytes]:
    return [bytes([execution + 1, number + 1]) * (100 + number) for number in range(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = store_path(tmp_path / "stores", "alice", MANIFEST)
    with StoreWriter(place, HEADER) as writer:
        for execution in range(COUNT):
            writer.add(execution, seed(execution), iter(messages(execution)))
        writer.commit()
    return place


def received(store: Store, execution: int) -> list[bytes]:
    dealing = store.take(execution)
    found = []
    while message := bytes(dealing.receive()):
        found.append(message)
    assert not dealing.receive()
    assert dealing.counters.messages_received == len(found)
    assert (dealing.prg.words(0, 4) == Prg(seed(execution)).words(0, 4)).all()
    return found


def test_what_is_written_is_read_once_in_any_order(path: Path) -> None:
    with Store(path, "alice") as store:
        assert msgspec.structs.replace(store.header, inode=0) == HEADER
        assert (store.position(), store.left) == (0, COUNT)
        for execution in (3, 0, 4):
            assert received(store, execution) == messages(execution)
            with pytest.raises(DealingSpent, match=f"execution {execution} of 'model' was used at 'alice' before"):
                store.take(execution)
        assert (store.position(), store.left) == (5, 2)
    with Store(path, "alice") as store:  # another process
        assert (store.position(), store.left) == (5, 2)
        with pytest.raises(DealingSpent):
            store.take(3)


def test_the_next_execution_is_the_first_after_both_positions(path: Path) -> None:
    with Store(path, "alice") as store:
        assert store.take_next(0)[0] == 0
        assert store.take_next(0)[0] == 1
        assert store.take_next(3)[0] == 3, "the other party is further"
        assert store.take_next(1)[0] == 4
        with pytest.raises(DealingExhausted, match=r"all 5 executions of 'model' .*run deal_ahead again"):
            store.take_next(0)
        assert store.left == 1, "passed over, and never used"


def test_threads_and_handles_never_get_the_same_execution(path: Path) -> None:
    found: list[int] = []

    def take() -> None:
        with Store(path, "alice") as store:
            found.append(store.take_next(0)[0])

    threads = [threading.Thread(target=take) for _ in range(COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == list(range(COUNT))


def test_what_was_used_is_gone_from_the_file(path: Path) -> None:
    """Also for somebody who has the party's key: the slot with the seed and the key of the messages is zeros."""
    before = path.read_bytes()
    with Store(path, "alice") as store:
        store.take(2)
    after = path.read_bytes()
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert not any(after[i] for i in changed)
    assert 64 < len(changed) <= changed[-1] - changed[0] + 1 <= 128
    assert changed[0] % 128 < 8, "within one sector, so that a disk writes it whole or not"


def test_nothing_is_in_the_file_in_clear(path: Path) -> None:
    content = path.read_bytes()
    for secret in (
        *map(seed, range(COUNT)),
        *(message[:16] for k in range(COUNT) for message in messages(k)),
        b"model",
    ):
        assert secret not in content
    assert path.stat().st_mode & 0o077 == 0
    assert (path.parent / "alice.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("fsync", [True, False])
def test_the_disk_shows_that_an_execution_is_used_before_anybody_has_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, fsync: bool
) -> None:
    """Killed at the worst moments: after the write and before the sync, or before the write."""
    import os

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync" if fsync else "pwrite", die)
    with Store(path, "alice") as store, pytest.raises(KeyboardInterrupt):
        store.take(0)
    monkeypatch.undo()
    with Store(path, "alice") as store:
        assert store.position() == (1 if fsync else 0)


PROCESS = """
import sys
from pathlib import Path
from jali.mpc.dealing.store import Store
with Store(Path(sys.argv[1]), "alice") as store:
    while True:
        number, dealing = store.take_next(0)
        first = bytes(dealing.receive())
        print(number, dealing.prg.words(0, 2).tobytes().hex(), first[:8].hex(), flush=True)
        sys.stdin.readline()
"""


def test_a_process_that_is_killed_never_makes_another_use_the_same(path: Path) -> None:
    """Each is killed with an execution half-read; those after it get other seeds and other messages."""
    seen: list[tuple[str, ...]] = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            seen.append(tuple(process.stdout.readline().split()))
            process.send_signal(signal.SIGKILL)
    assert [number for number, *_ in seen] == ["0", "1", "2"]
    for column in zip(*seen, strict=True):
        assert len(set(column)) == 3
    with Store(path, "alice") as store:
        assert store.position() == 3


# -- files that are not what was dealt --------------------------------------------------------------------------------


def readable(path: Path) -> bool:
    """Whether every execution can be read, and is what was written."""
    try:
        with Store(path, "alice") as store:
            return all(received(store, execution) == messages(execution) for execution in range(COUNT))
    except DealingBroken:
        return False


def test_every_changed_byte_is_noticed(path: Path) -> None:
    """One byte at a time, all over the file: reading everything then fails, or the byte was padding."""
    content = bytearray(path.read_bytes())
    noticed = 0
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 0x40
        path.write_bytes(changed)  # in place: the same inode
        noticed += not readable(path)
    padding = COUNT * (128 - 85) + 128
    assert noticed >= (len(content) - padding) // 7 - 2


@pytest.mark.parametrize("kept", [0, 5, 40, 200, 500, 1000, -1])
def test_a_file_that_is_cut_off_is_noticed(path: Path, kept: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    assert not readable(path)


def test_slots_and_messages_cannot_change_places(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with Store(path, "alice") as store:
        start = store._slots
    first, second = (slice(start + k * 128, start + (k + 1) * 128) for k in (0, 1))
    content[first], content[second] = content[second], content[first]
    path.write_bytes(content)
    with Store(path, "alice") as store, pytest.raises(DealingBroken, match="slot of execution 0"):
        store.take(0)


def test_a_copy_is_refused(path: Path) -> None:
    """It may be what a backup has, with executions that were used since."""
    kept = path.with_suffix(".backup")
    shutil.copy2(path, kept)
    with Store(path, "alice") as store:
        store.take(0)
    path.unlink()
    kept.rename(path)
    with pytest.raises(DealingCopied, match=r"is a copy .*must not be used twice; run deal_ahead again"):
        Store(path, "alice")


def test_a_file_may_be_moved(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / path.name)
    (path.parent / "alice.key").rename(moved.parent / "alice.key")
    with Store(moved, "alice") as store:
        assert received(store, 0) == messages(0)


def test_another_key_opens_nothing(path: Path) -> None:
    key = path.parent / "alice.key"
    key.write_bytes(bytes(32))
    with pytest.raises(DealingBroken, match="sealed under another key"):
        Store(path, "alice")
    key.write_bytes(b"short")
    with pytest.raises(DealingBroken, match=r"expected a key of 32 bytes .* found 5"):
        Store(path, "alice")
    key.unlink()
    with pytest.raises(DealingBroken, match="cannot read the key of the stores of 'alice'"):
        Store(path, "alice")


def test_other_files_are_not_taken_for_stores(path: Path) -> None:
    path.write_bytes(b"x" * 1000)
    with pytest.raises(DealingBroken, match="is no store of dealt material"):
        Store(path, "alice")


def test_a_missing_store_says_what_there_is(path: Path, tmp_path: Path) -> None:
    other = store_path(path.parent, "alice", bytes(32))
    with pytest.raises(DealingMissing, match=r"expected alice-0000000000000000\.dealt .* found 1 for other programs"):
        Store(other, "alice")
    with pytest.raises(DealingMissing, match=r"found nothing; run deal_ahead with the same function and shapes first"):
        Store(store_path(tmp_path, "alice", MANIFEST), "alice")


@pytest.mark.parametrize("party", ["client[0]", "a", "a-b"])
def test_every_name_of_a_party_is_a_name_of_a_file(tmp_path: Path, party: str) -> None:
    for name in ("client[0]", "a", "a-b"):
        place = store_path(tmp_path, name, MANIFEST)
        with StoreWriter(place, msgspec.structs.replace(HEADER, party=name, count=1)) as writer:
            writer.add(0, seed(0), iter(messages(0)))
            writer.commit()
    with Store(store_path(tmp_path, party, MANIFEST), party) as store:
        assert received(store, 0) == messages(0)
    with pytest.raises(DealingMissing, match="found 1 for other programs"):
        Store(store_path(tmp_path, party, bytes(32)), party)


def test_a_disk_that_does_not_write_gives_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Store(path, "alice") as store:
        for call in ("pwrite", "fsync"):
            monkeypatch.setattr(os, call, full)
            with pytest.raises(DealingBroken, match="could not be marked as used: No space left on device"):
                store.take(0)
            monkeypatch.undo()
        with pytest.raises(DealingSpent):
            store.take(0)
        monkeypatch.setattr(os, "pread", full)
        with pytest.raises(DealingBroken, match="cannot be read: No space left on device"):
            store.take(0)
    monkeypatch.undo()
    with StoreWriter(path, HEADER) as writer:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(WriteFailed, match="No space left on device"):
            writer.add(0, seed(0), iter(messages(0)))
    assert not list(path.parent.glob("*.part"))


# -- writing ----------------------------------------------------------------------------------------------------------


def test_what_is_not_finished_leaves_nothing_and_replaces_nothing(path: Path) -> None:
    with StoreWriter(path, HEADER) as writer:
        writer.add(0, seed(0), iter(messages(0)))
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, "alice.key"]
    with Store(path, "alice") as store:
        assert store.left == COUNT


def test_executions_that_were_not_written_count_as_used(path: Path) -> None:
    with StoreWriter(path, HEADER) as writer:
        writer.add(1, seed(1), iter(messages(1)))
        writer.commit()
    with Store(path, "alice") as store:
        assert store.left == 1
        with pytest.raises(DealingSpent):
            store.take(0)


def test_a_failed_message_leaves_nothing(path: Path) -> None:
    def broken() -> object:
        yield b"first"
        raise InternalError("the dealer is gone")

    with pytest.raises(InternalError), StoreWriter(path, HEADER) as writer:
        writer.add(0, seed(0), broken())  # type: ignore[arg-type]
    assert not list(path.parent.glob("*.part"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteFailed, match="choose another folder as store"):
        StoreWriter(store_path(tmp_path / "file", "alice", MANIFEST), HEADER)


def test_nobody_can_be_sent_anything(path: Path) -> None:
    with Store(path, "alice") as store, pytest.raises(InternalError, match="dealt ahead"):
        store.take(0).send(b"x")
