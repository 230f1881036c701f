"""From values to spans: where in the text is what the model wrote?

Mentions come in order of appearance, so the alignment keeps their order and lets repeated values land on
successive occurrences. What cannot be placed is reported, never dropped silently and never invented.
"""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pii.codec import Mention
from pii.spans import Span

MAX_OCCURRENCES = 4096
"""Most occurrences of one value that are looked at; a one-letter value in a long text has more."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Result of `ground`: `spans` sorted and without overlap, `unplaced` in the order written."""

    spans: tuple[Span, ...]
    unplaced: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """A text without what writers vary: width, case, separators; `offsets` lead back to the original.

    Attributes:
        text: the folded text.
        offsets: for each folded code point, the index of the original code point it came from.
    """

    text: str
    offsets: tuple[int, ...]


_SEPARATORS = frozenset(" \t\r\n-‐‑‒–—―−.·•_()（）[]/,，、")


def fold(text: str) -> Folded:
    """Fold width (NFKC) and case; drop separators, zero-width and other format characters."""
    folded: list[str] = []
    offsets: list[int] = []
    for index, char in enumerate(text):
        for piece in unicodedata.normalize("NFKC", char).casefold():
            if piece in _SEPARATORS or piece.isspace() or unicodedata.category(piece) == "Cf":
                continue
            folded.append(piece)
            offsets.append(index)
    return Folded("".join(folded), tuple(offsets))


def _occurrences(haystack: str, needle: str) -> list[int]:
    found: list[int] = []
    position = haystack.find(needle)
    while position >= 0 and len(found) < MAX_OCCURRENCES:
        found.append(position)
        position = haystack.find(needle, position + 1)
    return found


def _splits_word(text: str, index: int) -> bool:
    """Whether a cut before `index` divides a run of ASCII letters and digits."""
    return 0 < index < len(text) and all(c.isascii() and c.isalnum() for c in text[index - 1 : index + 1])


def _places(text: str, value: str, folded: Folded | None) -> list[tuple[int, int]]:
    """All (start, end) where the value stands: exact ones, or else folded ones."""
    exact = [(start, start + len(value)) for start in _occurrences(text, value)]
    if exact or folded is None:
        return exact
    needle = fold(value).text
    if not needle:
        return []
    return [
        (folded.offsets[start], folded.offsets[start + len(needle) - 1] + 1)
        for start in _occurrences(folded.text, needle)
    ]


@dataclass(frozen=True, slots=True)
class _Step:
    """One node of the alignment: the mention placed here, and the best chain before it."""

    score: tuple[int, int]
    mention: int
    place: tuple[int, int]
    before: _Step | None


def ground(text: str, mentions: Sequence[Mention]) -> Grounding:
    """Align mentions to the text.

    Among all alignments that keep the order and do not overlap, the one is taken that places the most
    mentions, then cuts the fewest words (``123`` is not looked for inside ``A1234``), then stands furthest
    left. Mentions out of order are placed afterwards at their first free occurrence. Exact occurrences come
    first; only a value that stands nowhere exactly is compared without width, case and separators.
    """
    folded: Folded | None = None
    places: list[list[tuple[int, int]]] = []
    for mention in mentions:
        found = _places(text, mention.value, None)
        if not found and mention.value:
            folded = folded or fold(text)
            found = _places(text, mention.value, folded)
        places.append(found)

    chosen = _align(text, places)
    free = sorted(chosen.values())
    for index, candidates in enumerate(places):
        if index in chosen:
            continue
        ranked = sorted(candidates, key=lambda p: _splits_word(text, p[0]) + _splits_word(text, p[1]))
        for place in ranked:
            at = bisect.bisect(free, place)
            clear_left = at == 0 or free[at - 1][1] <= place[0]
            clear_right = at == len(free) or place[1] <= free[at][0]
            if clear_left and clear_right:
                chosen[index] = place
                free.insert(at, place)
                break

    spans = tuple(sorted(Span(*place, mentions[i].type) for i, place in chosen.items()))
    return Grounding(spans, tuple(m for i, m in enumerate(mentions) if i not in chosen))


def _align(text: str, places: Sequence[Sequence[tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    """Best order-preserving choice of a place for each mention: index of mention → place.

    Dynamic programming over a frontier of chains that no other chain dominates (ends earlier or as early
    with a score as high): ends ascending, scores strictly ascending.
    """
    ends: list[int] = [0]
    chains: list[_Step | None] = [None]
    for mention, candidates in enumerate(places):
        additions: list[tuple[int, _Step]] = []
        for place in candidates:
            at = bisect.bisect_right(ends, place[0]) - 1
            before = chains[at]
            placed, clean = before.score if before else (0, 0)
            cuts = _splits_word(text, place[0]) + _splits_word(text, place[1])
            additions.append((place[1], _Step((placed + 1, clean - cuts), mention, place, before)))
        for end, step in additions:
            at = bisect.bisect_right(ends, end)
            if at > 0 and _score(chains[at - 1]) >= step.score:
                continue
            first = at - 1 if at > 0 and ends[at - 1] == end else at
            last = first
            while last < len(ends) and _score(chains[last]) <= step.score:
                last += 1
            ends[first:last] = [end]
            chains[first:last] = [step]
    chosen: dict[int, tuple[int, int]] = {}
    last_step = chains[-1]
    while last_step is not None:
        chosen[last_step.mention] = last_step.place
        last_step = last_step.before
    return chosen


def _score(step: _Step | None) -> tuple[int, int]:
    return step.score if step else (0, 0)
