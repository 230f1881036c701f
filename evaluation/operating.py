"""Scores on measured documents: are they calibrated, and what does each operating point give?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation import matching, reliability
from evaluation.intervals import Column, Ratio, estimates
from evaluation.metrics import Case, Cells, tabulate
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
    """

    document: Document
    candidates: tuple[Span, ...]
    by_patterns: tuple[Span, ...]

    def answered(self, threshold: float) -> Case:
        """With what extraction answers."""
        return Case(self.document, merging.by_score(self.candidates, threshold))

    def hidden(self, threshold: float) -> Case:
        """With what redaction hides (`serving.extractor.Extraction.suspected`)."""
        over = (span for span in self.candidates if (span.score or 0.0) > threshold)
        return Case(self.document, (*over, *self.by_patterns))


def measure(
    documents: Sequence[Marked],
    thresholds: Mapping[str, float],
    taxonomy: Taxonomy,
    num_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The report's part on scores.

    Args:
        documents: the measured ones.
        thresholds: operating point → score from which a candidate counts.
        taxonomy: the known types.
        num_resamples: behind every interval.
        seed: draws them.

    Returns:
        ``calibration``: `reliability.judge` over all candidates; ``operating_points``: name → threshold,
        strict rates and false alarms of what is answered, leakage of what is redacted.
    """
    judged = [(s.score or 0.0, s in d.document.spans) for d in documents for s in d.candidates]
    points = {}
    for name, threshold in thresholds.items():
        ratios = _ratios(documents, threshold, taxonomy)
        found = estimates(list(ratios.values()), num_resamples, seed)
        rates = {rate: estimate.as_json() for rate, estimate in zip(ratios, found, strict=True)}
        points[name] = {"threshold": threshold, **rates}
    return {
        "calibration": reliability.judge([score for score, _ in judged], [right for _, right in judged]),
        "operating_points": points,
    }


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
