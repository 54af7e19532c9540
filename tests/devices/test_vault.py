# SPDX-License-Identifier: Apache-2.0
"""Files of saved shares: any sizes come back, any change of a byte is noticed, and nothing is allocated on its word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from jali.core.config import Saved
from jali.core.errors import JaliError, SavedInvalid, SavedMismatch, SavedMissing, SavedVersionUnknown
from jali.crypto.aead import OVERHEAD_BYTES
from jali.devices import vault as module
from jali.devices.vault import Header, Saving, Vault
from jali.mpc.ir import ValueType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

FIXED = ValueType(shape=(3, 5), kind="fixed", fraction=18)


def vault(tmp_path: Path, party: str = "client[0]") -> Vault:
    return Vault(Saved(directory=str(tmp_path / "saved"), keys=str(tmp_path / "keys")), party)


def header(types: Sequence[ValueType], *, number: int = 1, name: str = "x") -> Header:
    return Header(
        name=name, number=number, run=bytes(range(16)), protocol="m2k", roles=("a", "b", "d"), holder=0,
        tree=["leaf", "", [], []], types=tuple(types),
    )  # fmt: skip


def words(*sizes: int) -> list[Words]:
    return [np.random.default_rng(size).integers(0, 2**64, size, dtype=np.uint64) for size in sizes]


def saving(of: Header) -> Saving:
    return Saving(of.number, of.run.hex())


def test_values_of_any_size_come_back_across_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAME_BYTES", 64)
    sizes = (0, 1, 7, 8, 9, 16, 17, 100)
    parts = words(*sizes)
    said = header([ValueType(shape=(size,), kind="int") for size in sizes])
    path = vault(tmp_path).write(said, parts)
    assert path.parent == tmp_path / "saved" / "client[0]" / "x"
    again, found = vault(tmp_path).read("x", saving(said))
    assert again == said
    for before, after in zip(parts, found, strict=True):
        np.testing.assert_array_equal(before, after)
        assert after.flags.writeable


def test_bits_scalars_and_matrices_have_their_layout(tmp_path: Path) -> None:
    said = header([FIXED, ValueType(shape=(130,), kind="bool"), ValueType(shape=(), kind="int")])
    parts = [words(15)[0].reshape(3, 5), words(3)[0], words(1)[0].reshape(())]
    vault(tmp_path).write(said, parts)
    _, found = vault(tmp_path).read("x", saving(said))
    assert [part.shape for part in found] == [(3, 5), (3,), ()]


def test_every_byte_counts(tmp_path: Path) -> None:
    said = header([ValueType(shape=(4,), kind="int")])
    path = vault(tmp_path).write(said, words(4))
    octets = path.read_bytes()
    assert len(octets) == 48 + len(msgspec.msgpack.encode(said)) + 2 * OVERHEAD_BYTES + 32
    for place in range(len(octets)):
        changed = bytearray(octets)
        changed[place] ^= 0x80
        path.write_bytes(changed)
        with pytest.raises((SavedInvalid, SavedMismatch, SavedVersionUnknown)):
            vault(tmp_path).read("x", saving(said))


def test_frames_cannot_be_swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAME_BYTES", 32)
    said = header([ValueType(shape=(8,), kind="int")])
    path = vault(tmp_path).write(said, words(8))
    octets = path.read_bytes()
    size = 32 + OVERHEAD_BYTES
    path.write_bytes(octets[: -2 * size] + octets[-size:] + octets[-2 * size : -size])
    with pytest.raises(SavedInvalid, match="was changed"):
        vault(tmp_path).read("x", saving(said))


@pytest.mark.parametrize("shape", [(2**40, 2**40), (-1,), (2**63,)])
def test_a_header_that_claims_the_impossible_allocates_nothing(tmp_path: Path, shape: tuple[int, ...]) -> None:
    said = header([ValueType(shape=shape, kind="int")])
    store = vault(tmp_path)
    path = store.write(header([]), [])
    octets = path.read_bytes()
    claimed = msgspec.msgpack.encode(said)
    path.write_bytes(octets[:12] + len(claimed).to_bytes(4, "little") + octets[16:48] + claimed)
    with pytest.raises(SavedInvalid):
        store.read("x", saving(said))


def test_two_files_of_equal_parts_differ_everywhere(tmp_path: Path) -> None:
    """The key of a file follows from its salt, so that no key and nonce meet twice."""
    parts = words(64)
    first, second = (
        vault(tmp_path).write(header([ValueType(shape=(64,), kind="int")], number=n), parts).read_bytes()[-512:]
        for n in (1, 2)
    )
    same = np.frombuffer(first, np.uint8) == np.frombuffer(second, np.uint8)
    assert np.count_nonzero(same) < 20


def test_savings_are_in_order_and_old_ones_are_forgotten(tmp_path: Path) -> None:
    store = vault(tmp_path)
    assert store.savings("x") == []
    for number in (2, 10, 1):
        store.write(header([], number=number), [])
    (tmp_path / "saved" / "client[0]" / "x" / "note.txt").write_text("kept")
    assert [found.number for found in store.savings("x")] == [1, 2, 10]
    store.forget("x", before=10)
    assert [found.number for found in store.savings("x")] == [10]
    assert (tmp_path / "saved" / "client[0]" / "x" / "note.txt").exists()


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "saved").write_text("a file")
    with pytest.raises(JaliError, match="J6010 cannot make the folder"):
        vault(tmp_path).write(header([]), [])
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SavedMissing, match="00000003-"):
        vault(tmp_path).read("x", Saving(3, "0" * 32))
