"""Where a value stands again: once a name, always a name.

A value that a detector found in one place is the same value elsewhere in the text, whether or not anything
beside it says so there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from pii.spans import Span

SHORTEST_LATIN, SHORTEST_HAN = 4, 2
"""Shorter values occur by chance: they count only where detectors mark them."""

LONGEST = 200
"""Longer values are sentences, or whole addresses, and do not come again."""

_FEW = 64
"""Up to so many values, looking for one after the other is quickest."""


class Seeker:
    """Looks for many values at once, in time linear in the text.

    Args:
        values: what is sought; none of them empty.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(values)
        by_length: dict[int, list[str]] = {}
        for value in self._values:
            by_length.setdefault(len(value), []).append(value)
        self._head = min([SHORTEST_HAN, *by_length])
        self._lengths: dict[str, list[int]] = {}
        for length in sorted(by_length, reverse=True):
            for head in {value[: self._head] for value in by_length[length]}:
                self._lengths.setdefault(head, []).append(length)

    def beginning(self, text: str, start: int) -> Iterator[str]:
        """The values that begin at a place, the longest first."""
        for length in self._lengths.get(text[start : start + self._head], ()):
            value = text[start : start + length]
            # At the end of the text a shorter slice is found under its own length.
            if len(value) == length and value in self._values:
                yield value

    def places(self, text: str) -> Iterator[tuple[int, str]]:
        """Every place where a value begins, with the value, overlaps included."""
        lengths, head = self._lengths, self._head
        for start in range(len(text) - head + 1):
            if text[start : start + head] in lengths:
                for value in self.beginning(text, start):
                    yield start, value


def standing(values: Collection[str], text: str) -> set[str]:
    """Those of the values that stand anywhere in a text."""
    if len(values) <= _FEW:
        return {value for value in values if value in text}
    return {value for _, value in Seeker(values).places(text)}


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
    if not origins:
        return []
    between = list(_between(known, len(text)))
    # In most texts nothing stands again: a search in C says so before each place is looked at.
    again = standing(origins, "\n".join(text[start:end] for start, end in between))
    if not again:
        return []
    seeker, spans = Seeker(again), list[Span]()
    for start, end in between:
        done = start
        for at, value in seeker.places(text[start:end]):
            begin, stop = start + at, start + at + len(value)
            if begin >= done and _is_apart(text, begin, stop):
                spans.append(replace(origins[value], start=begin, end=stop, source="propagated"))
                done = stop
    return spans


def _between(known: Iterable[Span], end: int) -> Iterable[tuple[int, int]]:
    """What lies between spans, as (start, end)."""
    done = 0
    for span in known:
        yield done, span.start
        done = span.end
    yield done, end


def _is_apart(text: str, start: int, end: int) -> bool:
    """Whether what stands at a place is no part of a longer word."""
    return not (joined(text[start], text[start - 1 : start]) or joined(text[end - 1], text[end : end + 1]))
