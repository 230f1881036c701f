"""Which of the candidates are the answer: one list of spans without overlap.

With scores: the set of candidates that do not overlap and whose scores lie the most above the threshold, all
together (`by_score`). Without scores, because the model folder has no calibration: what the patterns found,
and of model and tagger whatever is not in their way (`by_prior`).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pii.spans import Span

_UNITS = 1_000_000
"""Scores are compared in whole millionths: a sum does not depend on its order, and a tie is a tie."""


class _Worth(NamedTuple):
    """What a set of spans is worth; the larger tuple wins.

    Attributes:
        margin: by how much the scores lie above the threshold, summed, in millionths.
        fewness: the number of spans, negative: one span before two that are worth as much.
        num_chars: covered characters.
    """

    margin: int = 0
    fewness: int = 0
    num_chars: int = 0

    def with_span(self, span: Span, threshold: float) -> _Worth:
        assert span.score is not None
        margin = round((span.score - threshold) * _UNITS)
        return _Worth(self.margin + margin, self.fewness - 1, self.num_chars + len(span))


def by_score(candidates: Iterable[Span], threshold: float) -> tuple[Span, ...]:
    """The best set of candidates that do not overlap; sorted.

    With calibrated scores, the sum of (score - threshold) is the expected number of right spans minus
    `threshold` for each span that is answered: a threshold of half the reachable F1 gives the highest
    expected F1 (Lipton et al. 2014, https://arxiv.org/abs/1402.1892). Of sets worth the same, the one with
    fewer spans is taken, then the one that covers more, then the one whose last span comes first by
    (end, start, type). Weighted interval scheduling, in the time of sorting.

    Args:
        candidates: spans with a score, in any order, overlaps allowed; all different.
        threshold: only scores above it count, from 0 to 1.
    """
    spans = sorted(
        (span for span in candidates if span.score is not None and span.score > threshold),
        key=lambda span: (span.end, span.start, span.type),
    )
    ends = [span.end for span in spans]
    # best[i] is the worth of the best set among the first i spans, before[i] how many of them end before i.
    best, before = [_Worth()], [bisect.bisect_right(ends, span.start) for span in spans]
    for index, span in enumerate(spans):
        best.append(max(best[index], best[before[index]].with_span(span, threshold)))
    return tuple(_chosen(spans, best, before))


def _chosen(spans: Sequence[Span], best: Sequence[_Worth], before: Sequence[int]) -> list[Span]:
    chosen: list[Span] = []
    left = len(spans)
    while left:
        if best[left] == best[left - 1]:
            left -= 1
        else:
            chosen.append(spans[left - 1])
            left = before[left - 1]
    return chosen[::-1]


def by_prior(candidates: Iterable[Span]) -> tuple[Span, ...]:
    """What the patterns found, of the model what touches none of it, and so of the tagger; sorted.

    Nobody has measured these two, so they may add to the patterns and not take from them.

    Args:
        candidates: spans with their `source`; those of one detector do not overlap each other.
    """
    kept: list[Span] = []
    ends: list[int] = []
    for span in sorted(candidates, key=lambda span: (_rank(span), span)):
        # Disjoint, so that the first one to end behind its start is the first that could be in the way.
        at = bisect.bisect_right(ends, span.start)
        if at == len(ends) or kept[at].start >= span.end:
            kept.insert(at, span)
            ends.insert(at, span.end)
    return tuple(kept)


def _rank(span: Span) -> int:
    source = span.source or ""
    return 0 if "pattern" in source else 1 if "model" in source else 2
