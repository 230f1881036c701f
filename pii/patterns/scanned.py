"""What every finder sees, and what it reports."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pii.folding import Folded, lowered, scan
from pii.patterns.labels import Labels
from pii.patterns.match import Evidence


class Scanned:
    """One text, folded for recognisers; offsets of candidates are those of `text`.

    Attributes:
        folded: the fold with the way back to the original.
        text: the folded text.
        lower: the same in lower case, of the same length.
        labels: where label words stand.
        islands: (start, end) of the regions around digits; most recognisers need not look elsewhere.
    """

    def __init__(self, original: str) -> None:
        self.folded: Folded = scan(original)
        self.text = self.folded.text
        self.lower = lowered(self.text)
        self.labels = Labels(self.lower)
        self.islands = _islands(self.text)


_DIGITS = re.compile(r"[0-9]+")
_MARGIN = 96
"""Longer than what may stand before or behind the digits of one value: a wallet's 90 characters."""


def _islands(text: str) -> list[tuple[int, int]]:
    islands: list[tuple[int, int]] = []
    start = end = -1
    for run in _DIGITS.finditer(text):
        if start >= 0 and run.start() - end <= _MARGIN:
            end = run.end() + _MARGIN
            continue
        if start >= 0:
            islands.append((start, min(end, len(text))))
        start, end = max(0, run.start() - _MARGIN), run.end() + _MARGIN
    if start >= 0:
        islands.append((start, min(end, len(text))))
    return islands


@dataclass(frozen=True, slots=True)
class Candidate:
    """One find in offsets of the folded text; the fields mean what they mean in `Match`."""

    start: int
    end: int
    type: str
    rule: str
    evidence: Evidence
    subtype: str | None = None
    labelled: bool = False
