"""One list of spans out of the model's and the patterns', by one rule.

1. Equal spans are one span, found by both; the pattern gives its subtype.
2. Where two overlap, the stronger one stays: a pattern whose checksum holds, then the model, then a pattern
   that only fits by context or shape. Among equally strong ones the longer stays, then the one further left.
3. A weaker span of *another* type keeps what it covers outside the stronger one, where that is at least half
   of it: a phone number inside an address does not make the rest of the address public.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pii.patterns import Match
from pii.spans import Span

_CHECKED, _MODEL, _SHAPED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A span and its strength; a lower rank is stronger."""

    span: Span
    rank: int

    @property
    def order(self) -> tuple[int, int, int, str]:
        return (self.rank, -len(self.span), self.span.start, self.span.type)


@dataclass(slots=True)
class _Kept:
    """Spans that do not overlap, sorted."""

    starts: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def overlapping(self, span: Span) -> list[Span]:
        first = bisect.bisect_right(self.starts, span.start)
        if first > 0 and self.spans[first - 1].end > span.start:
            first -= 1
        return self.spans[first : bisect.bisect_left(self.starts, span.end)]

    def add(self, span: Span) -> None:
        at = bisect.bisect(self.starts, span.start)
        self.starts.insert(at, span.start)
        self.spans.insert(at, span)


def merge(text: str, model_spans: Iterable[Span], matches: Iterable[Match]) -> tuple[Span, ...]:
    """Merge what both detectors found in a text by the module's rule; sorted, without overlap."""
    kept = _Kept()
    for candidate in sorted(_candidates(model_spans, matches), key=lambda c: c.order):
        rest: Span | None = candidate.span
        for stronger in kept.overlapping(candidate.span):
            if rest is not None and rest.overlaps(stronger):
                rest = _outside(text, rest, stronger)
        # At least half of the whole, however many stronger ones took their part.
        if rest is not None and 2 * len(rest) >= len(candidate.span):
            kept.add(rest)
    return tuple(kept.spans)


def _candidates(model_spans: Iterable[Span], matches: Iterable[Match]) -> Iterable[_Candidate]:
    found = {span: _Candidate(replace(span, source="model"), _MODEL) for span in model_spans}
    for match in matches:
        rank = _CHECKED if match.evidence == "checksum" else _SHAPED
        before = found.get(match.span)
        if before is None:
            found[match.span] = _Candidate(replace(match.span, source="pattern"), rank)
        else:
            both = replace(before.span, subtype=match.span.subtype, source="model+pattern")
            found[match.span] = _Candidate(both, min(rank, before.rank))
    return found.values()


def _outside(text: str, span: Span, stronger: Span) -> Span | None:
    """The longer part of a span beside a stronger one of another type, without punctuation at its ends."""
    if span.type == stronger.type:
        return None
    parts = [(span.start, min(span.end, stronger.start)), (max(span.start, stronger.end), span.end)]
    start, end = max(parts, key=lambda part: part[1] - part[0])
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return replace(span, start=start, end=end) if start < end else None
