"""From documents and predictions to counts: one number per document and type, from which every rate follows.

`tabulate` reads each document once. What comes out are arrays over (documents, types), so that a slice is a
choice of rows, a type a choice of columns, and an interval a resampling of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation import matching, tokens
from evaluation.intervals import Column, Ratio
from evaluation.matching import Component, Mode
from pii.spans import Document, Span
from pii.taxonomy import Taxonomy

Cells = NDArray[np.int32]
"""(documents, types), or (documents, 1) for what is blind to types; halves are stored doubled."""


@dataclass(frozen=True, slots=True)
class Case:
    """One document and what a detector found in it; both in any order of spans."""

    document: Document
    predicted: tuple[Span, ...]


def labelled_types(document: Document, taxonomy: Taxonomy) -> frozenset[str]:
    """The types that are known of a document: only they are asked for and scored."""
    return frozenset(taxonomy.default_types if document.types is None else document.types)


def precision(correct: Column, predicted: Column) -> Ratio:
    """Share of the predicted spans that are right."""
    return Ratio(correct, predicted)


def recall(correct: Column, gold: Column) -> Ratio:
    """Share of the gold spans that were found."""
    return Ratio(correct, gold)


def f1(correct: Column, gold: Column, predicted: Column) -> Ratio:
    """Harmonic mean of the two; not defined only where there is neither gold nor prediction."""
    return Ratio(2 * correct, gold + predicted)


@dataclass(frozen=True, slots=True)
class Tally:
    """Right, there and said, in spans, characters or tokens, per document and type.

    Attributes:
        correct: credit earned, doubled (partial credit is a half).
        gold: how many there are to find.
        predicted: how many were said.
    """

    correct: Cells
    gold: Cells
    predicted: Cells

    def rates(self, rows: NDArray[np.bool_], columns: Sequence[int] | None = None) -> dict[str, Ratio]:
        """Precision, recall and F1 over some documents, of some types or of all, counted together (micro)."""
        doubled, gold, predicted = (
            np.where(rows, (cells if columns is None else cells[:, columns]).sum(axis=1), 0).astype(
                np.float32
            )
            for cells in (self.correct, self.gold, self.predicted)
        )
        correct: Column = doubled * np.float32(0.5)
        return {
            "precision": precision(correct, predicted),
            "recall": recall(correct, gold),
            "f1": f1(correct, gold, predicted),
        }


@dataclass(frozen=True, slots=True)
class Tables:
    """All counts of one detector on one set of documents.

    Attributes:
        types: names of the columns.
        spans: mode → tally of spans; blind modes have one column.
        verdicts: mode → how often each verdict of SemEval-2013 fell.
        characters: tally of characters.
        tokens: tally of tokens, as `evaluation.tokens` has them.
        confusion: (gold type or "", predicted type or "") → count; "" stands for no partner.
        errors: kind of error → count.
        leaked_characters: gold characters that no prediction of any type covers.
        touched_values: gold spans of which at least one character is left.
        whole_values: gold spans whose whole value is still readable.
        false_alarms: predicted spans that touch no gold character, per document and predicted type.
        num_chars: length of each document, in code points.
        num_out_of_scope: predictions of types that were not labelled in their document: left out.
    """

    types: tuple[str, ...]
    spans: dict[str, Tally]
    verdicts: dict[str, Counter[str]]
    characters: Tally
    tokens: Tally
    confusion: Counter[tuple[str, str]]
    errors: Counter[str]
    leaked_characters: Cells
    touched_values: Cells
    whole_values: Cells
    false_alarms: Cells
    num_chars: Column
    num_out_of_scope: int


@dataclass
class _Sums:
    """Adds weights to cells of an array that is made once all is known."""

    cells: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)

    def add(self, cell: int, weight: int = 1) -> None:
        self.cells.append(cell)
        self.weights.append(weight)

    def array(self, rows: int, columns: int) -> Cells:
        at = np.asarray(self.cells, dtype=np.int64)
        summed = np.bincount(at, weights=self.weights or None, minlength=rows * columns)
        return summed.astype(np.int32).reshape(rows, columns)


def union(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """The ranges of characters that the spans cover together: sorted, apart from each other."""
    merged: list[tuple[int, int]] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        else:
            merged.append((span.start, span.end))
    return merged


def covered(start: int, end: int, ranges: Sequence[tuple[int, int]]) -> int:
    """How many characters of ``start:end`` lie in the ranges, which are apart from each other."""
    return sum(max(0, min(end, last) - max(start, first)) for first, last in ranges)


def remainder(text: str, ranges: Sequence[tuple[int, int]]) -> str:
    """What redaction leaves of a text: each covered range becomes one NUL, so that its sides do not join."""
    pieces, position = [], 0
    for start, end in ranges:
        pieces.append(text[position:start])
        position = end
    return "\0".join([*pieces, text[position:]])


def error_kind(gold: Span, predicted: Span) -> str:
    """What is wrong with a pair: nothing (``correct``), its ``boundary``, its ``type``, or ``both``."""
    same_ends = (gold.start, gold.end) == (predicted.start, predicted.end)
    if gold.type == predicted.type:
        return "correct" if same_ends else "boundary"
    return "type" if same_ends else "boundary_and_type"


class _Table:
    """What `tabulate` fills, one document after the other."""

    def __init__(self, types: Sequence[str], modes: Sequence[Mode]) -> None:
        self.types = tuple(types)
        self.column = {name: index for index, name in enumerate(self.types)}
        self.modes = tuple(modes)
        self.sums: dict[str, _Sums] = {}
        self.verdicts = {mode.name: Counter[str]() for mode in modes}
        self.confusion: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[str] = Counter()
        self.num_chars: list[int] = []

    def add(self, case: Case, predicted: Sequence[Span]) -> None:
        """Count one document with the predictions that are in its scope."""
        base = len(self.num_chars) * len(self.types)
        self.num_chars.append(len(case.document.text))
        for name, spans in (("gold", case.document.spans), ("predicted", predicted)):
            for span in spans:
                self._sum(name).add(base + self.column[span.type])
        for component in matching.components(case.document.spans, predicted):
            self._add_component(component, base)
        self._add_extents("chars", case.document.spans, predicted, base)
        gold, said = tokens.extents(case.document.text, case.document.spans, predicted)
        self._add_extents("tokens", gold, said, base)
        self._add_leaks(case.document, union(predicted), base)

    def _sum(self, name: str) -> _Sums:
        return self.sums.setdefault(name, _Sums())

    def _add_component(self, component: Component, base: int) -> None:
        for mode in self.modes:
            paired = matching.pairs(component, mode)
            self.verdicts[mode.name].update(matching.verdicts(component, paired))
            for gold, _, credit in paired:
                if credit:
                    self._sum(f"mode:{mode.name}").add(base + self.column[gold.type], round(2 * credit))
        self._add_errors(component)
        for span in component.predicted:
            if not any(span.overlaps(gold) for gold in component.gold):
                self._sum("alarms").add(base + self.column[span.type])

    def _add_errors(self, component: Component) -> None:
        paired = matching.pairs(component, matching.LIKENESS)
        for gold, predicted, _ in paired:
            self.confusion[gold.type, predicted.type] += 1
            self.errors[error_kind(gold, predicted)] += 1
        partners = Counter(gold for gold, _, _ in paired), Counter(said for _, said, _ in paired)
        for gold in (Counter(component.gold) - partners[0]).elements():
            self.confusion[gold.type, ""] += 1
            self.errors["missed"] += 1
        for predicted in (Counter(component.predicted) - partners[1]).elements():
            self.confusion["", predicted.type] += 1
            self.errors["spurious"] += 1

    def _add_extents(self, unit: str, gold: Sequence[Span], predicted: Sequence[Span], base: int) -> None:
        """Count characters or tokens, each once for a type, however many spans of it lie there."""
        for kind in {span.type for span in (*gold, *predicted)}:
            cell = base + self.column[kind]
            there, said = (union(span for span in spans if span.type == kind) for spans in (gold, predicted))
            for name, ranges in (("gold", there), ("said", said)):
                if size := sum(end - start for start, end in ranges):
                    self._sum(f"{name}_{unit}").add(cell, size)
            if right := sum(covered(start, end, said) for start, end in there):
                self._sum(f"right_{unit}").add(cell, 2 * right)

    def _add_leaks(self, document: Document, hidden: Sequence[tuple[int, int]], base: int) -> None:
        left = remainder(document.text, hidden) if document.spans else ""
        for span in document.spans:
            cell = base + self.column[span.type]
            uncovered = len(span) - covered(span.start, span.end, hidden)
            if uncovered:
                self._sum("leaked_chars").add(cell, uncovered)
                self._sum("touched").add(cell)
            # One character stands in many words: alone it betrays its value only at its own place.
            if uncovered == len(span) or (len(span) > 1 and span.value(document.text) in left):
                self._sum("whole").add(cell)

    def finished(self, num_out_of_scope: int) -> Tables:
        """Turn the sums into arrays."""
        shape = (len(self.num_chars), len(self.types))
        cells = {name: sums.array(*shape) for name, sums in self.sums.items()}

        def of(name: str) -> Cells:
            return cells.get(name, np.zeros(shape, dtype=np.int32))

        def spans_of(mode: Mode) -> Tally:
            tally = Tally(of(f"mode:{mode.name}"), of("gold"), of("predicted"))
            if mode.typed:
                return tally
            blind = (a.sum(axis=1, keepdims=True) for a in (tally.correct, tally.gold, tally.predicted))
            return Tally(*blind)

        return Tables(
            types=self.types,
            spans={mode.name: spans_of(mode) for mode in self.modes},
            verdicts=self.verdicts,
            characters=Tally(of("right_chars"), of("gold_chars"), of("said_chars")),
            tokens=Tally(of("right_tokens"), of("gold_tokens"), of("said_tokens")),
            confusion=self.confusion,
            errors=self.errors,
            leaked_characters=of("leaked_chars"),
            touched_values=of("touched"),
            whole_values=of("whole"),
            false_alarms=of("alarms"),
            num_chars=np.asarray(self.num_chars, dtype=np.float32),
            num_out_of_scope=num_out_of_scope,
        )


def tabulate(cases: Iterable[Case], taxonomy: Taxonomy, modes: Sequence[Mode]) -> Tables:
    """Count every case; predictions of types that its document does not know are left out and counted.

    Gold spans are taken as they are: `evaluation.gold` has refused what cannot be scored.
    """
    table, out_of_scope = _Table([t.name for t in taxonomy], modes), 0
    for case in cases:
        known = labelled_types(case.document, taxonomy)
        predicted = [span for span in case.predicted if span.type in known]
        out_of_scope += len(case.predicted) - len(predicted)
        table.add(case, predicted)
    return table.finished(out_of_scope)


def macro_f1(tally: Tally, rows: NDArray[np.bool_]) -> float | None:
    """Mean F1 of the types that have gold in these documents: a type that nobody labelled has no F1."""
    scores = [
        rate
        for column in range(tally.gold.shape[1])
        if tally.gold[rows, column].any() and (rate := tally.rates(rows, [column])["f1"].value) is not None
    ]
    return sum(scores) / len(scores) if scores else None


def types_seen(tables: Tables) -> Iterator[tuple[int, str]]:
    """Columns of the types that have gold or predictions."""
    tally = tables.spans[matching.STRICT.name]
    for column, name in enumerate(tables.types):
        if tally.gold[:, column].any() or tally.predicted[:, column].any():
            yield column, name
