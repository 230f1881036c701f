"""What every finder sees, and what it reports."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pii.folding import Folded, lowered
from pii.patterns.labels import Labels
from pii.patterns.match import Evidence


class Scanned:
    """One text, folded for recognisers (`pii.folding.scan`); offsets of candidates are those of `text`.

    Attributes:
        folded: the fold with the way back to the original.
        text: the folded text.
        lower: the same in lower case, of the same length.
        labels: where label words stand.
        islands: (start, end) of the regions around digits; most recognisers need not look elsewhere.
        dense: those of them that hold at least `DENSE` digits.
    """

    def __init__(self, folded: Folded) -> None:
        self.folded = folded
        self.text = self.folded.text
        self.lower = lowered(self.text)
        self.labels = Labels(self.lower)
        self.islands, self.dense = _islands(self.text)


_DIGITS = re.compile(r"[0-9]+")
_RUN = re.compile(r"[\t-~·°′″]{5,}")
"""What identifiers are written with; no recogniser by shape finds one of fewer characters."""

_FAR = 96
"""Longer than what may stand before or behind the digits of one value: a wallet's 90 characters."""

_NEAR = 12
"""Longer than the Chinese that belongs to a value: the 京 of a plate, the 转 of an extension."""


DENSE = 6
"""Fewer digits than any telephone, identity or card number has; most islands are a year or a count."""


def _islands(text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    islands: list[tuple[int, int]] = []
    num_digits: list[int] = []
    for run in _RUN.finditer(text):
        first, last = max(0, run.start() - _NEAR), min(len(text), run.end() + _NEAR)
        for digits in _DIGITS.finditer(text, run.start(), run.end()):
            start, end = max(first, digits.start() - _FAR), min(last, digits.end() + _FAR)
            if islands and start <= islands[-1][1]:
                islands[-1] = (islands[-1][0], max(end, islands[-1][1]))
                num_digits[-1] += digits.end() - digits.start()
            else:
                islands.append((start, end))
                num_digits.append(digits.end() - digits.start())
    return islands, [island for island, num in zip(islands, num_digits, strict=True) if num >= DENSE]


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
