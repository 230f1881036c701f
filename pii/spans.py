"""`Span` and `Document`: the values that every room passes around.

Offsets are Unicode code points of the *original* text, half-open: ``text[start:end]`` is the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pii.errors import DataError


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8, i.e. holds no lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One mention of an entity: ``text[start:end]`` is of this type.

    Two spans are equal when they mark the same characters with the same type.

    Attributes:
        start: first code point.
        end: one past the last code point.
        type: a name of the taxonomy, such as ``PERSON_NAME``.
        subtype: country or issuer, such as ``cn_resident_id``; set by a validator.
        score: how likely the span is right, 0 to 1; None where nobody measured it.
        source: who found it: ``model``, ``tagger``, ``pattern``, or several joined by ``+``; None for gold.
    """

    start: int
    end: int
    type: str
    subtype: str | None = field(default=None, compare=False)
    score: float | None = field(default=None, compare=False)
    source: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse offsets that cannot be a span and a score that is no probability."""
        if not 0 <= self.start < self.end:
            raise DataError(f"span {self.start}-{self.end}: expected 0 <= start < end")
        if self.score is not None and not 0 <= self.score <= 1:
            raise DataError(f"span {self.start}-{self.end}: expected a score from 0 to 1")

    def __len__(self) -> int:
        return self.end - self.start

    def overlaps(self, other: Span) -> bool:
        """Whether the two share at least one character; neighbours do not."""
        return self.start < other.end and other.start < self.end

    def value(self, text: str) -> str:
        """The slice of the text that the span covers."""
        return text[self.start : self.end]

    def as_entity(self, text: str) -> dict[str, Any]:
        """The span in the shape of the API: ``{"type", "value", "start", "end"}``."""
        return {"type": self.type, "value": self.value(text), "start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its labelled spans, sorted and without overlap.

    Attributes:
        text: the original text; never shown by repr.
        spans: gold or predicted mentions, in order.
        id: stable name of the document within its source.
        source: where it comes from, such as ``msra`` or ``synthetic``.
        language: ``zh``, ``en``, ``mixed`` or another BCP-47 primary tag.
        types: the entity types that were labelled here. A type outside is *unknown*, not absent. None
            stands for the default types of the taxonomy.
        meta: further facts for slices of a report (form, carrier, domain, template); never text.
    """

    text: str = field(repr=False)
    spans: tuple[Span, ...] = ()
    id: str = ""
    source: str = ""
    language: str = ""
    types: tuple[str, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Refuse spans that are out of the text, out of order or overlapping."""
        if not is_unicode(self.text):
            raise DataError(f"document {self.id}: the text holds a lone surrogate")
        end = 0
        for span in self.spans:
            if span.start < end:
                raise DataError(f"document {self.id}: spans overlap or are unsorted at {span.start}")
            end = span.end
        if end > len(self.text):
            raise DataError(f"document {self.id}: a span ends at {end}, the text at {len(self.text)}")

    def as_row(self) -> dict[str, Any]:
        """The JSON object of this document's line in a JSONL file."""
        row: dict[str, Any] = {
            "id": self.id,
            "source": self.source,
            "language": self.language,
            "text": self.text,
            "entities": [span.as_entity(self.text) for span in self.spans],
        }
        if self.types is not None:
            row["types"] = list(self.types)
        if self.meta:
            row["meta"] = dict(self.meta)
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of `as_row`; each value has to be the slice that its offsets name.

        Raises DataError: a key is missing, of a wrong type, or an offset does not match.
        """
        text, entities = row.get("text"), row.get("entities", [])
        types, meta = row.get("types"), row.get("meta")
        name = _word(row, "id")
        if not isinstance(text, str):
            raise DataError(f"document {name}: text is missing or not a string")
        if not isinstance(entities, list):
            raise DataError(f"document {name}: entities is not a list")
        if types is not None and not (isinstance(types, list) and all(isinstance(t, str) for t in types)):
            raise DataError(f"document {name}: types is not a list of strings")
        if not isinstance(meta, dict | None):
            raise DataError(f"document {name}: meta is not an object")
        spans = []
        for index, entity in enumerate(entities):
            if not isinstance(entity, dict):
                raise DataError(f"document {name}: entities[{index}] is not an object")
            start, end, kind = entity.get("start"), entity.get("end"), entity.get("type")
            if type(start) is not int or type(end) is not int or not isinstance(kind, str):
                raise DataError(f"document {name}: entities[{index}] needs type, start and end")
            span = Span(start, end, kind)
            if "value" in entity and entity["value"] != span.value(text):
                raise DataError(f"document {name}: entities[{index}].value is not text[{start}:{end}]")
            spans.append(span)
        return cls(
            text=text,
            spans=tuple(sorted(spans)),
            id=name,
            source=_word(row, "source"),
            language=_word(row, "language"),
            types=tuple(types) if types is not None else None,
            meta=meta or {},
        )


def _word(row: Mapping[str, Any], key: str) -> str:
    """A short field of a row; absent and null are the empty string, numbers are written out."""
    value = row.get(key)
    return "" if value is None else str(value)


def read_documents(path: Path) -> Iterator[Document]:
    """Read a JSONL file of documents; blank lines are no rows.

    Raises DataError with file and line at the first bad row, and where the file cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__})") from None
    with file:
        # Bytes, since a line that is not UTF-8 has to be named like any other bad row.
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    document = _document(line)
                except DataError as error:
                    raise DataError(f"{path}:{number}: {error}") from None
                yield document


def _document(line: bytes) -> Document:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise DataError("not JSON") from None
    if not isinstance(row, dict):
        raise DataError("not a JSON object")
    return Document.from_row(row)
