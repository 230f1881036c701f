"""A source: a card and a place, read as documents in our types, with everything that was refused."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from data_pipeline.readers.card import SourceCard
from data_pipeline.readers.files import Refusal, Row
from data_pipeline.readers.formats import READERS, RowError
from data_pipeline.readers.labels import LabelMap
from data_pipeline.readers.offsets import prove
from pii.errors import DataError
from pii.spans import Document, Span, is_unicode


class Source:
    """One labelled source, read once from front to back.

    Attributes:
        name: the source's name in the recipe; becomes `Document.source`.
        card: what is known of it.
        counting: way of counting offsets → rows that were written in it.
    """

    def __init__(self, name: str, card: SourceCard, rows: Iterable[Row | Refusal]) -> None:
        """Read rows by a card.

        Args:
            name: the source's name in the recipe.
            card: what is known of it.
            rows: its rows, from `files.read_path` or `files.read_hub`.
        """
        self.name, self.card = name, card
        self._rows = rows
        self._labels = LabelMap(card)
        self.counting: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Document | Refusal]:
        """Documents, and refusals for the rows that are none.

        Raises DataError: the place of the rows cannot be read, or, once all are read, the card does not know
        a label.
        """
        for row in self._rows:
            if isinstance(row, Refusal):
                yield row
                continue
            try:
                yield self._document(row)
            except RowError as error:
                yield Refusal(row.file, row.line, str(error))
        self.require_known_labels()

    def require_known_labels(self) -> None:
        """Raises DataError where the card does not know a label that was met; for who stops reading early."""
        if self._labels.unknown:
            listed = ", ".join(f"{label} ({count})" for label, count in self._labels.unknown.most_common())
            raise DataError(
                f"source {self.name}: labels that its card does not know: {listed}; "
                "map them under labels or groups, or name them with a reason under dropped"
            )

    def facts(self) -> dict[str, Any]:
        """What was met, for the source's card in the manifest: labels and ways of counting offsets."""
        return {
            "title": self.card.title,
            "origin": self.card.origin,
            "licence": self.card.licence,
            "licence_class": self.card.licence_class,
            "labels": dict(sorted(self._labels.met.items())),
            "label_map": {label: self._labels.becomes(label) for label in sorted(self._labels.met)},
            "notes": self.card.notes,
            "offsets": dict(sorted(self.counting.items())),
        }

    def _document(self, row: Row) -> Document:
        labelled = READERS[self.card.format](row.value, self.card)
        text = labelled.text
        if not text.strip():
            raise RowError("empty_text")
        if not is_unicode(text):
            raise RowError("lone_surrogate")
        proven = prove(text, labelled.claims)
        if proven is None:
            raise RowError("offset_mismatch")
        counting, claims = proven
        in_order = sorted(claims, key=lambda claim: (claim.start, claim.end))
        if any(left.end > right.start for left, right in itertools.pairwise(in_order)):
            raise RowError("overlapping_spans")
        spans = self._labels.spans(text, claims)
        if self.card.unlabelled_repeats == "refuse" and _has_unlabelled_repeat(text, spans):
            raise RowError("value_repeats_unlabelled")
        self.counting[counting] += 1
        return Document(
            text=text,
            spans=spans,
            id=f"{self.name}/{row.file}:{row.line}",
            source=self.name,
            language=labelled.language or self.card.language,
            types=self.card.types if labelled.types is None else tuple(labelled.types),
        )


def _has_unlabelled_repeat(text: str, spans: Sequence[Span]) -> bool:
    """Whether a labelled value stands elsewhere in the text as a word of its own, unlabelled."""
    for value in {span.value(text) for span in spans}:
        position = text.find(value)
        while position >= 0:
            end = position + len(value)
            inside = any(s.start < end and position < s.end for s in spans)
            word = not (text[position - 1 : position].isalnum() or text[end : end + 1].isalnum())
            if not inside and word:
                return True
            position = text.find(value, position + 1)
    return False
