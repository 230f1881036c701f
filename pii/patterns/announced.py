"""What the label before a place announces, for spans that somebody else has marked there."""

from __future__ import annotations

from pii.folding import lowered, scan
from pii.patterns.finder import vocabulary
from pii.patterns.labelled import JOIN
from pii.patterns.labels import Labels

_REACH = 40
"""Characters that a label and what joins it to its value may take."""


def announced(text: str, at: int) -> tuple[str, ...]:
    """The types that a label right before a place announces, `NOT_PERSONAL` among them; none without a label.

    Args:
        text: any text.
        at: where a value begins.
    """
    lower = lowered(scan(text[max(0, at - _REACH) : at]).text)
    for label in reversed(Labels(lower, vocabulary().places(lower)).all):
        # What ends a line may be the last heading of a table: it says nothing of the next line's first cell.
        if JOIN.fullmatch(lower, label.end) and "\n" not in lower[label.end :]:
            return label.types
    return ()
