"""The gold documents of an evaluation: read with every refusal named, and sampled evenly.

A row that cannot be scored is refused with file, line and reason and counted; the others go on.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.stage import file_hash
from data_pipeline.readers.card import load_card
from data_pipeline.readers.files import Refusal, Row, list_files, read_path
from data_pipeline.readers.source import Source
from evaluation.metrics import labelled_types
from evaluation.provenance import tree_hash
from pii.errors import DataError
from pii.spans import Document
from pii.taxonomy import Taxonomy

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GoldDocument:
    """A document and its number within its set, from 1: the row that names it in predictions.

    In a JSONL file without blank lines the number is the line.
    """

    row: int
    document: Document


@dataclass(frozen=True, slots=True)
class GoldSet:
    """What a place of gold holds.

    Attributes:
        documents: those that can be scored, in the place's order.
        refused: those that cannot.
        facts: licence and label counts, where a card was read.
    """

    documents: tuple[GoldDocument, ...]
    refused: tuple[Refusal, ...]
    facts: dict[str, Any] = field(default_factory=dict)


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


def _document(row: Row | Refusal, taxonomy: Taxonomy) -> Document | Refusal:
    """A row as `pii data` writes it; a fault becomes a refusal."""
    if isinstance(row, Refusal):
        return row
    try:
        if not isinstance(row.value, dict):
            raise DataError("not a JSON object")
        return check(Document.from_row(row.value), taxonomy)
    except DataError as error:
        return Refusal(row.file, row.line, str(error))
    except (TypeError, AttributeError):
        return Refusal(row.file, row.line, "a field is of the wrong kind")


def read(path: Path, taxonomy: Taxonomy, card: str | None = None) -> GoldSet:
    """Read gold documents.

    Args:
        path: a file, or a folder of files.
        taxonomy: the known types.
        card: a source card (`data_pipeline.readers.card`): its shipped name or the path of a YAML file with
            format and label map; None: JSONL as `pii data` writes it (`Document.as_row`).

    Rows of general chat, which `pii data` may hold out for validation, have nothing to score: they are
    passed over, and logged as a count. Refused, each with its line: not JSON, not UTF-8, offsets out of the
    text, overlapping spans, a value that is not the slice that its offsets name, a type unknown or not
    labelled.

    Raises DataError: nothing is there, or a label that the card does not know.
    """
    rows = read_path(path)
    if card is None:
        return GoldSet(*_parted(_document(row, taxonomy) for row in _labelled(rows, path)))
    source = Source(path.name.split(".")[0], load_card(card), rows)
    return GoldSet(*_parted(source), source.facts())


def _labelled(rows: Iterable[Row | Refusal], path: Path) -> Iterator[Row | Refusal]:
    num_chat = 0
    for row in rows:
        value = row.value if isinstance(row, Row) else None
        if isinstance(value, dict) and "messages" in value and "text" not in value:
            num_chat += 1
        else:
            yield row
    if num_chat:
        logger.info("%s: %d rows of general chat, which have nothing to score", path, num_chat)


def _parted(
    items: Iterable[Document | Refusal],
) -> tuple[tuple[GoldDocument, ...], tuple[Refusal, ...]]:
    documents, refused = [], []
    for number, item in enumerate(items, 1):
        if isinstance(item, Refusal):
            refused.append(item)
        else:
            documents.append(GoldDocument(number, item))
    return tuple(documents), tuple(refused)


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of the files that `read` reads of a folder."""
    if path.is_file():
        return file_hash(path)
    return tree_hash((file for file, _ in list_files(path)), path)


def sample(documents: Sequence[GoldDocument], limit: int | None, seed: int) -> list[GoldDocument]:
    """At most `limit` documents, in their own order; each source and language keeps its share.

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
    return sorted(taken, key=lambda d: d.row)
