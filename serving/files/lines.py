"""Files of lines: JSONL and plain text (Markdown among it).

A JSONL row keeps its bytes: key order, number formats, escapes and spaces of everything that the job does not
write stay as they are. Lines end at a line feed alone; U+2028 and its like are part of a line.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pii.errors import RequestError
from serving.files.json_text import Found, Selection, edited, parse_path
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

BLOCK_CHARS = 4000
"""Plain text is read in blocks of whole lines of about this many code points: enough context for a name that
is broken over two lines, and bounded memory for a file of any size."""

TEXT_PATH = parse_path("text")
MARK = b"\xef\xbb\xbf"


def cut_lines(file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
    """Pieces of whole lines from the file's present place, which is `start`."""
    lines: list[bytes] = []
    size, begin = 0, start
    while True:
        raw, num_bytes = long_line(file)
        if not num_bytes:
            break
        if not raw:
            if lines:
                yield Cut(b"".join(lines), line, begin)
            begin, line = begin + num_bytes, line + 1
            yield Cut(b"", line, begin, "row_too_long")
            lines, size = [], 0
            continue
        lines.append(raw)
        size, begin, line = size + num_bytes, begin + num_bytes, line + 1
        if len(lines) == max_rows or size >= MAX_PIECE_BYTES:
            yield Cut(b"".join(lines), line, begin)
            lines, size = [], 0
    if lines:
        yield Cut(b"".join(lines), line, begin)


@dataclass(frozen=True)
class Jsonl(Format):
    """One JSON object a line.

    Args:
        paths: what to look through; empty: the member ``text``, which every row has to have.
        repeats: whether an object may have two members of one name; see `Selection.find`.
    """

    paths: tuple[tuple[str, str | None], ...] = ()
    repeats: bool = False
    name = "jsonl"

    def pieces(self, file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
        """So many lines each."""
        return cut_lines(file, start, line, max_rows)

    def _selection(self) -> Selection:
        if not self.paths:
            return Selection({TEXT_PATH: None}, strict=True)
        paths = {parse_path(path): type for path, type in self.paths}
        return Selection(paths, strict=False, repeats=self.repeats)

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """A record for each line; blank ones have no content.

        Reasons: ``not_utf8``, ``not_json``, ``not_object``, ``no_text``, ``repeated_key`` and the codes of
        `Extractor.check_text`.
        """
        selection = self._selection()
        for number, raw in enumerate(io.BytesIO(content), line):
            yield _record(raw.removeprefix(MARK) if number == 1 else raw, number, selection, check)

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The line; entities that an earlier extraction wrote beside the text become an empty list.

        They would give away what is taken out of it.
        """
        found: Found = record.layout
        told = redacted and "entities" in found.keys
        return edited(record.content, found, edits, {"entities": []} if told else {}).encode()

    def annotated(self, record: Record, values: Mapping[str, object]) -> bytes:
        """The line with further members; those of the same names are replaced."""
        found: Found = record.layout
        return edited(record.content, found, [()] * len(found.slots), values).encode()


def _record(raw: bytes, number: int, selection: Selection, check: Check) -> Record:
    try:
        content = raw.decode("utf-8")
        if not (begin := content.lstrip(" \t\r\n")):
            return Record(number, number + 1)
        if not begin.startswith("{"):
            Selection({(): None}, strict=False).find(content, lambda text: str(text))
            return Record(number, number + 1, reason="not_object")
        found = selection.find(content, check)
    except UnicodeDecodeError:
        return Record(number, number + 1, reason="not_utf8")
    except RequestError as error:
        return Record(number, number + 1, reason=error.code)
    return Record(number, number + 1, found.slots, content=content, layout=found)


@dataclass(frozen=True)
class Text(Format):
    """Plain text in blocks of whole lines; marks of Markdown are text like any other, and stay.

    Args:
        encoding: one in which ASCII is ASCII, so that lines end at a line feed byte.
    """

    encoding: str = "utf-8"
    name = "text"

    def pieces(self, file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
        """About as many blocks each, cut behind a blank line where there is one in reach."""
        most = min(max_rows * BLOCK_CHARS, MAX_PIECE_BYTES)
        lines: list[bytes] = []
        size = 0
        while True:
            raw, num_bytes = long_line(file)
            if raw:
                lines.append(raw)
            size, start, line = size + num_bytes, start + num_bytes, line + bool(num_bytes)
            if num_bytes and not raw:
                if lines:
                    yield Cut(b"".join(lines), line - 1, start - num_bytes)
                yield Cut(b"", line, start, "row_too_long")
                lines, size = [], 0
            elif lines and (not raw or size >= most or (size >= most // 2 and not raw.strip())):
                yield Cut(b"".join(lines), line, start)
                lines, size = [], 0
            if not num_bytes:
                return

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """Blocks that end behind a line: at a blank one once half full, or when full.

        A line that is not of the encoding is a bad record of its own.
        """
        lines: list[str] = []
        num_chars, first = 0, line
        for number, raw in enumerate(io.BytesIO(content), line):
            try:
                decoded = raw.decode(self.encoding)
            except UnicodeDecodeError:
                if lines:
                    yield _block(lines, first, check)
                reason = "not_utf8" if self.encoding == "utf-8" else "not_decodable"
                yield Record(number, number + 1, reason=reason)
                lines, num_chars, first = [], 0, number + 1
                continue
            if lines and num_chars + len(decoded) > BLOCK_CHARS:
                yield _block(lines, first, check)
                lines, num_chars, first = [], 0, number
            lines.append(decoded)
            num_chars += len(decoded)
            if num_chars >= BLOCK_CHARS or (num_chars >= BLOCK_CHARS // 2 and not decoded.strip()):
                yield _block(lines, first, check)
                lines, num_chars, first = [], 0, number + 1
        if lines:
            yield _block(lines, first, check)

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The block."""
        return applied(record.content, edits[0]).encode(self.encoding)


def _block(lines: Sequence[str], first: int, check: Check) -> Record:
    content, reason = checked("".join(lines), check)
    if reason:
        return Record(first, first + len(lines), reason=reason)
    return Record(first, first + len(lines), (Slot(content),), content=content)
