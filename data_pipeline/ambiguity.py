"""Can the answer format say it? It holds no offsets, so equal strings must not compete.

A value that also stands in the text where it is no entity may be grounded there. Such a text is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pii.codec import Mention
from pii.grounding import ground
from pii.spans import Span


def _occurrences(text: str, value: str) -> int:
    """How often the value stands in the text, overlaps counted."""
    count, at = 0, text.find(value)
    while at >= 0:
        count += 1
        at = text.find(value, at + 1)
    return count


def is_ambiguous(text: str, spans: Sequence[Span]) -> bool:
    """Whether grounding the values in order of appearance gives other spans than these.

    Where every value stands exactly as often as it is labelled, the places are the spans, and the costly
    alignment is not asked.
    """
    labelled = Counter(span.value(text) for span in spans)
    if all(_occurrences(text, value) == count for value, count in labelled.items()):
        return False
    mentions = [Mention(span.type, span.value(text)) for span in spans]
    return ground(text, mentions).spans != tuple(spans)
