"""What every finder sees, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass

from pii.folding import Folded, lowered
from pii.patterns.labels import Labels
from pii.patterns.match import Evidence
from pii.patterns.regions import Regions
from pii.patterns.vocabulary import Vocabulary


class Scanned:
    """One text, folded for recognisers (`pii.folding.scan`); offsets of candidates are those of `text`.

    Args:
        folded: the fold with the way back to the original.
        vocabulary: the words that are looked for.

    Attributes:
        text: the folded text.
        lower: the same in lower case, of the same length.
        places: where words of the vocabulary stand.
        labels: where label words stand.
        regions: where values can stand.
    """

    def __init__(self, folded: Folded, vocabulary: Vocabulary) -> None:
        self.folded, self.vocabulary = folded, vocabulary
        self.text = folded.text
        self.lower = lowered(self.text)
        self.places = vocabulary.places(self.lower)
        self.labels = Labels(self.lower, self.places)
        self.regions = Regions(self.text)


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
