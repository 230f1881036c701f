"""JSON files that are one document: what paths lead to is looked through, all else keeps its bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pii.errors import RequestError
from serving.files.json_text import Path, Selection, edited, parse_path
from serving.files.lines import MARK
from serving.files.records import Check, Cut, Edit, Format, Record

MAX_DOCUMENT_BYTES = 256 << 20
"""A document is held in memory whole: a larger one is refused by name, ``document_too_large``."""


class WholeFile(Format):
    """A format whose file is one record."""

    whole = True
    skips = False

    def pieces(self, file: BinaryIO, start: int, line: int, max_rows: int) -> Iterator[Cut]:
        """The file."""
        if start:
            return
        content = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(content) > MAX_DOCUMENT_BYTES:
            yield Cut(b"", 2, len(content), "document_too_large")
        else:
            yield Cut(content, 2, max(1, len(content)))


@dataclass(frozen=True)
class JsonDocument(WholeFile):
    """One JSON value.

    Args:
        paths: what to look through → entity type of whole values, or None where somebody has to look.
            Empty: every string and number.
        repeats: whether an object may have two members of one name; see `Selection.find`.
    """

    paths: tuple[tuple[str, str | None], ...] = ()
    repeats: bool = False
    name = "json"

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """The document. Reasons: as for JSONL."""
        chosen: dict[Path, str | None] = {parse_path(path): type for path, type in self.paths} or {(): None}
        try:
            text = content.removeprefix(MARK).decode("utf-8")
            found = Selection(chosen, strict=False, repeats=self.repeats).find(text, check)
        except UnicodeDecodeError:
            yield Record(1, 2, reason="not_utf8")
        except RequestError as error:
            yield Record(1, 2, reason=error.code)
        else:
            yield Record(1, 2, found.slots, content=text, layout=found)

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The document with its new texts."""
        return edited(record.content, record.layout, edits, {}).encode()
