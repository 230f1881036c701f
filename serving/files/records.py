"""What a format makes of a file: pieces that can be worked on apart, and in them records with texts."""

from __future__ import annotations

import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pii.errors import RequestError

Check = Callable[[object], str]
"""Returns a text that can be read, or raises RequestError: `Extractor.check_text`."""

Edit = tuple[int, int, str]
"""Start and end in a slot's text, and what takes the place."""

MAX_ROW_BYTES = 64 << 20
"""A longer row is not held in memory: it is a bad row, ``row_too_long``."""

MAX_PIECE_BYTES = 4 << 20
"""A piece ends behind the row with which it has so many bytes, however few its rows are."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One text of a record that is looked through.

    Attributes:
        text: the text.
        label: what announces it, such as the name of its column; read with it, never written.
        type: the entity type of the whole text where the user has said so; nobody has to look then.
    """

    text: str = field(repr=False)
    label: str = ""
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One unit of a job: a row, a block of text, a document.

    Attributes:
        line: number of its first line or row, from 1.
        next_line: number of the one after it.
        slots: what to look through.
        reason: why the record is bad; empty for a good one.
        content: what the format needs to write it again; None: there is nothing to write (a blank line).
        layout: where the slots stand in the content, in the format's own terms.
        copied: whether it is written as it stands and is no row of the job, such as a table's header.
    """

    line: int
    next_line: int
    slots: tuple[Slot, ...] = ()
    reason: str = ""
    content: Any = field(default=None, repr=False)
    layout: Any = field(default=(), repr=False)
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a file that holds whole records.

    Attributes:
        content: its bytes, in a form of the format's own.
        next_line: number of the line or row behind it.
        end: where reading goes on behind it: a byte offset of the decompressed file, or a row.
        reason: why the whole of it is one bad record; empty where it is not.
        consumed: bytes of the stored file up to its end, where the format knows better than the file.
    """

    content: bytes = field(repr=False)
    next_line: int
    end: int
    reason: str = ""
    consumed: int | None = None


class Format(ABC):
    """How one file is cut into records and written back. Frozen, and small enough to travel with a piece."""

    name: str
    whole: bool = False
    """Whether a file is one record, so that a bad record leaves no file."""
    skips: bool = True
    """Whether a file is moved to the byte where reading goes on; otherwise the format finds the place."""
    packs: bool = True
    """Whether results are compressed where the name of the output says so."""
    irreversible: str = ""
    """Why what was sealed in a result does not open again; empty where it does."""

    @abstractmethod
    def pieces(self, file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
        """Cut a file from a place on where a piece ended, `start` = 0 and `line` = 1 for its beginning.

        The cuts depend on the file and `max_rows` alone, wherever one begins.
        """

    @abstractmethod
    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """The records of a piece; `line` is the number of its first one."""

    @abstractmethod
    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """A good record with edits for each of its slots.

        Args:
            record: a record with a content.
            edits: for each slot: apart from each other, in order.
            redacted: whether what else tells of the texts has to go (old ``entities``, metadata).
        """

    def assembled(self, content: bytes, written: Sequence[tuple[Record, bytes]]) -> bytes:
        """The output of a piece from those of its records that are written."""
        return b"".join(part for _, part in written)

    def length(self, output: bytes, num_records: int) -> int:
        """How much of the result a piece's output makes up, in the unit in which `insert` counts."""
        return len(output)

    def join(self, parts: Iterable[BinaryIO], target: BinaryIO) -> None:
        """Write the finished outputs of all pieces as one; each is read before the next is asked for."""
        for part in parts:
            shutil.copyfileobj(part, target, 1 << 20)

    def insert(self, old: BinaryIO, parts: Iterable[tuple[int, bytes]], target: io.RawIOBase) -> None:
        """Write a result with further parts in it.

        Args:
            old: the result, decompressed.
            parts: place in it, in the unit of `length`, and what `assembled` made; in order.
            target: the new result.
        """
        position = 0
        for at, part in parts:
            _copy(old, target, at - position)
            position = at
            target.write(part)
        while block := old.read(MAX_PIECE_BYTES):
            target.write(block)


def _copy(source: BinaryIO, target: io.RawIOBase, num_bytes: int) -> None:
    while num_bytes and (block := source.read(min(num_bytes, MAX_PIECE_BYTES))):
        target.write(block)
        num_bytes -= len(block)


def applied(text: str, edits: Iterable[Edit]) -> str:
    """A text with its edits."""
    pieces: list[str] = []
    copied = 0
    for start, end, new in edits:
        pieces += [text[copied:start], new]
        copied = end
    pieces.append(text[copied:])
    return "".join(pieces)


def checked(text: object, check: Check) -> tuple[str, str]:
    """A text and no reason, or no text and the reason why it cannot be read."""
    try:
        return check(text), ""
    except RequestError as error:
        return "", error.code


def long_line(file: BinaryIO) -> tuple[bytes, int]:
    """The next line with its end, and how many bytes it has; a line over the limit comes back empty."""
    raw = file.readline(MAX_ROW_BYTES)
    size = len(raw)
    if size < MAX_ROW_BYTES or raw.endswith(b"\n"):
        return raw, size
    while more := file.readline(MAX_ROW_BYTES):
        size += len(more)
        if more.endswith(b"\n"):
            break
    return b"", size
