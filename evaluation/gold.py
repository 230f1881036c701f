"""The gold documents of an evaluation: read with every refusal named, and sampled evenly.

A row that cannot be scored is refused with file, line and reason and counted; the others go on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evaluation.metrics import labelled_types
from pii.errors import DataError
from pii.spans import Document
from pii.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not scored; never its text."""

    file: str
    line: int
    reason: str

    def as_json(self) -> dict[str, str | int]:
        """One line of ``refused.jsonl``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class GoldDocument:
    """A document and the line of its file, which names it in predictions and error lists."""

    line: int
    document: Document


@dataclass(frozen=True, slots=True)
class GoldSet:
    """What a file of gold holds: `documents` in the file's order, and what was `refused`."""

    documents: tuple[GoldDocument, ...]
    refused: tuple[Refusal, ...]


def check(document: Document, taxonomy: Taxonomy) -> Document:
    """Refuse gold that no detector could be held to: raises DataError with the kind of fault."""
    if any(name not in taxonomy for name in document.types or ()):
        raise DataError("types names a type that the taxonomy does not know")
    known = labelled_types(document, taxonomy)
    for span in document.spans:
        if span.type not in taxonomy:
            raise DataError(f"the span {span.start}-{span.end} is of an unknown type")
        if span.type not in known:
            raise DataError(f"the span {span.start}-{span.end} is of a type that the row does not label")
    return document


def _rows(path: Path, taxonomy: Taxonomy) -> Iterator[GoldDocument | Refusal]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError("not a JSON object")
                yield GoldDocument(number, check(Document.from_row(row), taxonomy))
            except DataError as error:
                yield Refusal(str(path), number, str(error))
            except UnicodeDecodeError:
                yield Refusal(str(path), number, "not UTF-8")
            except ValueError:
                yield Refusal(str(path), number, "not JSON")
            except (TypeError, AttributeError):
                yield Refusal(str(path), number, "a field is of the wrong kind")


def gather(rows: Iterable[GoldDocument | Refusal]) -> GoldSet:
    """Part the good rows from the refused ones."""
    read = list(rows)
    return GoldSet(
        tuple(row for row in read if isinstance(row, GoldDocument)),
        tuple(row for row in read if isinstance(row, Refusal)),
    )


def read(path: Path, taxonomy: Taxonomy) -> GoldSet:
    """Read a JSONL file of documents (`Document.as_row`).

    Refused, each with its line: not JSON, not UTF-8, offsets out of the text, overlapping spans, a value that
    is not the slice that its offsets name, a type unknown or not labelled. Raises DataError: no such file.
    """
    try:
        return gather(_rows(path, taxonomy))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__})") from None


def sample(documents: Sequence[GoldDocument], limit: int | None, seed: int) -> list[GoldDocument]:
    """At most `limit` documents, in the file's order; each source and language keeps its share.

    Systematic sampling: within each source and language the order is drawn by the seed, and then every k-th
    document is taken from a random start. The same documents, limit and seed give the same sample.
    """
    if limit is None or len(documents) <= limit:
        return list(documents)
    generator = random.Random(seed)
    drawn = [(d.document.source, d.document.language, generator.random(), d) for d in documents]
    drawn.sort(key=lambda entry: entry[:3])
    start, step = generator.random(), len(documents) / limit
    taken = [drawn[int((start + index) * step)][3] for index in range(limit)]
    return sorted(taken, key=lambda d: d.line)
