"""A split as files: JSON lines or Parquet, in one file or in shards, written and read a row at a time.

``train.jsonl`` or ``train.parquet``; with shards ``train-00000.jsonl``, ``train-00001.jsonl``, ... Neither
writing nor reading holds more than some rows, so a split may be larger than memory. A row read from Parquet
is the very object that was written: columns that a row lacks are null in the file and absent again here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal, Self

from configs.atomic import writing
from data_pipeline.readers.files import Refusal, read_path
from pii.errors import DataError

Format = Literal["jsonl", "parquet"]

ROWS_OF_A_GROUP = 1024
"""Rows that a Parquet file is written and read in at a time."""


def split_files(folder: Path, split: str) -> list[Path]:
    """The files of a split, in order; none where the folder has none."""
    name = re.compile(rf"{re.escape(split)}(-\d{{5,}})?\.(jsonl|parquet)")
    return sorted(path for path in folder.glob(f"{split}*") if name.fullmatch(path.name))


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of one file of a split, each with its place (``train.jsonl:17``).

    Raises DataError with the place of the first row that cannot be read.
    """
    for item in read_path(path):
        place = f"{path}:{item.line}"
        if isinstance(item, Refusal):
            raise DataError(f"{place}: {item.reason}; run `pii data` again")
        yield place, _restored(item.value) if path.suffix == ".parquet" else item.value


def read_split(folder: Path, split: str) -> Iterator[tuple[str, Any]]:
    """Rows of all files of a split, in order, as `read_rows` gives them."""
    for path in split_files(folder, split):
        yield from read_rows(path)


class SplitWriter:
    """Writes the rows of a split; a shard appears when it is full, and after an error none stays.

    Args:
        folder: where the files go.
        split: the name that they begin with.
        file_format: ``jsonl`` or ``parquet``.
        shard_rows: rows of each file; None: one file without a number.
    """

    def __init__(
        self, folder: Path, split: str, *, file_format: Format = "jsonl", shard_rows: int | None = None
    ) -> None:
        self._folder, self._split = folder, split
        self._format, self._shard_rows = file_format, shard_rows
        self._stack = ExitStack()
        self._file: _LineFile | _ParquetFile | None = None
        self._num_rows = 0
        self.names: list[str] = []

    def __enter__(self) -> Self:
        self._next_file()
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._end_file()
            gone = [
                path.name for path in split_files(self._folder, self._split) if path.name not in self.names
            ]
        else:
            self._stack.__exit__(*error)
            gone = self.names[:-1]  # half a split is none
        for name in gone:
            (self._folder / name).unlink()

    def write(self, line: str) -> None:
        """Add one row, as its line of JSON."""
        if self._shard_rows is not None and self._num_rows == self._shard_rows:
            self._next_file()
        assert self._file is not None
        self._file.write(line)
        self._num_rows += 1

    def _next_file(self) -> None:
        if self._file is not None:
            self._end_file()
        number = "" if self._shard_rows is None else f"-{len(self.names):05d}"
        name = f"{self._split}{number}.{self._format}"
        if self._format == "jsonl":
            self._file = _LineFile(self._stack.enter_context(writing(self._folder / name)))
        else:
            self._file = _ParquetFile(self._stack.enter_context(writing(self._folder / name, "wb")))
        self.names.append(name)
        self._num_rows = 0

    def _end_file(self) -> None:
        assert self._file is not None
        self._file.end()
        self._stack.close()


class _LineFile:
    """JSON lines."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line + "\n")

    def end(self) -> None:
        self._file.flush()


class _ParquetFile:
    """Parquet in the columns of `_schema`, a group of rows at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow.parquet

        self._rows: list[dict[str, Any]] = []
        self._schema = _schema()
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, line: str) -> None:
        row = json.loads(line)
        if "meta" in row:
            row["meta"] = json.dumps(row["meta"], ensure_ascii=False)
        self._rows.append(row)
        if len(self._rows) == ROWS_OF_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()

    def end(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()


def _schema() -> Any:
    """The columns of an example; ``meta`` is open and therefore JSON."""
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    entity = pa.struct([("type", text), ("value", text), ("start", number), ("end", number)])
    message = pa.struct([("role", text), ("content", text)])
    return pa.schema(
        [
            *((name, text) for name in ("id", "source", "language", "text")),
            ("entities", pa.list_(entity)),
            ("types", pa.list_(text)),
            ("meta", text),
            ("messages", pa.list_(message)),
        ]
    )


def _restored(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if value is not None}
    if "meta" in kept:
        kept["meta"] = json.loads(kept["meta"])
    return kept
