# SPDX-License-Identifier: Apache-2.0
"""Keys that go to disk are those that would have stayed in memory, and memory stays where it was said to."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jali.core.errors import WriteFailed
from jali.crypto.bytestrings import ByteStrings
from jali.psi import files, intersection
from jali.psi.keys import Keys
from jali.psi.spilled import Spill
from tests.psi.test_files import intersect, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def batches(ids: Sequence[str], size: int) -> Iterator[dict[str, tuple[str, ByteStrings]]]:
    for at in range(0, len(ids), size):
        yield {"id": ("text", ByteStrings.of([i.encode() for i in ids[at : at + size]]))}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["", "a", "b", "c", *map(str, range(40))]), min_size=1, max_size=80),
    st.integers(1, 20),
    st.integers(0, 90),
)
def test_they_are_the_same_keys(ids: list[str], size: int, most_rows: int) -> None:
    whole = Keys.of_batches(batches(ids, size), normalise="exact", optional=True)
    spilled = Keys.of_batches(
        batches(ids, size), normalise="exact", optional=True, spill=Spill(None, most_rows=most_rows)
    )
    for name in ("digests", "rows", "starts"):
        np.testing.assert_array_equal(getattr(spilled, name), getattr(whole, name))
    assert (spilled.n_rows, spilled.kinds, len(spilled)) == (whole.n_rows, whole.kinds, len(whole))
    assert spilled.fingerprint() == whole.fingerprint()
    for count in (1, 2, 7):
        assert spilled.ends(count) == whole.ends(count)
        high = np.array([int.from_bytes(row[:8].tobytes(), "big") for row in whole.digests], object)
        assert whole.ends(count)[1:-1] == [int(np.sum(high * count < i << 64)) for i in range(1, count)]
    gone = np.arange(len(ids)) % 3 == 0
    np.testing.assert_array_equal(spilled.without(gone).digests, whole.without(gone).digests)


def test_files_are_private_and_gone_when_the_keys_are_read(tmp_path: Path) -> None:
    seen: list[int] = []

    def noted() -> Iterator[dict[str, tuple[str, ByteStrings]]]:
        for batch in batches([f"k{i}" for i in range(3000)], 500):
            yield batch
            seen.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file())

    keys = Keys.of_batches(noted(), normalise="exact", spill=Spill(tmp_path, most_rows=1000))
    assert len(keys) == 3000
    assert seen
    assert set(seen) == {0o600}
    assert not list(tmp_path.iterdir())
    keys.forget_pages()
    assert len(np.unique(keys.digests, axis=0)) == 3000


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    spill = Spill(tmp_path, most_rows=10)
    spill.add(np.zeros((3, 16), np.uint8), np.arange(3))
    [folder] = tmp_path.iterdir()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(WriteFailed, match="cannot keep keys"):
        spill.add(np.zeros((3, 16), np.uint8), np.arange(3, 6))


@pytest.mark.parametrize("how", ["inner", "full", "anti"])
@pytest.mark.parametrize("protocol", ["ecdh", "vole"])
def test_joins_from_disk_are_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, protocol: str) -> None:
    """One party has keys in memory, the other on disk, and they want buckets of different sizes."""
    a = pa.table({"id": [f"k{i % 700}" for i in range(900)], "row": list(range(900))})
    b = pa.table({"id": [f"k{i}" for i in range(500, 1100)], "row": list(range(600))})
    found = {}
    for name in ("memory", "disk"):
        folder = tmp_path / name
        folder.mkdir()
        intersect(folder, a, b, how=how, protocol=protocol)
        found[name] = [rows(folder, me) for me in ("alice", "bob")]
        monkeypatch.setattr(files, "_most_rows", lambda job: 100 if job.me == "alice" else 10**6)
        monkeypatch.setattr(files, "_LEAST_KEYS", 1)
        monkeypatch.setattr(files, "_bucket_keys", lambda job: 90 if job.me == "alice" else 300)
        monkeypatch.setattr(intersection, "BUCKET_KEYS", 10**6)
    assert found["memory"] == found["disk"]
    assert any(found["disk"])


PEAK = """
import sys
from pathlib import Path
from jali.psi.files import prepare
from jali.psi.folder import Job
source, memory = sys.argv[1:]
job = Job(federation="", me="a", peer="b", source=source, on=("id",), memory_mib=int(memory), learns="b")
ready = prepare(job, left=True)
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(len(ready.keys[0]), type(ready.keys[0].digests).__name__, int(peak) // 1024)
"""


def _peak(path: Path, memory: int) -> tuple[int, str, int]:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), str(memory)], capture_output=True, text=True, check=True
    )
    count, kind, mib = done.stdout.split()
    return int(count), kind, int(mib)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from /proc")
def test_memory_stays_below_what_was_said(tmp_path: Path) -> None:
    """Three million keys take 140 MiB while they are sorted; allowed 64, they take no more than that."""
    n = 3_000_000
    write: Any = pyarrow.parquet.write_table
    write(pa.table({"id": np.arange(n)}), tmp_path / "large.parquet")
    write(pa.table({"id": np.arange(1000)}), tmp_path / "small.parquet")
    base = _peak(tmp_path / "small.parquet", 64)
    assert base[:2] == (1000, "ndarray")
    count, kind, peak = _peak(tmp_path / "large.parquet", 64)
    assert (count, kind) == (n, "memmap")
    assert peak - base[2] < 64
    assert _peak(tmp_path / "large.parquet", 2048)[2] - base[2] > 100  # or the test could not fail
