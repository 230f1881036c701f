"""From candidates of validation documents to weights and thresholds; everything from a seed.

A logistic regression with an L2 penalty over standardised features. Whatever is measured of it here is
measured on documents that took no part in the fit: five folds by document, each scored by the fit of the
other four.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import reliability
from pii.spans import Span
from serving import merging
from serving.candidates import Candidate
from serving.scoring import BIAS, OperatingPoints, probability

NUM_FOLDS = 5
MIN_SUPPORT = 10
"""Candidates that must have a feature before it gets a weight; rarer types have the common weights alone."""
MIN_OF_A_KIND = 5
"""Right candidates, and as many wrong ones, without which nothing is fitted."""
PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths of the L2 penalty; the one with the least log loss on held-out folds is taken."""
THRESHOLDS = tuple(step / 100 for step in range(1, 100))
BETAS = {"recall": 3.0, "balanced": 1.0, "precision": 1 / 3}
"""Operating point → beta of the strict F-beta that its threshold maximises: a missed span counts as much as
beta squared wrong ones."""

Weights = dict[str, float]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The candidates of one document and its gold spans."""

    candidates: tuple[Candidate, ...]
    gold: frozenset[Span]

    @property
    def right(self) -> list[bool]:
        """Whether each candidate is a gold span: type and both ends."""
        return [candidate.span in self.gold for candidate in self.candidates]


@dataclass(frozen=True, slots=True)
class Fit:
    """What came out: weights, thresholds and what was measured on the way."""

    weights: Weights
    operating_points: OperatingPoints
    facts: dict[str, Any]


def fit(documents: Sequence[Labelled], seed: int) -> Fit | None:
    """Fit weights and thresholds; None where there is too little to learn from.

    Args:
        documents: validation documents with their candidates.
        seed: deals the documents into folds.
    """
    folds = _folds(len(documents), seed)
    if not _learnable(documents, folds):
        return None
    right = [label for document in documents for label in document.right]
    penalty = min(PENALTIES, key=lambda strength: _log_loss(_held_out(documents, folds, strength), right))
    unseen = _held_out(documents, folds, penalty)
    scored = _with_scores(documents, unseen)
    counts = {threshold: _counts(scored, documents, threshold) for threshold in THRESHOLDS}
    points = _operating_points(counts)
    facts = {
        "num_documents": len(documents),
        "num_candidates": len(right),
        "num_right": sum(right),
        "seed": seed,
        "penalty": penalty,
        "before": reliability.judge(_raw_scores(documents), right),
        "after": reliability.judge(unseen, right),
        "strict_f1": {
            "patterns": _f1(_tally([_by(d, "pattern") for d in documents], documents)),
            "model": _f1(_tally([_by(d, "model") for d in documents], documents)),
            "without_scores": _f1(_tally([merging.by_prior(_spans(d)) for d in documents], documents)),
            "balanced": _f1(_counts(scored, documents, points.balanced)),
        },
    }
    return Fit(_weights(documents, penalty), points, facts)


# --- the regression ---------------------------------------------------------------------------------


def _weights(documents: Sequence[Labelled], penalty: float) -> Weights:
    """Weights for the features as they are: the standardisation of the fit is undone."""
    from sklearn.linear_model import LogisticRegression

    names = _supported(documents)
    matrix = np.array([[c.features.get(n, 0.0) for n in names] for d in documents for c in d.candidates])
    right = np.array([label for document in documents for label in document.right])
    means, deviations = matrix.mean(axis=0), matrix.std(axis=0)
    deviations[deviations == 0] = 1.0
    regression = LogisticRegression(C=penalty, max_iter=2000)
    regression.fit((matrix - means) / deviations, right)
    raw: NDArray[np.float64] = regression.coef_[0] / deviations
    bias = float(regression.intercept_[0] - (raw * means).sum())
    # Six digits are more than a score shows, and keep the manifest readable.
    return {BIAS: round(bias, 6), **{n: round(float(w), 6) for n, w in zip(names, raw, strict=True)}}


def _supported(documents: Sequence[Labelled]) -> list[str]:
    counts = Counter(name for document in documents for c in document.candidates for name in c.features)
    return sorted(name for name, count in counts.items() if count >= MIN_SUPPORT)


def _folds(num_documents: int, seed: int) -> list[int]:
    """The fold of each document."""
    dealt = [index % NUM_FOLDS for index in range(num_documents)]
    random.Random(seed).shuffle(dealt)
    return dealt


def _learnable(documents: Sequence[Labelled], folds: Sequence[int]) -> bool:
    """Whether there is enough that is right and enough that is wrong, with any one fold left out too."""
    for left_out in range(NUM_FOLDS):
        kept = [d.right for d, fold in zip(documents, folds, strict=True) if fold != left_out]
        num_right, num_wrong = sum(map(sum, kept)), sum(labels.count(False) for labels in kept)
        if min(num_right, num_wrong) < MIN_OF_A_KIND:
            return False
    return True


def _held_out(documents: Sequence[Labelled], folds: Sequence[int], penalty: float) -> list[float]:
    """The score of every candidate by the weights of the folds that its document is not in."""
    weights = [
        _weights([d for d, of in zip(documents, folds, strict=True) if of != fold], penalty)
        for fold in range(NUM_FOLDS)
    ]
    return [
        probability(weights[fold], candidate.features)
        for document, fold in zip(documents, folds, strict=True)
        for candidate in document.candidates
    ]


def _log_loss(scores: Sequence[float], right: Sequence[bool]) -> float:
    chances = (score if is_right else 1 - score for score, is_right in zip(scores, right, strict=True))
    return -sum(math.log(max(chance, 1e-12)) for chance in chances)


def _raw_scores(documents: Sequence[Labelled]) -> list[float]:
    """What would be believed without a calibration: the finder's probability; 1 of a pattern or several."""
    return [_raw_score(candidate) for document in documents for candidate in document.candidates]


def _raw_score(candidate: Candidate) -> float:
    source = candidate.span.source or ""
    if source not in ("model", "tagger"):
        return 1.0
    parts = ("opening_logprob", "type_logprob", "value_logprob") if source == "model" else ("tagger_lowest",)
    return math.exp(min(0.0, sum(candidate.features.get(part, 0.0) for part in parts)))


# --- the operating points ---------------------------------------------------------------------------

_Counts = tuple[int, int, int]
"""Right spans, gold spans, answered spans."""


def _spans(document: Labelled) -> list[Span]:
    return [candidate.span for candidate in document.candidates]


def _by(document: Labelled, detector: str) -> list[Span]:
    return [span for span in _spans(document) if detector in (span.source or "")]


def _with_scores(documents: Sequence[Labelled], scores: Sequence[float]) -> list[list[Span]]:
    left = iter(scores)
    return [[replace(span, score=next(left)) for span in _spans(document)] for document in documents]


def _tally(answers: Sequence[Sequence[Span]], documents: Sequence[Labelled]) -> _Counts:
    right = sum(len(d.gold.intersection(answer)) for answer, d in zip(answers, documents, strict=True))
    return right, sum(len(d.gold) for d in documents), sum(map(len, answers))


def _counts(scored: Sequence[Sequence[Span]], documents: Sequence[Labelled], threshold: float) -> _Counts:
    return _tally([merging.by_score(spans, threshold) for spans in scored], documents)


def _f1(counts: _Counts, beta: float = 1.0) -> float:
    """Strict F-beta, van Rijsbergen's: (1 + b²) right / (b² gold + answered)."""
    right, gold, answered = counts
    below = beta**2 * gold + answered
    return round((1 + beta**2) * right / below, 4) if below else 0.0


def _operating_points(counts: dict[float, _Counts]) -> OperatingPoints:
    """For each point the threshold of the highest F-beta; of equally good ones the middle one."""
    chosen = {}
    for name, beta in BETAS.items():
        marks = {threshold: _f1(counts[threshold], beta) for threshold in THRESHOLDS}
        best = [threshold for threshold, mark in marks.items() if mark == max(marks.values())]
        chosen[name] = best[len(best) // 2]
    # Few documents may put them out of order by a step.
    chosen["recall"] = min(chosen["recall"], chosen["balanced"])
    chosen["precision"] = max(chosen["precision"], chosen["balanced"])
    return OperatingPoints(**chosen)
