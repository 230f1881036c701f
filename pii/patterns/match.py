"""What a recogniser reports, and which of several that overlap is kept."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pii.spans import Span

Evidence = Literal["checksum", "context", "shape"]
"""Why a match is believed: its checksum holds; a label or context word names it; its shape is distinctive."""

_RANK: dict[Evidence, int] = {"shape": 0, "context": 1, "checksum": 2}


@dataclass(frozen=True, slots=True)
class Match:
    """One find.

    Attributes:
        span: offsets of the original text, with ``source="pattern"`` and the validator's subtype.
        evidence: the strongest reason for it.
        rule: the recogniser's name, such as ``cn_mobile``.
        labelled: a label of the type stands right before it, whatever the evidence.
    """

    span: Span
    evidence: Evidence
    rule: str
    labelled: bool = False

    @property
    def rank(self) -> tuple[int, bool, int, int]:
        """Larger wins: evidence, then a label, then length, then the earlier start."""
        return _RANK[self.evidence], self.labelled, len(self.span), -self.span.start


def resolve(matches: Iterable[Match]) -> list[Match]:
    """The matches of highest rank that do not overlap, in order of the text."""
    starts: list[int] = []
    kept: list[Match] = []
    for match in sorted(matches, key=lambda m: (m.rank, m.span.type, m.rule), reverse=True):
        at = bisect.bisect(starts, match.span.start)
        if at > 0 and kept[at - 1].span.end > match.span.start:
            continue
        if at < len(kept) and match.span.end > kept[at].span.start:
            continue
        starts.insert(at, match.span.start)
        kept.insert(at, match)
    return kept
