"""The error browser's material: documents where detector and gold differ, cut into marked pieces.

It holds text. It is made only where a recipe asks for it, for data that may be shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation import matching
from evaluation.metrics import Case, error_kind
from pii.spans import Span


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters with the same marks; `gold` and `predicted` are types, empty for none."""

    text: str
    gold: str
    predicted: str

    def __repr__(self) -> str:
        return f"Piece(num_chars={len(self.text)}, gold={self.gold!r}, predicted={self.predicted!r})"


@dataclass(frozen=True, slots=True)
class Example:
    """One document with at least one error.

    Attributes:
        id: of the document.
        pieces: the whole text, in order.
        faults: its errors as (kind, type), sorted, each once; where two types are confused, one of each.
    """

    id: str
    pieces: tuple[Piece, ...]
    faults: tuple[tuple[str, str], ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of error in it, sorted."""
        return tuple(sorted({kind for kind, _ in self.faults}))


def pieces(text: str, gold: Sequence[Span], predicted: Sequence[Span]) -> tuple[Piece, ...]:
    """Cut a text at every end of a span; joined, the pieces are the text."""
    cuts = sorted({0, len(text), *(end for span in (*gold, *predicted) for end in (span.start, span.end))})
    return tuple(
        Piece(text[start:end], _type_at(gold, start), _type_at(predicted, start))
        for start, end in itertools.pairwise(cuts)
    )


def _type_at(spans: Sequence[Span], position: int) -> str:
    return next((span.type for span in spans if span.start <= position < span.end), "")


def examples(cases: Iterable[Case], limit: int) -> list[Example]:
    """The first `limit` documents that hold an error."""
    found: list[Example] = []
    for case in cases:
        if len(found) == limit:
            break
        faults = _faults(case)
        if faults:
            cut = pieces(case.document.text, case.document.spans, case.predicted)
            found.append(Example(case.document.id, cut, tuple(sorted(faults))))
    return found


def _faults(case: Case) -> set[tuple[str, str]]:
    faults: set[tuple[str, str]] = set()
    for component in matching.components(case.document.spans, case.predicted):
        paired = matching.pairs(component, matching.LIKENESS)
        for gold, predicted, _ in paired:
            if (kind := error_kind(gold, predicted)) != "correct":
                faults |= {(kind, gold.type), (kind, predicted.type)}
        for kind, spans, partners in (
            ("missed", component.gold, [gold for gold, _, _ in paired]),
            ("spurious", component.predicted, [predicted for _, predicted, _ in paired]),
        ):
            faults |= {(kind, span.type) for span in spans if span not in partners}
    return faults
