# SPDX-License-Identifier: Apache-2.0
"""`jali psi` as users run it: two processes over TLS, files in and out, and a process that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from jali.graph.ledger import verify
from jali.psi import intersection
from jali.psi.ecdh import EcdhPsi
from jali.transport.authority import create_federation

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PARTIES = ("alice", "bob")
FULL_DISK = (
    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
)
TELL_PEAK = (
    "import atexit, sys; atexit.register(lambda: sys.stderr.write("
    "'peak ' + next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))); "
)
SMALL_BUCKETS = "import jali.psi.intersection as i; i.BUCKET_KEYS = {size}; from jali.cli.app import main; main({line})"
TRIES = 1200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_federation(tmp_path, PARTIES, helpers=())
    return tmp_path


def start(folder: Path, *line: str, bucket: int = 1 << 20, before: str = "") -> subprocess.Popen[str]:
    program = SMALL_BUCKETS.format(size=bucket, line=["psi", *line])
    return subprocess.Popen(
        [sys.executable, "-c", before + program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JALI_THREADS": "1"},
    )


def run_line(me: str, source: str, target: str, *more: str) -> tuple[str, ...]:
    peer = PARTIES[me == PARTIES[0]]
    out = ("--out", target) if target else ()
    who = ("--on", "id", "--as", me, "--with", peer, "--federation", "federation.toml", "--json")
    return ("run", source, *who, *out, *more)


@contextlib.contextmanager
def both(*processes: subprocess.Popen[str]) -> Iterator[list[tuple[int, str, str]]]:
    """Exit status, output and errors of each."""
    try:
        found = []
        for process in processes:
            out, errors = process.communicate(timeout=120)
            found.append((process.returncode, out, errors))
        yield found
    finally:
        for process in processes:
            process.kill()


def outcomes(found: list[tuple[int, str, str]]) -> list[dict[str, Any]]:
    assert [status for status, _, _ in found] == [0, 0], [errors for _, _, errors in found]
    return [json.loads(out) for _, out, _ in found]


def write(path: Path, numbers: Any) -> None:
    path.write_text("id,row\n" + "".join(f"k{n},{i}\n" for i, n in enumerate(numbers)))


def rows_of(path: Path) -> list[tuple[str, ...]]:
    return [tuple(line.split(",")) for line in path.read_text().splitlines()[1:]]


def test_an_inner_join_of_two_files(folder: Path) -> None:
    a, b = [i % 300 for i in range(400)], [200 + i % 250 for i in range(500)]
    write(folder / "a.csv", a)
    write(folder / "b.csv", b)
    lines = [run_line("alice", "a.csv", "oa.csv"), run_line("bob", "SELECT * FROM 'b.csv'", "ob.csv.gz")]
    with both(*(start(folder, *line) for line in lines)) as found:
        alice, bob = outcomes(found)
    assert (alice["keys"], bob["keys"], alice["common_keys"]) == (300, 250, 100)
    assert alice["protocol"] == bob["protocol"] == "ecdh"
    subprocess.run(["gunzip", "ob.csv.gz"], cwd=folder, check=True)
    pairs = list(zip(rows_of(folder / "oa.csv"), rows_of(folder / "ob.csv"), strict=True))
    wanted = sorted((i, j) for i, x in enumerate(a) for j, y in enumerate(b) if x == y)
    assert sorted((int(left[1]), int(right[1])) for left, right in pairs) == wanted
    assert all(left[0] == right[0] for left, right in pairs)
    assert not list(folder.glob("*.psi"))


def test_a_run_stands_in_both_ledgers_and_no_key_does(folder: Path) -> None:
    write(folder / "a.csv", range(60))
    write(folder / "b.csv", range(30, 70))
    lines = [run_line(me, f"{me[0]}.csv", f"o{me[0]}.csv", "--how", "left") for me in PARTIES]
    with both(*(start(folder, *line) for line in lines)) as found:
        alice, _ = outcomes(found)
    for me in PARTIES:
        [path] = folder.rglob(f"{me}.jsonl")
        assert verify(path)[0] == 2
        disclosure, node = (json.loads(line) for line in path.read_text().splitlines())
        learned = [leak["what"] for leak in disclosure["body"]["disclosures"] if leak["to"] == "bob"]
        assert "how many rows of alice have no match" in learned
        assert node["body"]["participants"] == list(PARTIES)
        assert node["body"]["protocol"] == alice["protocol"]
        assert "semi-honest" in node["body"]["trust"]
        assert "k3" not in path.read_text()
    entry = json.loads(next(folder.rglob("alice.jsonl")).read_text().splitlines()[1])
    assert entry["body"]["bytes_sent"] == alice["bytes_sent"]


@pytest.mark.parametrize("how", ["left", "right", "full"])
def test_outer_joins_keep_rows_without_a_match(folder: Path, how: str) -> None:
    """alice stands first in the federation file, so she is the left."""
    write(folder / "a.csv", [1, 2, 2, 3])
    write(folder / "b.csv", [2, 3, 4, 5])
    page = ("--report", "r.html")
    lines = [run_line(me, f"{me[0]}.csv", f"o{me[0]}.csv", "--how", how, *page * (me == "bob")) for me in PARTIES]
    with both(*(start(folder, *line) for line in lines)) as found:
        outcomes(found)
    pairs = list(zip(rows_of(folder / "oa.csv"), rows_of(folder / "ob.csv"), strict=True))
    wanted = [("k2", "k2"), ("k2", "k2"), ("k3", "k3")]
    wanted += [("k1", "")] * (how != "right") + [("", "k4"), ("", "k5")] * (how != "left")
    assert sorted((left[0], right[0]) for left, right in pairs) == sorted(wanted)
    assert ("how many rows of alice have no match" in (folder / "r.html").read_text("utf-8")) == (how != "right")


def test_one_party_learns(folder: Path) -> None:
    write(folder / "a.csv", range(50))
    write(folder / "b.csv", range(40, 90))
    lines = [
        run_line("alice", "a.csv", "oa.parquet", "--learns", "alice", "--protocol", "vole", "--report", "r.html"),
        run_line("bob", "b.csv", "", "--learns", "alice"),
    ]
    with both(*(start(folder, *line) for line in lines)) as found:
        alice, bob = outcomes(found)
    assert (alice["written"], bob["written"], bob["common_keys"]) == (10, 0, None)
    assert alice["protocol"] == "vole"
    page = (folder / "r.html").read_text("utf-8")
    assert "which of its own keys bob has too" in page
    assert "dual learning parity with noise" in page
    assert "k45" not in page


@pytest.mark.parametrize("killed", PARTIES)
@pytest.mark.parametrize("protocol", ["ecdh", "vole"])
def test_a_killed_run_goes_on(folder: Path, killed: str, protocol: str) -> None:
    """Kill one side when a bucket is done; both go on where they were, and the result is exact."""
    numbers = list(range(16_000))
    random.Random(1).shuffle(numbers)
    write(folder / "a.csv", numbers[:12_000])
    write(folder / "b.csv", numbers[6_000:])
    lines = {
        "alice": run_line("alice", "a.csv", "oa.csv", "--protocol", protocol),
        "bob": run_line("bob", "b.csv", "ob.csv", "--protocol", protocol),
    }
    processes = {me: start(folder, *line, bucket=400) for me, line in lines.items()}
    kept = folder / f"o{killed[0]}.csv.psi"
    for _ in range(TRIES):
        if len(list(kept.glob("bucket-*.npy"))) >= 2:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            processes[killed].wait(0.02)
    os.kill(processes[killed].pid, signal.SIGKILL)
    with both(*processes.values()) as found:
        other = found[list(processes).index(next(me for me in PARTIES if me != killed))]
    assert other[0] not in {0, 1}
    assert killed in other[2]
    assert not (folder / "oa.csv").exists()
    done = len(list(kept.glob("bucket-*.npy")))
    assert done >= 2
    with both(start(folder, *lines["alice"], bucket=400)) as found:
        assert "jali psi resume" in found[0][2]
    resumed = [start(folder, "resume", f"o{me[0]}.csv.psi", "--json", bucket=400) for me in PARTIES]
    with both(*resumed) as found:
        alice, _ = outcomes(found)
    assert alice["common_keys"] == 6_000
    common = set(numbers[6_000:12_000])
    left, right = rows_of(folder / "oa.csv"), rows_of(folder / "ob.csv")
    assert [row[0] for row in left] == [row[0] for row in right]
    assert {int(row[0][1:]) for row in left} == common
    assert len(left) == len(common)
    assert not list(folder.glob("*.psi"))


def test_a_run_that_is_killed_in_the_second_round_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first key's buckets are done, some of the second's too; rows match by either, and none twice."""
    n = 9_000
    (folder / "a.csv").write_text("id,phone,row\n" + "".join(f"{_id(i)},p{i},{i}\n" for i in range(n)))
    ours = "".join(f"{_id(i) if i < 4_000 else f'x{i}'};p{i if i < 7_000 else -i};{i};Zo\u00eb\n" for i in range(n))
    (folder / "b.csv").write_text("id;phone;row;name\n" + ours, encoding="utf-16")
    more = ("--otherwise", "phone", "--how", "left", "--protocol", "ecdh")
    lines = {"alice": run_line("alice", "a.csv", "oa.csv", *more)}
    lines["bob"] = run_line("bob", "b.csv", "ob.csv", *more, "--encoding", "utf-16")
    processes = {me: start(folder, *line, bucket=200) for me, line in lines.items()}
    kept = folder / "oa.csv.psi"
    for _ in range(4 * TRIES):
        if len(list(kept.glob("bucket-01-*.npy"))) >= 2:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            processes["alice"].wait(0.005)
    os.kill(processes["alice"].pid, signal.SIGKILL)
    with both(*processes.values()) as found:
        assert found[1][0] not in {0, 1}
    assert len(list(kept.glob("bucket-00-*.npy"))) == 40
    done = list(kept.glob("bucket-*.npy"))
    assert 42 <= len(done) < 70, "it was killed in between"
    with both(*(start(folder, "resume", f"o{me[0]}.csv.psi", "--json", bucket=200) for me in PARTIES)) as found:
        alice, bob = outcomes(found)
    assert alice["common_by_key"] == bob["common_by_key"] == [3_000, 4_000]
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 200)
    second = intersection.intersection_cost(EcdhPsi(), 6_000, 6_000, learns="both").bytes_sent["peer"]
    assert alice["bytes_received"] < second, "less than the second round is done again"
    pairs = list(zip(rows_of(folder / "oa.csv"), rows_of(folder / "ob.csv"), strict=True))
    assert all(left[2] == right[2] for left, right in pairs[:7_000])
    assert {int(left[2]) for left, _ in pairs[:3_000]} == {i for i in range(4_000) if i % 4}
    assert sorted(int(left[2]) for left, _ in pairs) == list(range(n))
    assert {right[3] for _, right in pairs} == {"Zo\u00eb", ""}


def _id(i: int) -> str:
    """One of four is missing."""
    return f"k{i}" if i % 4 else ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--learns", "alice"), "learns"),
        (("--how", "left"), "how"),
        (("--otherwise", "row"), "columns"),
        (("--normalise", "trim,nfc"), "normalise"),
        (("--normalise", "exact"), "normalise"),
        (("--protocol", "vole"), "protocol"),
    ],
)
def test_wishes_that_differ_are_named_at_both(folder: Path, options: tuple[str, ...], says: str) -> None:
    write(folder / "a.csv", range(5))
    write(folder / "b.csv", range(5))
    lines = [
        run_line("alice", "a.csv", "oa.csv", "--protocol", "ecdh"),
        run_line("bob", "b.csv", "ob.csv", *(options if "--protocol" in options else ("--protocol", "ecdh", *options))),
    ]
    with both(*(start(folder, *line) for line in lines)) as found:
        assert all("J4202" in errors and says in errors for _, _, errors in found)
    assert not (folder / "oa.csv").exists()


def test_a_mistake_is_found_before_anybody_is_called(folder: Path) -> None:
    write(folder / "a.csv", range(5))
    for line, says in (
        (run_line("alice", "none.csv", "oa.csv"), "J1030"),
        (run_line("alice", "a.csv", "oa.xls"), "J6010"),
        (
            tuple(word.replace("federation.toml", "none.toml") for word in run_line("alice", "a.csv", "oa.csv")),
            "none.toml",
        ),
        (run_line("alice", "a.csv", "oa.csv", "--learns", "carol"), "carol"),
        (run_line("alice", "a.csv", "oa.csv", "--normalise", "trimed"), "trimmed"),
        (run_line("alice", "a.csv", "oa.csv", "--how", "outer"), "inner, left, right, full, semi, anti"),
        (run_line("alice", "a.csv", "oa.csv", "--how", "right", "--learns", "alice"), "'left' for all"),
        (run_line("alice", "a.csv", "oa.csv", "--otherwise", "phone"), "J1021"),
        (run_line("alice", "a.csv", "oa.csv", "--encoding", "latin-7x"), "J1014"),
        (run_line("alice", "a.csv", "oa.csv", "--with", "bobb"), "did you mean 'bob'"),
    ):
        with both(start(folder, *line)) as found:
            assert says in found[0][2]
        assert not list(folder.glob("*.psi"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "in how many rows the peer has each common key"),
        (("--how", "left"), "the peer: how many rows of me have no match"),
        (("--how", "semi", "--learns", "me"), "vole"),
        (("--how", "right", "--learns", "me"), "'left' for all"),
    ],
)
def test_what_a_join_will_cost_and_tell(folder: Path, options: tuple[str, ...], says: str) -> None:
    with both(start(folder, "explain", "1000", "2000", *options)) as found:
        status, out, errors = found[0]
    assert says in out + errors
    assert (status == 0) == ("the number of distinct keys" in out)
    assert ("have no match" in out) == ("left" in options)


def test_few_keys_against_a_cache(folder: Path) -> None:
    write(folder / "a.csv", range(500))
    write(folder / "ascii.csv", [499, 7, 500, 7, 900])
    (folder / "b.csv").write_text((folder / "ascii.csv").read_text(), encoding="utf-16")
    here, utf_16 = ("--federation", "federation.toml"), ("--encoding", "utf-16")
    with both(start(folder, "cache", "a.csv", "--on", "id", "--as", "alice", "--out", "a.ppsi", *here)) as found:
        assert "500 keys in a.ppsi" in found[0][1]
    lines = [
        ("serve", "a.ppsi", "--as", "alice", "--with", "bob", *here),
        ("ask", "b.csv", "a.ppsi", "--on", "id", "--as", "bob", "--with", "alice", "--out", "o.csv", *here, *utf_16),
    ]
    with both(*(start(folder, *line) for line in lines)) as found:
        assert [status for status, _, _ in found] == [0, 0], found
    assert rows_of(folder / "o.csv") == [("k499", "0"), ("k7", "1"), ("k7", "3")]
    lines[0] = (*lines[0], "--limit", "2")
    with both(*(start(folder, *line) for line in lines)) as found:
        assert all("J1037" in errors for _, _, errors in found)


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(folder: Path) -> None:
    """Files of more than 1,500 bytes cannot be written: no bucket's result of 300 keys can."""
    write(folder / "a.csv", range(3000))
    write(folder / "b.csv", range(3000))
    lines = {me: run_line(me, f"{me[0]}.csv", f"o{me[0]}.csv", "--protocol", "ecdh") for me in PARTIES}
    limits = {"alice": FULL_DISK, "bob": ""}
    with both(*(start(folder, *line, bucket=600, before=limits[me]) for me, line in lines.items())) as found:
        assert "J6010" in found[0][2]
        assert "alice" in found[1][2]
    assert not (folder / "oa.csv").exists()
    with both(*(start(folder, "resume", f"o{me[0]}.csv.psi", "--json", bucket=600) for me in PARTIES)) as found:
        assert outcomes(found)[0]["common_keys"] == 3000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from /proc")
def test_a_run_stays_within_its_memory(folder: Path) -> None:
    """Three million rows a side take more than 500 MiB where they may; allowed 300, no more than a fifth above it."""
    n = 3_000_000
    for i, me in enumerate(PARTIES):
        ids = np.random.default_rng(i).permutation(n) + i * n // 2
        save: Any = pyarrow.parquet.write_table
        save(pa.table({"id": ids, "amount": ids * 1.5}), folder / f"{me[0]}.parquet")
    more = ("--memory", "300", "--protocol", "vole")
    lines = [run_line(me, f"{me[0]}.parquet", f"o{me[0]}.parquet", *more) for me in PARTIES]
    with both(*(start(folder, *line, before=TELL_PEAK) for line in lines)) as found:
        outcomes(found)
    for _, _, errors in found:
        assert int(errors.rsplit("peak ", 1)[1]) < 360 << 10
    read: Any = pyarrow.parquet.read_table
    tables = [read(folder / f"o{me[0]}.parquet") for me in PARTIES]
    assert tables[0].equals(tables[1])
    assert np.array_equal(np.sort(tables[0]["id"].to_numpy()), np.arange(n // 2, n))
