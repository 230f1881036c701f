"""Rows of files: JSON, JSON lines, CSV, parquet and token columns; plain, gzip, in a folder or on a hub.

What cannot be read becomes a `Refusal` with its file, line and reason, and the reading goes on with the
next row, or with the next file where nothing behind the place can be trusted.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pii.errors import DataError

SUFFIXES = (".jsonl", ".json", ".ndjson", ".csv", ".parquet", ".bio", ".conll", ".txt")
"""Endings of files that are looked for in a folder; each may be followed by ``.gz``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a source: an object, or the lines of a sentence in a token file.

    Attributes:
        file: name of the file relative to the source, or ``hub-id:split``.
        line: its first line, from 1; in a parquet file or on a hub the number of the row.
        value: the parsed row; never shown by repr.
    """

    file: str
    line: int
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not taken, and why; never its text."""

    file: str
    line: int
    reason: str

    def as_row(self, source: str) -> dict[str, Any]:
        """The JSON object of this refusal's line in ``refused.jsonl``."""
        return {"source": source, "file": self.file, "line": self.line, "reason": self.reason}


def read_path(path: Path, patterns: Sequence[str] = ("*",)) -> Iterator[Row | Refusal]:
    """Rows of one file, or of every file with a known ending below a folder, in the order of names.

    Args:
        path: a file or a folder.
        patterns: which files of a folder, such as ``train*``; matched against name and relative path.

    Raises DataError: nothing is there, or no file of the folder matches.
    """
    for file, name in list_files(path, patterns):
        yield from _READERS[_ending(file)](file, name)


def list_files(path: Path, patterns: Sequence[str] = ("*",)) -> list[tuple[Path, str]]:
    """The files that `read_path` reads, each with its name relative to `path`, in order.

    Raises DataError as `read_path` does.
    """
    known = f"{', '.join(SUFFIXES)}, each also with .gz"
    if path.is_file():
        if not _ending(path):
            raise DataError(f"{path}: expected a file that ends in one of {known}")
        return [(path, path.name)]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and _ending(p))
    chosen = [n for n in names if any(fnmatch(n, p) or fnmatch(Path(n).name, p) for p in patterns)]
    if not chosen:
        raise DataError(f"{path}: no file matches {', '.join(patterns)} and ends in one of {known}")
    return [(path / name, name) for name in chosen]


def read_hub(hub_id: str, revision: str | None, splits: Sequence[str]) -> Iterator[Row | Refusal]:
    """Rows of a data set on a hub, streamed through ``datasets``.

    Raises DataError where it cannot be reached, with the ways that remain.
    """
    from datasets import load_dataset

    try:
        loaded = load_dataset(hub_id, revision=revision, streaming=True)
    except Exception as error:  # every layer below has its own: HTTP, cache, scripts, authentication
        raise DataError(_unreachable(hub_id, error)) from None
    for split in sorted(loaded):
        if splits and split not in splits:
            continue
        rows = iter(loaded[split])
        number = 0
        while True:
            try:
                value = next(rows)
            except StopIteration:
                break
            except Exception as error:
                raise DataError(_unreachable(hub_id, error)) from None
            number += 1
            yield Row(f"{hub_id}:{split}", number, value)


def _unreachable(hub_id: str, error: Exception) -> str:
    return (
        f"{hub_id}: cannot be loaded from the hub ({type(error).__name__}); "
        "ways to go on: set this source's path to a downloaded copy (a folder as the hub lays it out, "
        "or one file), set HF_ENDPOINT to a mirror, or fill the cache on another machine and set HF_HOME; "
        "sources whose data set is a script need a parquet revision or a local file"
    )


def _ending(path: Path) -> str:
    """The file's known ending without ``.gz``; empty for other files and for hidden ones."""
    if path.name.startswith("."):
        return ""
    name = path.name.removesuffix(".gz")
    return next((s for s in SUFFIXES if name.endswith(s)), "")


def _lines(path: Path, name: str) -> Iterator[tuple[int, str] | Refusal]:
    """Numbered lines without their ends; a line that is not UTF-8 and a cut-off gzip are refused."""
    number = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while True:
            try:
                raw = file.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile):
                yield Refusal(name, number + 1, "truncated_gzip")
                return
            if not raw:
                return
            number += 1
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield Refusal(name, number, "not_utf8")
                continue
            yield number, line.rstrip("\r\n")


def _read_json_lines(path: Path, name: str) -> Iterator[Row | Refusal]:
    for item in _lines(path, name):
        if isinstance(item, Refusal):
            yield item
            continue
        number, line = item
        if not line.strip():
            continue
        try:
            yield Row(name, number, json.loads(line))
        except (ValueError, RecursionError):
            yield Refusal(name, number, "broken_json")


def _read_json(path: Path, name: str) -> Iterator[Row | Refusal]:
    """The elements of a JSON array one by one, so that a cut-off file gives all but its last one.

    Files that end in ``.json`` and hold JSON lines are read as such.
    """
    if not _holds_array(path, name):
        yield from _read_json_lines(path, name)
        return
    lines: list[str] = []
    numbers: list[int] = []
    for item in _lines(path, name):
        if isinstance(item, Refusal):
            yield item
        else:
            numbers.append(item[0])
            lines.append(item[1])
    text = "\n".join(lines)
    decoder, position, line_index, counted = json.JSONDecoder(), text.index("[") + 1, 0, 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        line_index += text.count("\n", counted, position)
        counted = position
        if position >= len(text) or text[position] == "]":
            if position >= len(text):
                yield Refusal(name, numbers[-1], "broken_json: the array does not end")
            return
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            yield Refusal(name, numbers[line_index], "broken_json: nothing behind this place was read")
            return
        yield Row(name, numbers[line_index], value)


def _holds_array(path: Path, name: str) -> bool:
    for item in _lines(path, name):
        if not isinstance(item, Refusal) and item[1].strip():
            return item[1].lstrip().startswith("[")
    return False


def _read_csv(path: Path, name: str) -> Iterator[Row | Refusal]:
    text: list[str] = []
    for item in _lines(path, name):
        if isinstance(item, Refusal):
            yield item
        else:
            text.append(item[1])
    reader = csv.DictReader(io.StringIO("\n".join(text), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Refusal(name, line, "broken_csv")
            continue
        if None in row or None in row.values():
            yield Refusal(name, line, "broken_csv: the row has another number of cells than the header")
            continue
        yield Row(name, line, row)


def _read_parquet(path: Path, name: str) -> Iterator[Row | Refusal]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException):
        yield Refusal(name, 1, "broken_parquet")
        return
    names = _tag_names(table.schema_arrow.metadata or {})
    number = 0
    try:
        for batch in table.iter_batches(batch_size=1024):
            for value in batch.to_pylist():
                number += 1
                yield Row(name, number, {**value, **names})
    except (OSError, pyarrow.ArrowException):
        yield Refusal(name, number + 1, "broken_parquet: nothing behind this row was read")


def _tag_names(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Names of the classes of a tag column, where the hub's library wrote them into the file."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {"tag_names": features["ner_tags"]["feature"]["names"]}
    except (KeyError, TypeError, ValueError):
        return {}


def _read_sentences(path: Path, name: str) -> Iterator[Row | Refusal]:
    """Blocks of lines between blank lines: the sentences of a token file."""
    block: list[str] = []
    first = 0
    broken = False
    for item in _lines(path, name):
        if isinstance(item, Refusal):
            yield item
            broken = True
            continue
        number, line = item
        if line.strip(" \r\n"):
            first = first if block else number
            block.append(line)
            continue
        if block and not broken:
            yield Row(name, first, block)
        elif block:
            yield Refusal(name, first, "sentence_with_a_broken_line")
        block, broken = [], False
    if block:
        # Behind a cut the last sentence is not known to be whole.
        yield Refusal(name, first, "sentence_with_a_broken_line") if broken else Row(name, first, block)


_READERS: dict[str, Callable[[Path, str], Iterator[Row | Refusal]]] = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".bio": _read_sentences,
    ".conll": _read_sentences,
    ".txt": _read_sentences,
}
