"""The rows of a batch job: reading JSONL and plain text so that nothing but the asked-for part changes.

A JSONL row keeps its bytes: key order, number formats, escapes and spaces of everything that the job does not
write stay as they are. Lines end at a line feed alone; U+2028 and its like are part of a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from pii.errors import RequestError

BLOCK_CHARS = 4000
"""Plain text is read in blocks of whole lines of about this many code points: enough context for a name that
is broken over two lines, and bounded memory for a file of any size."""


Members = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One unit of a job.

    Attributes:
        line: number of its first line, from 1.
        next_line: number of the line after it.
        end: byte offset of the input after it.
        content: the line or block as it stands; empty for a bad row.
        text: what to look through; None where there is nothing to look through.
        reason: why the row is bad; empty for a good one or a blank line.
        members: of a JSON object: key, and start and end of its value, for each top-level member.
    """

    line: int
    next_line: int
    end: int
    content: str = field(default="", repr=False)
    text: str | None = field(default=None, repr=False)
    reason: str = ""
    members: Members = field(default=(), repr=False)


Check = Callable[[object], str]
"""Returns a text that can be read, or raises RequestError: `Extractor.check_text`."""


def read_jsonl(file: BinaryIO, check: Check, *, line: int = 1) -> Iterator[Row]:
    """Rows of a JSONL file from its present position, which is the start of line `line`.

    Blank lines are rows without text and without reason. Reasons: ``not_utf8``, ``not_json``, ``not_object``,
    ``no_text``, ``repeated_key`` and the codes of `Extractor.check_text`.
    """
    end = file.tell() if file.seekable() else 0
    for number, raw in enumerate(file, line):
        end += len(raw)
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            content = raw.decode("utf-8").strip(" \t\r\n")
            text, members = _read_object(content, check) if content else (None, ())
        except UnicodeDecodeError:
            yield Row(number, number + 1, end, reason="not_utf8")
        except RequestError as error:
            yield Row(number, number + 1, end, reason=error.code)
        else:
            yield Row(number, number + 1, end, content, text, members=members)


def read_text(file: BinaryIO, check: Check, *, line: int = 1) -> Iterator[Row]:
    """Blocks of a plain text file from its present position, which is the start of line `line`.

    A block ends behind a line: at a blank one once it is half full, or when it is full. A line that is not
    UTF-8 is a bad row of its own.
    """
    end = file.tell() if file.seekable() else 0
    lines: list[str] = []
    num_chars, first = 0, line

    def block(next_line: int, at: int) -> Row:
        content = "".join(lines)
        try:
            return Row(first, next_line, at, content, check(content))
        except RequestError as error:
            return Row(first, next_line, at, reason=error.code)

    for number, raw in enumerate(file, line):
        try:
            decoded = raw.decode("utf-8")
        except UnicodeDecodeError:
            if lines:
                yield block(number, end)
            end += len(raw)
            yield Row(number, number + 1, end, reason="not_utf8")
            lines, num_chars, first = [], 0, number + 1
            continue
        if lines and num_chars + len(decoded) > BLOCK_CHARS:
            yield block(number, end)
            lines, num_chars, first = [], 0, number
        end += len(raw)
        lines.append(decoded)
        num_chars += len(decoded)
        if num_chars >= BLOCK_CHARS or (num_chars >= BLOCK_CHARS // 2 and not decoded.strip()):
            yield block(number + 1, end)
            lines, num_chars, first = [], 0, number + 1
    if lines:
        yield block(first + len(lines), end)


def splice(row: Row, values: Mapping[str, object]) -> str:
    """A JSONL row's line with some top-level members replaced or, where absent, appended.

    Args:
        row: a good row of `read_jsonl`.
        values: key → new value, written as JSON.
    """
    line, places = row.content, {key: (start, end) for key, start, end in row.members}
    edits = [(*places[key], _dump(value)) for key, value in values.items() if key in places]
    closing = len(line) - 1
    added = "".join(f", {_dump(key)}: {_dump(value)}" for key, value in values.items() if key not in places)
    for start, end, new in sorted([*edits, (closing, closing, added)], reverse=True):
        line = line[:start] + new + line[end:]
    return line


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refuse(_: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


# Numbers are not converted: they are copied as they stand, and may have thousands of digits.
_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_refuse)
_SPACE = re.compile(r"[ \t\r\n]*")


def _read_object(content: str, check: Check) -> tuple[str, Members]:
    """Text and members of a JSON object; raises RequestError with the row's reason."""
    try:
        row = _DECODER.decode(content)
        members = tuple(_members(content)) if isinstance(row, dict) else ()
    except (ValueError, RecursionError):
        raise RequestError("not_json", "line", "not JSON") from None
    if not isinstance(row, dict):
        raise RequestError("not_object", "line", "not a JSON object")
    if "text" not in row:
        raise RequestError("no_text", "line", "no member text")
    # Of two members of one name a reader takes either one: what was removed from one may stand in the other.
    if len(members) != len(row):
        raise RequestError("repeated_key", "line", "a key stands twice")
    return check(row["text"]), members


def _members(line: str) -> Iterable[tuple[str, int, int]]:
    """Key, and start and end of the value, of each top-level member of a JSON object."""

    def after_space(position: int) -> int:
        match = _SPACE.match(line, position)
        assert match is not None
        return match.end()

    position = after_space(after_space(0) + 1)
    while line[position] != "}":
        key, position = _DECODER.raw_decode(line, position)
        start = after_space(after_space(position) + 1)
        _, end = _DECODER.raw_decode(line, start)
        yield key, start, end
        position = after_space(end)
        if line[position] == ",":
            position = after_space(position + 1)
