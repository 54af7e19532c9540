# SPDX-License-Identifier: Apache-2.0
"""Text files in other encodings: read as if they were UTF-8, and the line of what is none of the text."""

from __future__ import annotations

import codecs
import gzip
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jali.core.errors import EncodingWrong, TableInvalid, UnknownName
from jali.psi.keys import Keys
from jali.tables import encodings
from jali.tables.encodings import require_encoding, transcode
from jali.tables.sources import Source

if TYPE_CHECKING:
    from pathlib import Path

TEXT = 'id,name\r\n1,Zo\u00eb\r\n2,"M\u00fcller\nGmbH"\r\n'
WIDE = "id,name\n1,\u5c71\u7530\n2,\u7530\n"
OF_MANY = [
    ("latin-1", TEXT),
    ("windows-1252", TEXT),
    ("utf-16", TEXT),
    ("utf-16-be", WIDE),
    ("utf-32", WIDE),
    ("utf-8-sig", TEXT),
    ("gb18030", WIDE),
    ("shift_jis", WIDE),
    ("euc-jp", WIDE),
    ("iso2022_jp", WIDE),
]


@pytest.mark.parametrize(("encoding", "text"), OF_MANY)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".CSV.ZST", ".tsv"])
def test_a_file_is_read_as_its_text(tmp_path: Path, encoding: str, text: str, ending: str) -> None:
    raw = (text.replace(",", "\t") if ending == ".tsv" else text).encode(encoding)
    path = tmp_path / f"in{ending}"
    if ending.endswith(".gz"):
        raw = gzip.compress(raw)
    elif ending.endswith(".ZST"):
        raw = pa.Codec("zstd").compress(raw, asbytes=True)
    path.write_bytes(raw)
    with Source(path, encoding=encoding, folder=tmp_path) as source:
        assert source.columns == ("id", "name")
        found = Keys.of_batches(source.keys(["name"]), normalise="exact")
        out = source.write(np.arange(2), tmp_path / "out.csv").read_bytes().decode()
    names = ["Zo\u00eb", "M\u00fcller\nGmbH"] if text is TEXT else ["\u5c71\u7530", "\u7530"]
    np.testing.assert_array_equal(found.digests, Keys(names, normalise="exact").digests)
    assert out.splitlines()[0] == "id,name"
    assert all(name in out for name in names), "the result is in UTF-8"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, "out.csv"]), "the copy is deleted"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(1, 9))
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "gb18030", "utf-7"])
def test_pieces_may_end_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, size: int
) -> None:
    monkeypatch.setattr(encodings, "_CHUNK", size)
    (tmp_path / "in").write_bytes(text.encode(encoding))
    transcode(tmp_path / "in", tmp_path / "out", encoding=encoding)
    assert (tmp_path / "out").read_bytes().decode() == text


@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("cp1252", b"\x81"),
        ("shift_jis", b"\x81\x20"),
        ("gb18030", b"\xff"),
        ("utf-16-le", b"\x00\xdc"),
        ("ascii", b"\xe9"),
        ("unicode_escape", b"\\ud800"),
    ],
)
@pytest.mark.parametrize("lines", [1, 30, 9_000])
def test_what_is_none_of_the_text_is_told_by_its_line(tmp_path: Path, encoding: str, bad: bytes, lines: int) -> None:
    """Also far behind the first piece."""
    ending, secret = ("\n".encode(encoding), "secret,".encode(encoding))
    path = tmp_path / "in.csv"
    path.write_bytes((secret + ending) * (lines - 1) + secret + bad + ending + secret)
    with pytest.raises(EncodingWrong, match=f"in line {lines}:") as caught:
        Source(path, encoding=encoding, folder=tmp_path)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path], "nothing partial stays"


def test_a_file_that_ends_within_a_letter(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes("id\n\u5c71".encode("utf-16-le")[:-1])
    with pytest.raises(EncodingWrong, match="in line 2:"):
        Source(tmp_path / "in.csv", encoding="utf-16-le")


def test_a_file_that_is_not_utf_8_after_all(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id,name\n1,a\n2,secret\xe9\n")
    with pytest.raises(EncodingWrong, match=r"line 3: not UTF-8") as caught, Source(tmp_path / "in.csv") as source:
        list(source.keys(["name"]))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["latin1", "ISO-8859-1", "windows-1252", "UTF_16", "utf8", "shift_jis"])
def test_names_of_encodings(name: str) -> None:
    assert require_encoding(name) == codecs.lookup(name).name == require_encoding(name.upper())


@pytest.mark.parametrize(
    ("name", "near"), [("utf-61", "'utf-16'"), ("base64", "known"), ("", "known"), ("a\0b", "known")]
)
def test_what_is_no_encoding(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=near):
        require_encoding(name)


def test_only_text_files_have_an_encoding(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"]})
    with Source(table) as source:
        saved = source.write(np.arange(1), tmp_path / "in.parquet")
    for given_ in (table, saved, "SELECT 1 AS id"):
        with pytest.raises(TableInvalid, match=r"only \.csv and \.tsv files"):
            Source(given_, encoding="latin-1")
        with Source(given_, encoding="utf8") as source:
            assert source.columns == ("id",)
