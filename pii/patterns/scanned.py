"""What every finder sees, and what it reports."""

from __future__ import annotations

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
    """

    def __init__(self, original: str) -> None:
        self.folded: Folded = scan(original)
        self.text = self.folded.text
        self.lower = lowered(self.text)
        self.labels = Labels(self.lower)


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
