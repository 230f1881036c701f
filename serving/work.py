"""What happens to one piece of a job: read its records, look through them, write them, count.

The same in the process of the job, in a worker process and on another machine: all give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pii.errors import RequestError
from pii.redaction import LeakError
from pii.spans import Span
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.files.compression import packed
from serving.files.records import Check, Format, Record, Slot
from serving.scoring import OperatingPoint
from serving.source import Piece

COLUMN = "column"
"""Source of a span that stands for a whole value because the user named its column's type."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in one slot, small enough to travel; see `Extraction`."""

    spans: tuple[Span, ...] = ()
    suspected: tuple[Span, ...] = ()
    truncated: tuple[tuple[int, int], ...] = ()
    failure: str = ""


class Task(Protocol):
    """What is done with a record in which was looked: redacted, or written with what was found."""

    def write(self, format: Format, record: Record, seen: Sequence[Seen], counts: Counter[str]) -> bytes:
        """The record's output; adds to the counts. Raises LeakError where it must not be written."""


@dataclass(slots=True)
class Shard:
    """Records that are finished together.

    Attributes:
        file: index of the input.
        end: where the input goes on behind it.
        next_line: number of the line or row there.
        length: how much of the result it is, before compression; see `Format.length`.
        output: its part of the result.
        bad: lines for the list of bad rows.
        counts: rows, bad rows, entities by type and so on.
        consumed: bytes of the input, as it is stored, that are done with it.
    """

    file: int = 0
    end: int = 0
    next_line: int = 1
    length: int = 0
    output: bytes = field(default=b"", repr=False)
    bad: bytes = field(default=b"", repr=False)
    counts: Counter[str] = field(default_factory=Counter)
    consumed: int = 0


@dataclass(frozen=True)
class Work:
    """A job as its workers know it. It holds no open file and no engine, and can be sent to them.

    Args:
        task: what is done with a record.
        config: how texts are read.
        types: the types to look for; None for the default ones.
        point: the operating point; None: that of the configuration, if there are scores.
        names: names of the inputs, for the list of bad rows; empty where there is only one.
        keep_bad: whether a bad row stands in that list with its text.
    """

    task: Task
    config: ExtractorConfig
    types: tuple[str, ...] | None
    point: OperatingPoint | None = None
    names: tuple[str, ...] = ()
    keep_bad: bool = False

    def read(self, piece: Piece, check: Check) -> list[Record]:
        """The records of a piece."""
        cut = piece.cut
        if cut.reason:
            return [Record(piece.line, cut.next_line, reason=cut.reason)]
        return list(piece.format.records(cut.content, piece.line, check))

    def texts(self, records: Iterable[Record]) -> Iterator[str]:
        """What has to be looked through, in order."""
        for record in records:
            for slot in record.slots:
                if slot.type is None:
                    yield _heading(slot) + slot.text

    def extractions(self, texts: Iterable[str], extractor: Extractor) -> Iterator[Seen]:
        """What is found in each of the texts, in order."""
        for found in extractor.extract_all(texts, self.types, threshold=self.point, tolerant=True):
            yield seen_in(found)

    def whole(self, piece: Piece, extractor: Extractor) -> Shard:
        """Everything about one piece."""
        records = self.read(piece, extractor.check_text)
        return self.finished(piece, records, self.extractions(self.texts(records), extractor))

    def finished(self, piece: Piece, records: Sequence[Record], found: Iterable[Seen]) -> Shard:
        """The shard of a piece, from its records and what was found in their texts, in order."""
        shard = Shard(piece.file, piece.cut.end, piece.cut.next_line, consumed=piece.consumed)
        remaining, bad = iter(found), bytearray()
        written: list[tuple[Record, bytes]] = []
        length = num_rows = 0
        for record in records:
            reason, output = self.outcome(piece.format, record, remaining, shard.counts)
            if output is not None:
                written.append((record, output))
                length += len(output)
                num_rows += not record.copied
            elif reason:
                at = num_rows if piece.format.name == "parquet" else length
                bad += self._fault(piece, record, reason, at)
                shard.counts["bad_rows"] += 1
                shard.counts[f"bad: {reason}"] += 1
            else:
                shard.counts["blank_lines"] += 1
        output = (
            piece.format.assembled(piece.cut.content, written) if written or not piece.format.whole else b""
        )
        shard.length = piece.format.length(output, len(written))
        shard.output = packed(output, piece.target) if piece.format.packs else output
        shard.bad = bytes(bad)
        return shard

    def outcome(
        self, format: Format, record: Record, found: Iterator[Seen], counts: Counter[str]
    ) -> tuple[str, bytes | None]:
        """The reason why a record is bad, or its output, or neither where there is nothing to write.

        Takes from `found` what was found in the record's texts, and adds to the counts.
        """
        seen = [_in_slot(slot, found) for slot in record.slots]
        if record.reason:
            return record.reason, None
        if record.content is None:
            return "", None
        if record.copied:
            return "", format.written(record, [()] * len(record.slots), redacted=False)
        if failure := next((one.failure for one in seen if one.failure), ""):
            return f"failed: {failure}", None
        own: Counter[str] = Counter()
        try:
            output = self.task.write(format, record, seen, own)
        except LeakError:
            return "leak", None
        except UnicodeEncodeError:
            return "not_encodable", None
        except RequestError as error:
            return error.code, None
        if own:
            counts.update(own)
        counts["rows"] += 1
        counts["truncated_parts"] += sum(len(one.truncated) for one in seen)
        for one in seen:
            if one.spans:
                counts.update(span.type for span in one.spans)
        return "", output

    def _fault(self, piece: Piece, record: Record, reason: str, at: int) -> bytes:
        fault: dict[str, object] = {"file": self.names[piece.file]} if self.names else {}
        fault |= {"line": record.line, "reason": reason, "at": at}
        if record.next_line - record.line > 1 and not piece.format.whole:
            fault["last_line"] = record.next_line - 1
        if self.keep_bad and piece.format.name in ("jsonl", "csv", "text"):
            lines = piece.cut.content.split(b"\n")[record.line - piece.line : record.next_line - piece.line]
            fault["text"] = b"\n".join(lines).decode("utf-8", "backslashreplace")
        return json.dumps(fault, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def seen_in(found: Extraction) -> Seen:
    """What a task needs of an extraction."""
    return Seen(found.spans, found.suspected, found.truncated, found.failure)


def _heading(slot: Slot) -> str:
    """What a text is read with: the name of its column tells what stands in it."""
    return f"{slot.label}：" if slot.label else ""


def _in_slot(slot: Slot, found: Iterator[Seen]) -> Seen:
    """What was found in a slot, in offsets of its text."""
    if slot.type is not None:
        stripped = slot.text.strip()
        start = slot.text.find(stripped)
        whole = (Span(start, start + len(stripped), slot.type, source=COLUMN),) if stripped else ()
        return Seen(whole, whole)
    seen = next(found)
    by = len(_heading(slot))
    if not by:
        return seen
    return Seen(
        _shifted(seen.spans, by),
        _shifted(seen.suspected, by),
        tuple((max(0, start - by), end - by) for start, end in seen.truncated if end > by),
        seen.failure,
    )


def _shifted(spans: Iterable[Span], by: int) -> tuple[Span, ...]:
    return tuple(
        Span(max(0, s.start - by), s.end - by, s.type, s.subtype, s.score, s.source)
        for s in spans
        if s.end > by
    )
