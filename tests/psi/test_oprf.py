# SPDX-License-Identifier: Apache-2.0
"""Few keys against a cache: exact, blind, and safe from damaged files and other caches."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from jali.core.config import load
from jali.core.errors import (
    CacheInvalid,
    CertificateExpired,
    CertificateWrong,
    FileMissing,
    LowOrderPointError,
    PsiFrameInvalid,
    PsiKeysDiffer,
    SavedMissing,
)
from jali.kernels import curve_multiply_each
from jali.kernels.reference_curve import on_curve
from jali.psi import oprf
from jali.psi.cache import Cache, build, scalar_of
from jali.psi.keys import Keys
from jali.psi.oprf import answer, ask, cost
from jali.transport.authority import Authority, create_federation
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.psi.cache import Header

ONE_IN_A_MILLION = 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation")
    create_federation(folder, ("alice", "bob"), helpers=())
    return folder


def make(folder: Path, keys: Keys, name: str = "a.ppsi", party: str = "alice") -> tuple[Path, Header]:
    entry, path = load(folder / "federation.toml").parties[party], folder / name
    header = build(keys, path, party=party, certificate=Path(entry.certificate), key=Path(entry.key), progress=quiet)
    return path, header


def opened(path: Path, party: str = "alice") -> Cache:
    return Cache(path, authority=Path(load(path.parent / "federation.toml").authority), party=party)


def query(path: Path, keys: Keys, *, most: int = oprf.MOST_QUERIES, **how: Any) -> Any:
    cache, streams = opened(path), how.pop("streams", None) or stream_pair()
    scalar = scalar_of(path, cache.header)
    found = run_both(
        streams, lambda s: answer(s, cache.header, scalar, most=most), lambda s: ask(s, cache, keys), **how
    )
    return found, streams


@pytest.mark.parametrize(
    ("n", "m", "overlap"), [(0, 3, 0), (1, 1, 1), (1, 1, 0), (1000, 20, 7), (300, 400, 300), (5, 0, 0)]
)
def test_exact(folder: Path, n: int, m: int, overlap: int) -> None:
    path, header = make(folder, Keys(np.arange(n)))
    assert header.n == n
    keys = Keys(np.arange(n - overlap, n - overlap + m))
    (count, found), streams = query(path, keys)
    have = {digest.tobytes() for digest in Keys(np.arange(n)).digests}
    assert [keys.digests[i].tobytes() for i in found] == [d.tobytes() for d in keys.digests if d.tobytes() in have]
    assert count == m
    expected = cost(m)
    assert streams[1].counters.bytes_sent == expected.bytes_sent["me"]
    assert streams[0].counters.bytes_sent == expected.bytes_sent["peer"]
    assert streams[1].counters.rounds == expected.rounds


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=3).filter(str.strip)), st.lists(st.text(max_size=3).filter(str.strip)))
def test_exact_for_any_text(folder: Path, a: list[str], b: list[str]) -> None:
    path, _ = make(folder, Keys(a))
    keys = Keys(b)
    (_, found), _ = query(path, keys)
    have = {digest.tobytes() for digest in Keys(a).digests}
    assert len(found) == sum(digest.tobytes() in have for digest in keys.digests)


def test_queries_look_random_and_lie_in_the_group(folder: Path) -> None:
    path, _ = make(folder, Keys(np.arange(10)))
    raw = [query(path, Keys(np.arange(400)))[1][1].sent[0][32:] for _ in range(2)]
    points = np.frombuffer(b"".join(raw), np.uint8).reshape(800, 32)
    assert len(np.unique(points, axis=0)) == 800
    assert chisquare(np.bincount(points[:, :31].reshape(-1), minlength=256)).pvalue > ONE_IN_A_MILLION
    q = (oprf._ORDER).to_bytes(32, "little")
    orders = np.frombuffer(q * 50, np.uint8).reshape(50, 32)
    assert not np.any(curve_multiply_each(points[:50], orders)), "no part of low order is left"
    assert all(on_curve(int.from_bytes(row.tobytes(), "little")) for row in points[:50])


def test_a_cache_says_nothing_without_its_secret(folder: Path) -> None:
    """The same keys under another secret have other tags."""
    (folder / "b.ppsi.key").unlink(missing_ok=True)
    first = make(folder, Keys(np.arange(50)), "a.ppsi")[0].read_bytes()[-600:]
    second = make(folder, Keys(np.arange(50)), "b.ppsi")[0].read_bytes()[-600:]
    rows = [{raw[at : at + 12] for at in range(0, 600, 12)} for raw in (first, second)]
    assert len(rows[0]) == 50
    assert not rows[0] & rows[1]


def test_a_cache_that_is_made_again_has_the_same_secret(folder: Path) -> None:
    path, before = make(folder, Keys(np.arange(20)))
    old = path.read_bytes()
    _, after = make(folder, Keys(np.arange(30)))
    assert before.key_id == after.key_id
    path.write_bytes(old)
    assert opened(path).header == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:11],
        lambda raw: b"x" + raw[1:],
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        lambda raw: raw[:40],
        lambda raw: raw[:8] + b"\xff" * 8 + raw[16:],
        lambda raw: raw.replace(b'"epoch":', b'"epoch":1'),
        lambda raw: raw.replace(b'"trimmed"', b'"exact"  '),
    ],
)
def test_a_damaged_or_forged_cache_is_refused(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path, _ = make(folder, Keys(np.arange(20)), "c.ppsi")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((CacheInvalid, CertificateWrong)):
        opened(path)


def test_a_cache_of_another_party_is_refused(folder: Path) -> None:
    path, _ = make(folder, Keys(np.arange(20)), "d.ppsi", party="bob")
    with pytest.raises(CertificateWrong, match="'bob'"):
        opened(path, party="alice")
    opened(path, party="bob")
    with pytest.raises(FileMissing):
        opened(folder / "none.ppsi")


def test_the_secret_must_be_the_caches(folder: Path) -> None:
    path, header = make(folder, Keys(np.arange(20)), "e.ppsi")
    secret = folder / "e.ppsi.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.unlink()
    with pytest.raises(SavedMissing):
        scalar_of(path, header)
    make(folder, Keys(np.arange(20)), "f.ppsi")
    (folder / "f.ppsi.key").rename(secret)
    with pytest.raises(CacheInvalid, match="not the one"):
        scalar_of(path, header)


def test_other_keys_are_named(folder: Path) -> None:
    path, _ = make(folder, Keys(np.arange(20)))
    for keys in (Keys(["a"]), Keys(np.arange(3), normalise="exact")):
        raised, _ = query(path, keys, errors=True)
        assert isinstance(raised[1], PsiKeysDiffer)


@pytest.mark.parametrize(("normalise", "named"), [("nfkc, fold,trim", "nfkc,fold,trim"), ("nfc,trim", "trimmed")])
def test_a_cache_says_how_its_keys_were_normalised(folder: Path, normalise: str, named: str) -> None:
    path, _ = make(folder, Keys(["Ana", "BO "], normalise=normalise))
    assert opened(path).header.normalise == named
    keys = Keys([" ana", "Bo", "BO"], normalise=named)
    (_, found), _ = query(path, keys)
    assert len(found) == (2 if "fold" in named else 1)


def test_more_queries_than_are_allowed_are_refused(folder: Path) -> None:
    path, _ = make(folder, Keys(np.arange(20)))
    raised, _ = query(path, Keys(np.arange(11)), most=10, errors=True)
    assert all(isinstance(error, CacheInvalid) for error in raised)
    assert "fewer" in str(raised[1])


def test_another_cache_is_told_to_both(folder: Path) -> None:
    path, header = make(folder, Keys(np.arange(20)))
    other, _ = make(folder, Keys(np.arange(20)), "g.ppsi")
    scalar = scalar_of(path, header)
    raised = run_both(
        stream_pair(),
        lambda s: answer(s, header, scalar),
        lambda s: ask(s, opened(other), Keys(np.arange(5))),
        errors=True,
    )
    assert all(isinstance(error, CacheInvalid) for error in raised)
    assert "new one" in str(raised[1])


@pytest.mark.parametrize(
    ("side", "change", "error"),
    [
        (1, lambda m: m[:31], PsiFrameInvalid),
        (1, lambda m: m[:-1], PsiFrameInvalid),
        (1, lambda m: b"x" + m[1:], PsiFrameInvalid),
        (1, lambda m: m[:32] + bytes(32) + m[64:], LowOrderPointError),
        (0, lambda m: m[:-1], PsiFrameInvalid),
        (0, lambda m: b"", PsiFrameInvalid),
        (0, lambda m: b"\x07" + m[1:], PsiFrameInvalid),
        (0, lambda m: m[:1] + bytes(32) + m[33:], LowOrderPointError),
    ],
)
def test_lies_are_named(folder: Path, side: int, change: Callable[[bytes], bytes], error: type[Exception]) -> None:
    path, _ = make(folder, Keys(np.arange(20)))
    streams = stream_pair()
    streams[side].tamper = lambda i, m: change(m)
    raised, _ = query(path, Keys(np.arange(5)), streams=streams, errors=True)
    assert isinstance(raised[1 - side], error)


@pytest.mark.parametrize(("days", "error"), [(-1, CertificateExpired), (2, CertificateWrong)])
def test_a_cache_signed_with_a_certificate_that_is_not_valid_now(
    tmp_path: Path, days: int, error: type[Exception]
) -> None:
    """It ended yesterday, or begins the day after tomorrow."""
    authority = Authority.new("dates")
    start = dt.datetime.now(dt.UTC) + dt.timedelta(days=days if days > 0 else days - 1)
    certificate, key = authority.issue("alice", start=start, days=1)
    names = ("authority", "certificate", "key")
    for name, content in zip(names, (authority.files()[0], certificate, key), strict=True):
        (tmp_path / name).write_bytes(content)
    build(
        Keys(["a"]),
        tmp_path / "c.ppsi",
        party="alice",
        certificate=tmp_path / "certificate",
        key=tmp_path / "key",
        progress=quiet,
    )
    with pytest.raises(error, match=r"expired on|valid from"):
        Cache(tmp_path / "c.ppsi", authority=tmp_path / "authority", party="alice")
