"""Where a value stands again: once a name, always a name.

A value that a detector found in one place is the same value elsewhere in the text, whether or not anything
beside it says so there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pii.spans import Span

SHORTEST_LATIN, SHORTEST_HAN = 4, 2
"""Shorter values occur by chance: they count only where detectors mark them."""

LONGEST = 200
"""Longer values are sentences, or whole addresses, and do not come again."""

_HEAD = SHORTEST_HAN


def worth_seeking(value: str) -> bool:
    """Whether a value is long enough to be no accident where it stands again."""
    return len(value) >= (SHORTEST_LATIN if value.isascii() else SHORTEST_HAN)


def joined(edge: str, beside: str) -> bool:
    """Whether a neighbour continues the Latin word or number at whose edge it stands.

    Args:
        edge: the first or last character of a value.
        beside: the one next to it; empty at the ends of a text.
    """
    return edge.isascii() and beside.isascii() and beside.isalnum()


def further(text: str, found: Iterable[Span]) -> list[Span]:
    """Where the values of spans stand once more, outside all of the spans; sorted, without overlap.

    Exactly as they are written, as words of their own in Latin script, the longest value first where several
    begin at one place. A value of two types takes that of its surest span. In time linear in the text and in
    the values, times the number of their lengths that share a beginning.

    Args:
        text: the text.
        found: what is known of it; sorted, without overlap.

    Returns:
        Spans with type, subtype and score of the one that they repeat, and the source ``propagated``.
    """
    known = list(found)
    origins: dict[str, Span] = {}
    for span in sorted(known, key=lambda span: -(span.score or 0.0)):
        value = span.value(text)
        if worth_seeking(value) and len(value) <= LONGEST:
            origins.setdefault(value, span)
    lengths: dict[str, list[int]] = {}
    for length in sorted({len(value) for value in origins}, reverse=True):
        for head in {value[:_HEAD] for value in origins if len(value) == length}:
            lengths.setdefault(head, []).append(length)
    spans, at = [], 0
    for start, end in _between(known, len(text)):
        at = start
        while at < end:
            again = _beginning(text, at, end, lengths.get(text[at : at + _HEAD], ()), origins)
            spans += [again] if again else []
            at = again.end if again else at + 1
    return spans


def _between(known: Iterable[Span], end: int) -> Iterable[tuple[int, int]]:
    """What lies between spans, as (start, end)."""
    done = 0
    for span in known:
        yield done, span.start
        done = span.end
    yield done, end


def _beginning(
    text: str, start: int, limit: int, lengths: Iterable[int], origins: dict[str, Span]
) -> Span | None:
    """The longest value that begins at a place and ends before the limit."""
    for end in (start + length for length in lengths):
        origin = origins.get(text[start:end]) if end <= limit else None
        if origin is None or joined(text[start], text[start - 1 : start]):
            continue
        if not joined(text[end - 1], text[end : end + 1]):
            return replace(origin, start=start, end=end, source="propagated")
    return None
