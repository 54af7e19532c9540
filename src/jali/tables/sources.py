# SPDX-License-Identifier: Apache-2.0
"""Tables wherever they are: files, SQL and Arrow, through DuckDB, in batches, and back into files.

A source is read twice: its key columns first, and then the rows that were asked for, in the order that was asked for.
DuckDB sorts and joins on disk where memory is short.
"""

from __future__ import annotations

import os
import re
import weakref
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from jali.core.errors import (
    ColumnMissing,
    EncodingWrong,
    FileMissing,
    KeyTypeWrong,
    RowRagged,
    TableInvalid,
    WriteFailed,
)
from jali.core.extras import need
from jali.core.nearmiss import suggest
from jali.crypto.bytestrings import ByteStrings
from jali.tables.encodings import UTF_8, require_encoding, transcode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

__all__ = ["FORMATS", "Source", "check_target", "is_query", "name_of"]

FORMATS: Final = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".parquet", ".arrow")
BATCH_ROWS: Final = 1 << 17
_READING = 8  # this part of the memory: keys are held while a source is read
_THREAD_BYTES = 64 << 20  # what DuckDB needs for each, for two buffers of a CSV file
_SQL = re.compile(r"\s*(select|with|from|table|values)\s", re.IGNORECASE)
_CSV = re.compile(r"\.(csv|tsv)(\.gz|\.zst)?$", re.IGNORECASE)
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_ROW = "jali_row"


class Source:
    """A table: a path, a query in DuckDB's SQL, or anything with `__arrow_c_stream__`.

    Cells of CSV files are kept as they are written. A CSV file in another `encoding` than UTF-8, any of Python's, is
    copied as UTF-8. A query is run once, and its result kept until the end.

    Security: runs at the owner. No error contains the content of a cell. The copy lies where DuckDB spills.
    Raises: FileMissing, TableInvalid, RowRagged, EncodingWrong, UnknownName for an encoding; ExtraMissing without
    duckdb and pyarrow.
    """

    def __init__(
        self, given: Any, *, encoding: str = UTF_8, memory_bytes: int = 1 << 32, folder: Path | None = None
    ) -> None:
        """Open it, to use about so much memory with what is read from it.

        DuckDB spills into `folder`, or among temporary files, and what it spilled is deleted at the end.
        """
        self._encoding = require_encoding(encoding)
        duckdb = need("duckdb", extra="data")
        self._errors = (duckdb.Error, need("pyarrow", extra="data").ArrowException, OSError)
        self._connection = duckdb.connect()
        self._memory_bytes = memory_bytes
        [[self._threads]] = self._connection.execute("SELECT current_setting('threads')").fetchall()
        self._limit(memory_bytes // _READING)
        self._connection.execute("SET preserve_insertion_order = true")
        self._connection.execute("SET enable_progress_bar = false")  # it goes to the standard output
        self._spill = mkdtemp(prefix="spill-", dir=folder)
        self._delete_spill = weakref.finalize(self, rmtree, self._spill, ignore_errors=True)
        self._connection.execute(f"SET temp_directory = {_quoted(self._spill)}")
        self.name = name_of(given)
        try:
            self._relation = self._opened(given)
            self.columns: tuple[str, ...] = tuple(self._run(f"SELECT * FROM {self._relation} LIMIT 0").columns)
        except BaseException:
            self.close()  # a copy of a file does not outlive the error
            raise
        if len(set(self.columns)) < len(self.columns):
            raise TableInvalid(f"{self.name!r}: expected a different name for each column")

    def _opened(self, given: Any) -> str:
        """What stands after FROM."""
        path = Path(str(given))
        csv = isinstance(given, str | Path) and not is_query(given) and bool(_CSV.search(path.name))
        if self._encoding != UTF_8 and not csv:
            raise TableInvalid(f"{self.name!r} has no encoding to choose: only .csv and .tsv files have one")
        if hasattr(given, "__arrow_c_stream__"):
            self._connection.register("jali_given", need("pyarrow", extra="data").table(given))
            return "jali_given"
        text = str(given)
        if is_query(given):
            self._run(f"CREATE TEMP TABLE jali_given AS {text}", wanted=False)
            return "jali_given"
        if not path.is_file():
            raise FileMissing(f"cannot read {text!r}: no such file")
        suffixes = "".join(path.suffixes).lower()
        if suffixes.endswith(".parquet"):
            return f"read_parquet({_quoted(text)})"
        if suffixes.endswith((".arrow", ".feather", ".ipc")):
            dataset = need("pyarrow.dataset", extra="data")
            self._connection.register("jali_given", self._guarded(lambda: dataset.dataset(text, format="ipc")))
            return "jali_given"
        if self._encoding != UTF_8:
            text = str(Path(self._spill) / "as-utf-8.csv")
            packed = _COMPRESSION.get(path.suffix.lower())
            self._guarded(lambda: transcode(path, Path(text), encoding=self._encoding, compression=packed))
        return f"read_csv({_quoted(text)}, header = true, all_varchar = true, nullstr = '')"

    def _limit(self, size_bytes: int) -> None:
        """How much memory DuckDB may take, with no more threads than that is enough for; it spills what goes beyond."""
        size_bytes = max(size_bytes, _THREAD_BYTES)
        threads = min(self._threads, size_bytes // _THREAD_BYTES)
        self._connection.execute(f"SET memory_limit = '{size_bytes >> 20}MiB'")
        self._connection.execute(f"SET threads = {threads}")

    def keys(self, names: Sequence[str]) -> Iterator[dict[str, tuple[str, ByteStrings]]]:
        """The key columns in batches: of each its kind and its strings, empty where a cell is null.

        Raises: ColumnMissing; KeyTypeWrong for floats and the like.
        """
        for name in names:
            if name not in self.columns:
                raise ColumnMissing(f"{self.name!r} has no column {name!r}{suggest(name, self.columns)}")
        reader = self._run(f"SELECT {', '.join(map(_named, names))} FROM {self._relation}").to_arrow_reader(BATCH_ROWS)
        while (batch := self._guarded(lambda: next(reader, None))) is not None:
            yield {name: _strings(batch.column(i), name) for i, name in enumerate(names)}

    def write(
        self, rows: NDArray[np.int64], target: str | Path, *, marks: Mapping[str, NDArray[np.bool_]] | None = None
    ) -> Path:
        """These rows, in this order, into a file whose ending names its format, text in UTF-8; -1 is a row of nothing.

        Shapes: rows (n,), counted from 0; `marks` (n,) are further columns.
        Cost: the memory that the process does not use for other things already.
        Raises: WriteFailed; what was at the target is untouched then.
        """
        path = check_target(target)
        more = dict(marks or {})
        order = np.arange(len(rows), dtype=np.int32 if len(rows) < 2**31 else np.int64)
        places = need("pyarrow", extra="data").table({_ROW: rows, "jali_place": order, **more})
        self._connection.register("jali_places", places)
        numbered = f"SELECT *, row_number() OVER () - 1 AS {_ROW} FROM {self._relation}"
        query = (
            f"SELECT given.* EXCLUDE ({_ROW}){''.join(f', jali_places.{_named(name)}' for name in more)} "
            f"FROM jali_places LEFT JOIN ({numbered}) given "
            f"ON given.{_ROW} = jali_places.{_ROW} ORDER BY jali_place"
        )
        part = path.with_name(f".{path.name}.part")
        try:
            self._limit(self._memory_bytes - _resident_bytes(self._memory_bytes))
            if path.suffix == ".arrow":
                self._write_arrow(query, part)
            else:
                self._connection.execute(f"COPY ({query}) TO {_quoted(str(part))} ({_form(path)})")
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
        except self._errors as error:  # they quote cells
            raise WriteFailed(
                f"cannot write {str(path)!r} ({type(error).__name__}): free space, allow more memory, or choose "
                "another path (nothing partial was left behind)"
            ) from None
        finally:
            part.unlink(missing_ok=True)
        return path

    def _write_arrow(self, query: str, part: Path) -> None:
        ipc = need("pyarrow.ipc", extra="data")
        reader = self._connection.sql(query).to_arrow_reader(BATCH_ROWS)
        with ipc.new_file(str(part), reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)

    def close(self) -> None:
        """Forget it."""
        self._connection.close()
        self._delete_spill()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _run(self, query: str, *, wanted: bool = True) -> Any:
        return self._guarded(lambda: self._connection.sql(query) if wanted else self._connection.execute(query))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """Errors of the libraries quote cells: only their kind and the line are told."""
        try:
            return action()
        except self._errors as error:
            kind, text = type(error).__name__, str(error)
            line = re.search(r"CSV.* [Oo]n Line: (\d+)", text)
            if line is not None and "unicode" in text.lower():
                raise EncodingWrong(f"{self.name!r}, line {line[1]}: not UTF-8, name the file's encoding") from None
            if line is not None:
                raise RowRagged(f"{self.name!r}, line {line[1]}: not valid CSV") from None
            raise TableInvalid(f"cannot read {self.name!r} ({kind}): is it {', '.join(FORMATS)} or a query?") from None


def is_query(given: Any) -> bool:
    """Whether a source is SQL and not a path."""
    return isinstance(given, str) and _SQL.match(given) is not None


def name_of(given: Any) -> str:
    """What messages and reports call a source; never the text of a query, which may hold a password."""
    if is_query(given):
        return "the query"
    return str(given) if isinstance(given, str | Path) else "the table"


def check_target(target: str | Path) -> Path:
    """A path that can be written to. Raises: WriteFailed for an unknown format or a folder that does not exist."""
    path = Path(target)
    if not str(path).lower().endswith(FORMATS):
        raise WriteFailed(f"expected a path that ends with {', '.join(FORMATS)}, found {path.name!r}")
    if not path.parent.is_dir():
        raise WriteFailed(f"cannot write {str(path)!r}: no such folder")
    return path


def _resident_bytes(most: int) -> int:
    """The memory that this process has; half of the most that it may have, where nothing says."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return most // 2


def _form(path: Path) -> str:
    """The format as COPY has it."""
    if path.suffix == ".parquet":
        return "FORMAT parquet"
    delimiter = "\\t" if ".tsv" in path.suffixes else ","
    packed = _COMPRESSION.get(path.suffix)
    return f"FORMAT csv, HEADER true, DELIMITER {_quoted(delimiter)}" + (f", COMPRESSION {packed}" if packed else "")


def _strings(column: Any, name: str) -> tuple[str, ByteStrings]:
    """The kind of a key column and its strings, for `jali.psi.keys`; an empty one where the cell is null."""
    pyarrow, types = need("pyarrow", extra="data"), need("pyarrow.types", extra="data")
    kind = column.type
    if types.is_integer(kind) and kind != pyarrow.uint64():
        numbers = column.cast(pyarrow.int64()).fill_null(0).to_numpy()
        strings = ByteStrings.rows(numbers.astype("<i8").view(np.uint8).reshape(-1, 8))
        if column.null_count:
            nulls = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
            strings = strings.replaced(nulls, [b""] * len(nulls))
        return "whole numbers", strings
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if text or types.is_binary(kind) or types.is_large_binary(kind):
        large = column.cast(pyarrow.large_string() if text else pyarrow.large_binary()).fill_null("" if text else b"")
        _, places, data = large.buffers()
        offsets = np.frombuffer(places, np.int64)[large.offset : large.offset + len(large) + 1]
        cells = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
        return "text" if text else "bytes", ByteStrings(cells, (offsets - offsets[0]).astype(np.uint64))
    raise KeyTypeWrong(f"expected whole numbers, text or bytes in key column {name!r}, found {kind}: cast it to text")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _named(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
