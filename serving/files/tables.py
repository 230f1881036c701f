"""CSV and TSV (RFC 4180): cells that are not written keep their bytes, and so do quotes and line ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from configs.errors import UserError
from pii.patterns.labels import is_label
from serving.files.lines import MARK
from serving.files.records import (
    MAX_PIECE_BYTES,
    Check,
    Cut,
    Edit,
    Format,
    Record,
    Slot,
    applied,
    checked,
    long_line,
)

MAX_ROW_LINES = 10_000
"""A quote that is still open after so many lines was never meant to be one."""


def cell_pattern(delimiter: str) -> str:
    """A cell: quoted, with doubled quotes inside, or anything up to a delimiter or line end."""
    return rf'(?:"(?:[^"]|"")*"|(?!")[^{re.escape(delimiter)}\r\n]*)'


@dataclass(frozen=True)
class Table(Format):
    """A table with a header.

    Args:
        header: names of the columns, in order.
        columns: index of a column → entity type of its whole cells, or None where somebody has to look.
        delimiter: one ASCII character.
        encoding: one in which ASCII is ASCII.
    """

    header: tuple[str, ...]
    columns: tuple[tuple[int, str | None], ...]
    delimiter: str = ","
    encoding: str = "utf-8"
    name = "csv"

    @cached_property
    def _row(self) -> re.Pattern[bytes]:
        cell = cell_pattern(self.delimiter)
        return re.compile(rf"{cell}(?:{re.escape(self.delimiter)}{cell})*(?:\r?\n)?".encode())

    @cached_property
    def _cell(self) -> re.Pattern[str]:
        return re.compile(cell_pattern(self.delimiter))

    def pieces(self, file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
        """So many rows each; a row may go over several lines inside quotes."""
        rows: list[bytes] = []
        size = 0
        for raw, num_lines, num_bytes in _rows(file, self._row):
            if not raw:
                if rows:
                    yield Cut(b"".join(rows), line, start)
                start, line = start + num_bytes, line + num_lines
                yield Cut(b"", line, start, "row_too_long")
                rows, size = [], 0
                continue
            rows.append(raw)
            size, start, line = size + num_bytes, start + num_bytes, line + num_lines
            if len(rows) == max_rows or size >= MAX_PIECE_BYTES:
                yield Cut(b"".join(rows), line, start)
                rows, size = [], 0
        if rows:
            yield Cut(b"".join(rows), line, start)

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """A record for each row. Reasons: ``not_utf8``, ``not_decodable``, ``not_csv``, ``wrong_columns``."""
        position = 0
        while position < len(content):
            found = self._row.match(content, position)
            end = found.end() if found else position
            if end == position or (content[end - 1 : end] != b"\n" and end < len(content)):
                end = content.find(b"\n", position) + 1 or len(content)
                found = None
            raw, position = content[position:end], end
            next_line = line + max(1, raw.count(b"\n"))
            yield (
                self._record(raw, line, next_line, check)
                if found
                else Record(line, next_line, reason="not_csv")
            )
            line = next_line

    def _record(self, raw: bytes, line: int, next_line: int, check: Check) -> Record:
        try:
            text = raw.decode(self.encoding)
        except UnicodeDecodeError:
            reason = "not_utf8" if self.encoding == "utf-8" else "not_decodable"
            return Record(line, next_line, reason=reason)
        if line == 1:
            return Record(line, next_line, content=text, copied=True)
        if not text.strip("\r\n"):
            return Record(line, next_line)
        cells = self._cells(text)
        if len(cells) != len(self.header):
            return Record(line, next_line, reason="wrong_columns")
        slots, places = [], []
        for index, type in self.columns:
            start, end = cells[index]
            value = text[start:end]
            plain = value[1:-1].replace('""', '"') if value.startswith('"') else value
            plain, reason = checked(plain, check)
            if reason:
                return Record(line, next_line, reason=reason)
            name = self.header[index]
            slots.append(Slot(plain, name if is_label(name) else "", type))
            places.append((start, end))
        return Record(line, next_line, tuple(slots), content=text, layout=tuple(places))

    def _cells(self, text: str) -> list[tuple[int, int]]:
        cells, position = [], 0
        while True:
            found = self._cell.match(text, position)
            assert found is not None  # it matches the empty string
            cells.append(found.span())
            if text[found.end() : found.end() + 1] != self.delimiter:
                return cells
            position = found.end() + 1

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The row; a cell is quoted where it was, or where its new text needs it."""
        text: str = record.content
        done = sorted(
            zip(record.layout, record.slots, edits, strict=True), key=lambda one: one[0], reverse=True
        )
        for (start, end), slot, changes in done:
            if changes:
                text = text[:start] + self._quoted(applied(slot.text, changes), text[start:end]) + text[end:]
        return text.encode(self.encoding)

    def _quoted(self, new: str, old: str) -> str:
        if not old.startswith('"') and not any(char in new for char in f'"\r\n{self.delimiter}'):
            return new
        return '"' + new.replace('"', '""') + '"'


def _rows(file: BinaryIO, row: re.Pattern[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Each row with its number of lines and of bytes; one over the limit comes back empty.

    A line that opens a quote goes on until the quote closes. Where it never does, the line is given back
    alone, to be refused, and the lines behind it are rows of their own.
    """
    ahead: list[tuple[bytes, int]] = []

    def following() -> tuple[bytes, int]:
        return ahead.pop(0) if ahead else long_line(file)

    while True:
        lines = [following()]
        if not lines[0][1]:
            return
        quotes = lines[0][0].count(b'"')
        if quotes % 2 and not row.fullmatch(lines[0][0]):
            size = lines[0][1]
            while quotes % 2 and len(lines) < MAX_ROW_LINES and size < MAX_PIECE_BYTES:
                more = following()
                if not more[1]:
                    break
                lines.append(more)
                quotes, size = quotes + more[0].count(b'"'), size + more[1]
            if not row.fullmatch(b"".join(line for line, _ in lines)):
                ahead[:0] = lines[1:]
                del lines[1:]
        yield b"".join(line for line, _ in lines), len(lines), sum(size for _, size in lines)


def read_header(
    file: BinaryIO, delimiter: str | None, encoding: str, name: str
) -> tuple[tuple[str, ...], str]:
    """Names of the columns, and the delimiter: the one that was named, or that of the header.

    Raises UserError: no header, of another encoding, or a column name stands twice.
    """
    raw, _ = long_line(file)
    try:
        line = raw.removeprefix(MARK).decode(encoding).strip("\r\n")
    except UnicodeDecodeError:
        raise UserError(
            f"{name}:1: the header is not {encoding}; name the encoding with --encoding"
        ) from None
    if not line:
        raise UserError(f"{name}: no header; a table begins with the names of its columns")
    if delimiter is None:
        delimiter = ";" if "," not in line and ";" in line else ","
    cells = Table((), (), delimiter)._cells(line)
    names = tuple(line[start:end].strip().strip('"') for start, end in cells)
    if len(set(names)) != len(names):
        raise UserError(f"{name}:1: a column name stands twice")
    return names, delimiter


def columns_of(
    header: Sequence[str], chosen: Mapping[str, str | None], name: str
) -> tuple[tuple[int, str | None], ...]:
    """Places of the chosen columns. Raises UserError where there is none of the name."""
    unknown = [column for column in chosen if column not in header]
    if unknown:
        # Without the header: in a table that has none, its first line holds values.
        raise UserError(f"{name}: no column {unknown[0]} among its {len(header)} columns")
    return tuple((index, chosen[column]) for index, column in enumerate(header) if column in chosen)
