# SPDX-License-Identifier: Apache-2.0
"""Intersections from file to file, in one process: what comes in, whatever it is, and what comes out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jali.core.errors import (
    InputError,
    KeyInvalid,
    PsiFrameInvalid,
    PsiKeysDiffer,
    RunFolderInvalid,
    UnknownName,
)
from jali.psi import files, intersection
from jali.psi.files import prepare, run
from jali.psi.folder import Job, RunFolder
from jali.psi.keys import Keys
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from pathlib import Path

PARTIES = ("alice", "bob")


def job(folder: Path, me: str, **changes: Any) -> Job:
    peer = PARTIES[me == PARTIES[0]]
    usual = {"federation": "", "me": me, "peer": peer, "source": "given", "on": ("id",), "protocol": "ecdh"}
    return Job(**{**usual, "target": str(folder / f"{me}.parquet"), **changes})


def intersect(folder: Path, a: Any, b: Any, *, streams: Any = None, errors: bool = False, **changes: Any) -> Any:
    """Both sides' outcomes."""
    tables = [x if hasattr(x, "__arrow_c_stream__") or isinstance(x, str) else pa.table({"id": x}) for x in (a, b)]
    ready = [
        prepare(job(folder, me, **changes), left=me == "alice", given=table)
        for me, table in zip(PARTIES, tables, strict=True)
    ]
    parts = [lambda stream, side=side: run(ready[side], stream, progress=quiet) for side in (0, 1)]
    return run_both(streams or stream_pair(), *parts, errors=errors)


def rows(folder: Path, me: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(folder / f"{me}.parquet").to_pylist()
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 6), max_size=9),
    st.lists(st.integers(0, 6), max_size=9),
    st.sampled_from(["inner", "left", "right", "full"]),
)
def test_joins_are_those_of_sql(tmp_path: Path, a: list[int], b: list[int], how: str) -> None:
    a_table, b_table = (pa.table({"id": pa.array(x, pa.int64()), "row": list(range(len(x)))}) for x in (a, b))
    intersect(tmp_path, a_table, b_table, how=how)
    pairs = Counter((x["row"], y["row"]) for x, y in zip(rows(tmp_path, "alice"), rows(tmp_path, "bob"), strict=True))
    wanted: Counter[tuple[int | None, int | None]] = Counter(
        (i, j) for i, x in enumerate(a) for j, y in enumerate(b) if x == y
    )
    if how in {"left", "full"}:
        wanted += Counter((i, None) for i, x in enumerate(a) if x not in b)
    if how in {"right", "full"}:
        wanted += Counter((None, j) for j, y in enumerate(b) if y not in a)
    assert pairs == wanted


def test_a_union_has_a_row_for_each_key_of_either(tmp_path: Path) -> None:
    a, b = (pa.table({"id": ids, "row": list(range(len(ids)))}) for ids in (["x", "y", "z"], ["z", "v", "x", "w"]))
    outcomes = intersect(tmp_path, a, b, how="union", protocol="auto")
    assert [(o.protocol, o.common_keys, o.written) for o in outcomes] == [("spine", 2, 5)] * 2
    together = list(zip(*([row["id"] for row in rows(tmp_path, me)] for me in PARTIES), strict=True))
    assert sorted(together, key=str) == sorted([("x", "x"), ("y", None), ("z", "z"), (None, "v"), (None, "w")], key=str)


@pytest.mark.parametrize("changes", [{"learns": "alice"}, {"otherwise": (("row",),)}, {"protocol": "ecdh"}])
def test_what_a_union_cannot_be(tmp_path: Path, changes: dict[str, Any]) -> None:
    table = pa.table({"id": ["x"], "row": [1]})
    with pytest.raises(InputError):
        prepare(job(tmp_path, "alice", **{"how": "union", "protocol": "auto", **changes}), left=True, given=table)


@pytest.mark.parametrize("learns", ["both", "alice"])
def test_rows_that_are_and_are_not_in_common(tmp_path: Path, learns: str) -> None:
    """In the file's order, each once."""
    tables = [pa.table({"id": ["d", "b", "a", "b", "a", "c"]}), pa.table({"id": ["e", "c", "b"]})]
    for how, alice, bob in (("semi", ["b", "b", "c"], ["c", "b"]), ("anti", ["d", "a", "a"], ["e"])):
        intersect(tmp_path, *tables, how=how, learns=learns)
        assert [row["id"] for row in rows(tmp_path, "alice")] == alice
        if learns == "both":
            assert [row["id"] for row in rows(tmp_path, "bob")] == bob


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [
        (["k"] * 300, ["k"] * 200, 60_000),
        (["k"] * 3, ["x"] * 3, 0),
        (["a" * 1_000_000, "b"], ["b", "a" * 1_000_000, "a" * 999_999], 2),
        ([], ["a"], 0),
    ],
    ids=["all equal", "none equal", "a megabyte", "empty"],
)
@pytest.mark.parametrize("protocol", ["ecdh", "vole"])
def test_odd_keys(tmp_path: Path, a: list[str], b: list[str], common: int, protocol: str) -> None:
    tables = [pa.table({"id": pa.array(x, pa.string())}) for x in (a, b)]
    outcomes = intersect(tmp_path, *tables, protocol=protocol)
    assert [outcome.written for outcome in outcomes] == [common, common]
    assert [x["id"] for x in rows(tmp_path, "alice")] == [x["id"] for x in rows(tmp_path, "bob")]


def test_keys_that_never_match_are_an_error_at_both(tmp_path: Path) -> None:
    for a, b in (([1, 2], ["1", "2"]), (["a"], [b"a"])):
        raised = intersect(tmp_path, a, b, errors=True)
        assert all(isinstance(error, PsiKeysDiffer) for error in raised)
    assert not list(tmp_path.iterdir())


def test_missing_keys_end_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(KeyInvalid, match="in row 1 "):
        prepare(job(tmp_path, "alice"), left=True, given=pa.table({"id": ["a", None]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"learns": "carol"},
        {"how": "right", "learns": "alice"},
        {"how": "full", "learns": "alice"},
        {"how": "left", "learns": "bob"},
    ],
)
def test_jobs_that_make_no_sense(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"carol|write 'inner' or 'semi'"):
        prepare(job(tmp_path, "alice", **changes), left=True, given=pa.table({"id": ["a"]}))


def test_names_that_do_not_exist(tmp_path: Path) -> None:
    for changes, near in (({"how": "outer"}, "inner"), ({"normalise": "nfcc"}, "nfc"), ({"how": "lefft"}, "'left'")):
        with pytest.raises(UnknownName, match=near):
            prepare(job(tmp_path, "alice", **changes), left=True, given=pa.table({"id": ["a"]}))


@pytest.mark.parametrize(
    "message", [b"", b"{}", b"{", b'{"version":2,"how":"inner","learns":"both","columns":"x","network":"lan"}']
)
def test_another_greeting_is_named(tmp_path: Path, message: bytes) -> None:
    streams = stream_pair()
    streams[1].tamper = lambda i, m: message if i == 0 else m
    raised = intersect(tmp_path, ["a"], ["a"], streams=streams, errors=True)
    assert isinstance(raised[0], PsiFrameInvalid)


def test_an_error_names_party_phase_and_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 100)
    streams = stream_pair()
    sent = 2 + 3 * 2  # terms and greeting; points, tags and counts of two buckets
    streams[1].tamper = lambda i, m: m[:-1] if i == sent else m
    ids = [f"k{i}" for i in range(350)]
    raised = intersect(tmp_path, ids, ids, streams=streams, errors=True)
    assert isinstance(raised[0], PsiFrameInvalid)
    assert raised[0].party == "bob"
    assert raised[0].phase == "ecdh: bucket 3 of 4, start"
    assert "[party 'bob', during ecdh: bucket 3 of 4, start]" in str(raised[0])


def test_networks_that_differ_are_named(tmp_path: Path) -> None:
    """Each would reckon with its own, and choose another protocol."""
    tables = [pa.table({"id": ["a"]})] * 2
    ready = [
        prepare(job(tmp_path, me, network=network), left=me == "alice", given=table)
        for me, network, table in zip(PARTIES, ("lan", "wan"), tables, strict=True)
    ]
    parts = [lambda stream, side=side: run(ready[side], stream, progress=quiet) for side in (0, 1)]
    raised = run_both(stream_pair(), *parts, errors=True)
    assert all(isinstance(error, PsiKeysDiffer) and "network" in str(error) for error in raised)


@pytest.mark.parametrize("number", [b"\1", (2**29).to_bytes(8, "little")])
def test_numbers_of_kept_rows_are_checked(tmp_path: Path, number: bytes) -> None:
    streams = stream_pair()
    last = 4  # terms, greeting, points, tags, counts, and then how many rows are kept
    streams[1].tamper = lambda i, m: number if i == last + 1 else m
    raised = intersect(tmp_path, ["a"], ["a", "b"], how="right", streams=streams, errors=True)
    assert isinstance(raised[0], PsiFrameInvalid)
    assert "expected a number of rows" in str(raised[0])


def test_folders_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "out.psi"
    folder = RunFolder.create(path, job(tmp_path, "alice"))
    assert RunFolder(path).job == job(tmp_path, "alice")
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(RunFolderInvalid, match="resume"):
        RunFolder.create(path, job(tmp_path, "alice"))
    first, keys = folder.round(0, Keys(["a"])), Keys(["b"])
    assert (first.wish, folder.started, folder.protocols) == ("", False, ())
    assert not first.begin(1, 2, "ecdh", 2).any()
    first.save(0, Keys(["a"]).rows.astype("int64"))
    first.save(1, None)
    assert first.begin(1, 2, "ecdh", 2).all()
    assert (first.wish, folder.started, folder.protocols) == ("ecdh", True, ("ecdh",))
    assert first.load(0).tolist() == [0]  # type: ignore[union-attr]
    assert first.load(1) is None
    second = folder.round(1, keys)
    assert not second.begin(1, 2, "vole", 2).any(), "a round has results of its own"
    assert first.begin(1, 2, "ecdh", 2).all()
    assert folder.protocols == ("ecdh", "vole")
    again = RunFolder(path)
    assert not again.round(0, keys).begin(1, 2, "ecdh", 2).any(), "results of other keys are forgotten"
    (path / "bucket-00-0000.npy").write_bytes(b"damaged")
    with pytest.raises(RunFolderInvalid, match="bucket 0"):
        again.round(0, keys).load(0)
    (path / "job.json").write_bytes(b"{}")
    with pytest.raises(RunFolderInvalid):
        _ = again.job
    again.delete()
    assert not path.exists()


@pytest.mark.parametrize("size", [0, 1, 150, (1 << 14) - 1])
def test_a_peer_that_wants_tiny_buckets_is_refused(tmp_path: Path, size: int) -> None:
    """Buckets are filled up with random keys, in whose places somebody who lies could put others."""
    mine = job(tmp_path, "alice")

    def lies(stream: Any) -> None:
        asked = msgspec.json.decode(bytes(stream.receive()))
        stream.send(msgspec.json.encode({**asked, "bucket_keys": size}))

    raised = run_both(stream_pair(), lambda stream: files._agree(stream, mine), lies, errors=True)
    assert isinstance(raised[0], PsiFrameInvalid)
    assert "buckets of 16384 keys or more" in raised[0].message
