"""Scores on measured documents: are they calibrated, and what does each operating point give?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation import matching, reliability
from evaluation.intervals import Column, Ratio, estimates
from evaluation.metrics import Case, Cells, tabulate
from pii.recurrence import further
from pii.spans import Document, Span
from pii.taxonomy import Taxonomy
from serving import merging


@dataclass(frozen=True, slots=True)
class Marked:
    """A measured document.

    Attributes:
        document: with its gold spans.
        candidates: whatever either detector marked, with its score.
        by_patterns: what the patterns marked, which redaction always hides.
        propagates: whether what is answered is an entity wherever it stands.
    """

    document: Document
    candidates: tuple[Span, ...]
    by_patterns: tuple[Span, ...]
    propagates: bool = False

    def answered(self, threshold: float) -> Case:
        """With what extraction answers."""
        found = merging.by_score(self.candidates, threshold)
        return Case(self.document, (*found, *self._again(found)))

    def hidden(self, threshold: float) -> Case:
        """With what redaction hides (`serving.extraction.Extraction.suspected`)."""
        over = (span for span in self.candidates if (span.score or 0.0) > threshold)
        again = self._again(merging.by_score(self.candidates, threshold))
        return Case(self.document, (*over, *self.by_patterns, *again))

    def _again(self, found: Sequence[Span]) -> Sequence[Span]:
        return further(self.document.text, found) if self.propagates else ()


NUM_THRESHOLDS = 24
"""Points of the curve: as many thresholds, each with about as many candidates between it and the next."""


def measure(
    documents: Sequence[Marked],
    thresholds: Mapping[str, float],
    taxonomy: Taxonomy,
    num_resamples: int,
    seed: int,
    alarm_budgets: Sequence[float] = (),
) -> dict[str, Any]:
    """The report's part on scores.

    Args:
        documents: the measured ones.
        thresholds: operating point → score from which a candidate counts.
        taxonomy: the known types.
        num_resamples: behind every interval.
        seed: draws them.
        alarm_budgets: false alarms per 1,000 characters that a user may be ready to bear.

    Returns:
        ``calibration``: `reliability.judge` over all candidates; ``operating_points``: name → threshold,
        strict rates and false alarms of what is answered, leakage of what is redacted; ``curve``: precision,
        recall and alarms over the thresholds; ``recall_at_alarms``: see `recall_at`.
    """
    judged = [(s.score or 0.0, s in d.document.spans) for d in documents for s in d.candidates]
    points = {}
    for name, threshold in thresholds.items():
        ratios = _ratios(documents, threshold, taxonomy)
        found = estimates(list(ratios.values()), num_resamples, seed)
        rates = {rate: estimate.as_json() for rate, estimate in zip(ratios, found, strict=True)}
        points[name] = {"threshold": threshold, **rates}
    points_of_curve = curve(documents, taxonomy)
    return {
        "curve": points_of_curve,
        "recall_at_alarms": [recall_at(budget, points_of_curve) for budget in alarm_budgets],
        "calibration": reliability.judge([score for score, _ in judged], [right for _, right in judged]),
        "operating_points": points,
    }


def curve(documents: Sequence[Marked], taxonomy: Taxonomy) -> list[dict[str, float | None]]:
    """Strict rates and false alarms over the threshold, from answering everything to answering nothing.

    Each point has ``threshold``, ``precision``, ``recall`` and ``alarms_per_1000_characters``.
    """
    scores = sorted({s.score or 0.0 for d in documents for s in d.candidates})
    if not scores:
        return []
    chosen = {scores[round(i * (len(scores) - 1) / (NUM_THRESHOLDS - 1))] for i in range(NUM_THRESHOLDS)}
    num_chars = sum(len(d.document.text) for d in documents)
    points = []
    for threshold in sorted({0.0, *chosen}):
        tables = tabulate((d.answered(threshold) for d in documents), taxonomy, [matching.STRICT])
        rates = tables.spans["strict"].rates(np.ones(len(documents), dtype=np.bool_))
        point = {name: rates[name].value for name in ("precision", "recall")}
        alarms = 1000 * int(tables.false_alarms.sum()) / max(num_chars, 1)
        points.append({"threshold": threshold, **point, "alarms_per_1000_characters": round(alarms, 4)})
    return points


def recall_at(budget: float, points: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The best recall of a `curve` with at most so many false alarms per 1,000 characters, and its threshold.

    Null where every point raises more.
    """
    allowed = [
        p for p in points if p["recall"] is not None and (p["alarms_per_1000_characters"] or 0) <= budget
    ]
    best = max(allowed, key=lambda p: (p["recall"] or 0.0, p["threshold"] or 0.0), default=None)
    if best is None:
        return {"budget": budget, "recall": None, "threshold": None}
    return {"budget": budget, "recall": best["recall"], "threshold": best["threshold"]}


def _ratios(documents: Sequence[Marked], threshold: float, taxonomy: Taxonomy) -> dict[str, Ratio]:
    answered = tabulate((d.answered(threshold) for d in documents), taxonomy, [matching.STRICT])
    hidden = tabulate((d.hidden(threshold) for d in documents), taxonomy, [matching.STRICT])
    free = (_per_document(answered.spans["strict"].gold) == 0).astype(np.float32)
    alarms = _per_document(answered.false_alarms)
    return {
        **answered.spans["strict"].rates(np.ones(len(documents), dtype=np.bool_)),
        "leaked_characters": Ratio(
            _per_document(hidden.leaked_characters), _per_document(hidden.characters.gold)
        ),
        "alarms_per_1000_characters": Ratio(1000 * alarms, answered.num_chars, is_share=False),
        "free_documents_with_alarm": Ratio((alarms > 0) * free, free),
    }


def _per_document(cells: Cells) -> Column:
    summed: Column = cells.sum(axis=1).astype(np.float32)
    return summed
