"""What every finder sees, and what it reports."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pii.folding import Folded, lowered
from pii.patterns.labels import Labels
from pii.patterns.match import Evidence
from pii.patterns.regions import Regions
from pii.patterns.vocabulary import Place, Vocabulary


class Scanned:
    """One text, folded for recognisers (`pii.folding.scan`); offsets of candidates are those of `text`.

    All but the text is worked out when a finder asks for it: most texts hold nothing that any would.

    Args:
        folded: the fold with the way back to the original.
        vocabulary: the words that are looked for.

    Attributes:
        text: the folded text.
    """

    def __init__(self, folded: Folded, vocabulary: Vocabulary) -> None:
        self.folded, self.vocabulary = folded, vocabulary
        self.text = folded.text

    @functools.cached_property
    def lower(self) -> str:
        """The text in lower case, of the same length."""
        return lowered(self.text)

    @functools.cached_property
    def places(self) -> list[Place]:
        """Where words of the vocabulary stand."""
        return self.vocabulary.places(self.lower)

    @functools.cached_property
    def labels(self) -> Labels:
        """Where label words stand."""
        return Labels(self.lower, self.places)

    @functools.cached_property
    def regions(self) -> Regions:
        """Where values can stand."""
        return Regions(self.text)


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
