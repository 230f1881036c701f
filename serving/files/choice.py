"""Which format a file has, by its name or by choice, and which of its columns are looked through."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO, Literal, get_args

from configs.errors import ConfigError, UserError
from pii.taxonomy import shipped
from serving.files.compression import plain_name
from serving.files.documents import JsonDocument, WholeFile
from serving.files.lines import Jsonl, Text
from serving.files.markup import Html
from serving.files.office import Docx, Xlsx
from serving.files.parquet import Parquet, codec_of, read_columns
from serving.files.pdf import Pdf
from serving.files.records import Check, Edit, Format, Record
from serving.files.tables import Table, columns_of, read_header

FormatName = Literal["jsonl", "json", "csv", "tsv", "parquet", "text", "html", "docx", "xlsx", "pdf"]
FORMATS: tuple[str, ...] = get_args(FormatName)

_ENDINGS: Mapping[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
    "": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".docx": "docx",
    ".xlsx": "xlsx",
    ".pdf": "pdf",
}

_REFUSED = {
    ".doc": "save it as .docx first",
    ".xls": "save it as .xlsx first",
}


_LIBRARIES = {"docx": ("lxml",), "xlsx": ("lxml",), "pdf": ("pypdfium2", "pikepdf", "PIL")}
"""What is installed by the extra ``documents`` alone."""


@dataclass(frozen=True)
class Options:
    """How the files of a job are read.

    Attributes:
        format: the format of all files; None: each by its name.
        columns: name of a column, or path in JSON → entity type of its whole values, or None.
        delimiter: of CSV; None: that of the header.
        encoding: of text, CSV and HTML; one in which ASCII is ASCII.
    """

    format: FormatName | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    delimiter: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        try:
            known = '\n,"<{aZ0'.encode(self.encoding) == b'\n,"<{aZ0'
        except LookupError:
            raise ConfigError(f"--encoding: no encoding {self.encoding}") from None
        if not known:
            raise ConfigError(
                f"--encoding: {self.encoding} does not write ASCII as ASCII; convert the file first"
            )
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ConfigError("--delimiter: expected one character")


def parse_columns(written: Sequence[str]) -> dict[str, str | None]:
    """``name`` or ``name=TYPE``, parted by commas, of each ``--columns``. Raises ConfigError."""
    chosen: dict[str, str | None] = {}
    for part in (part.strip() for words in written for part in words.split(",")):
        name, _, type = part.partition("=")
        if not name:
            raise ConfigError("--columns: expected names, parted by commas")
        if type and type not in shipped():
            raise ConfigError(f"--columns: {name}: no entity type {type}")
        chosen[name] = type or None
    return chosen


class Unknown(WholeFile):
    """A file of a folder that is of no known format: a bad record, neither copied nor left out silently."""

    name = "unknown"

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """The refusal."""
        yield Record(1, 2, reason="unknown_format")

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """Never called: there is no good record."""
        raise AssertionError


def format_of(name: str, *, alone: bool) -> FormatName | None:
    """The format by the ending of a name. A file that is named alone is text where its ending says nothing.

    Raises UserError: a format that cannot be redacted in place.
    """
    ending = PurePosixPath(plain_name(name)).suffix.lower()
    if alone and ending in _REFUSED:
        raise UserError(f"{name}: {_REFUSED[ending]}")
    return _ENDINGS.get(ending, "text" if alone else None)


def bound(name: str, options: Options, file: BinaryIO, *, alone: bool) -> Format:
    """The format of one file, with what its head says about it.

    Args:
        name: the file's name.
        options: how the job reads files.
        file: the decompressed file at its beginning; may be read.
        alone: whether it was named, and not found in a folder.

    Raises UserError: no such column, no header, not the format.
    """
    chosen = options.format or format_of(name, alone=alone)
    columns = tuple(options.columns.items())
    _refuse_without_libraries(name, chosen)
    if chosen is None:
        return Unknown()
    if options.columns and chosen in ("text", "html", "docx", "xlsx", "pdf"):
        raise UserError(f"{name}: {chosen} has no columns; leave out --columns")
    if chosen == "jsonl":
        return _checked_paths(Jsonl(columns))
    if chosen == "json":
        return _checked_paths(JsonDocument(columns))
    if chosen in ("csv", "tsv"):
        header, delimiter = read_header(
            file, options.delimiter or ("\t" if chosen == "tsv" else None), options.encoding, name
        )
        wanted = options.columns or dict.fromkeys(header)
        return Table(header, columns_of(header, wanted, name), delimiter, options.encoding)
    if chosen == "parquet":
        return _bound_parquet(name, options, file)
    if chosen == "html":
        return Html(options.encoding)
    if chosen == "docx":
        return Docx()
    if chosen == "xlsx":
        return Xlsx()
    if chosen == "pdf":
        return Pdf()
    return Text(options.encoding)


def _refuse_without_libraries(name: str, chosen: FormatName | None) -> None:
    for library in _LIBRARIES.get(chosen or "", ()):
        if importlib.util.find_spec(library) is None:
            raise UserError(f"{name}: reading {chosen} needs {library}; install the extra documents")


def _checked_paths(format: Jsonl | JsonDocument) -> Format:
    from serving.files.json_text import parse_path

    for path, _ in format.paths:
        parse_path(path)
    return format


def _bound_parquet(name: str, options: Options, file: BinaryIO) -> Format:
    every, texts = read_columns(file, name)
    for column in options.columns:
        if column not in every:
            raise UserError(f"{name}: no column {column} among its {len(every)} columns")
        if column not in texts:
            raise UserError(f"{name}: the column {column} holds no texts; convert it to strings first")
    file.seek(0)
    wanted = options.columns or dict.fromkeys(texts)
    return Parquet(tuple((column, wanted[column]) for column in every if column in wanted), codec_of(file))
