"""From values to spans: where in the text is what the model wrote?

Mentions come in order of appearance, so the alignment keeps their order and lets repeated values land on
successive occurrences. What cannot be placed is reported, never dropped silently and never invented.
"""

from __future__ import annotations

import bisect
import itertools
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pii.codec import Mention
from pii.folding import Folded, compare
from pii.spans import Span

MAX_OCCURRENCES = 4096
"""Most occurrences of one value that are looked at; a one-letter value in a long text has more."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Where the mentions are.

    Attributes:
        spans: sorted and without overlap.
        mentions: for each span, the index of the mention that it places.
        unplaced: the other mentions, in the order written.
    """

    spans: tuple[Span, ...]
    mentions: tuple[int, ...]
    unplaced: tuple[Mention, ...]


def ground(text: str, mentions: Sequence[Mention]) -> Grounding:
    """Align mentions to the text.

    Among all alignments that keep the order and do not overlap, the one is taken that places the most
    mentions, then cuts the fewest words (``123`` is not looked for inside ``A1234``), then ends furthest
    left, the last mention first. Mentions out of order are placed afterwards at their first free
    occurrence. Exact occurrences come first; only a value that stands nowhere exactly is compared without
    width, case and separators, and then it has to be whole words.
    """
    finder = _Finder(text)
    known: dict[str, _Places] = {}
    for mention in mentions:
        if mention.value not in known:
            known[mention.value] = finder.places(mention.value)

    chosen = _align([known[mention.value] for mention in mentions])
    taken = sorted(chosen.values())
    # A place that is taken stays so: each value's places are gone through once, however often it repeats.
    untried = {value: iter(places) for value, places in known.items()}
    for index, mention in enumerate(mentions):
        if index not in chosen:
            for place in untried[mention.value]:
                if _take(taken, place):
                    chosen[index] = place
                    break

    in_order = sorted(chosen, key=lambda index: chosen[index])
    return Grounding(
        spans=tuple(Span(*chosen[index], mentions[index].type) for index in in_order),
        mentions=tuple(in_order),
        unplaced=tuple(m for index, m in enumerate(mentions) if index not in chosen),
    )


# --- places -----------------------------------------------------------------------------------------

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where one value stands, apart by how many words a place cuts: none, one or two.

    Attributes:
        starts: for each number of cuts, the starts in order of the text.
        ends: the ends that belong to them.
    """

    starts: tuple[array[int], array[int], array[int]]
    ends: tuple[array[int], array[int], array[int]]

    def __iter__(self) -> Iterator[_Place]:
        """Best places first: those that cut no word, from left to right."""
        for starts, ends in zip(self.starts, self.ends, strict=True):
            yield from zip(starts, ends, strict=True)

    def after(self, position: int) -> Iterator[tuple[int, _Place]]:
        """For each number of cuts, the first place that starts at ``position`` or later."""
        for cuts, starts in enumerate(self.starts):
            at = bisect.bisect_left(starts, position)
            if at < len(starts):
                yield cuts, (starts[at], self.ends[cuts][at])


class _Finder:
    """Finds values in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._inside_word = _inside_words(text)
        self._folded: Folded | None = None

    def places(self, value: str) -> _Places:
        """All places of a value: exact ones, or else folded ones that cut no word; none if it is empty."""
        found = [(start, start + len(value)) for start in _occurrences(self._text, value)]
        exact = bool(found)
        if value and not exact:
            found = self._folded_places(value)
        starts, ends = (array("I"), array("I"), array("I")), (array("I"), array("I"), array("I"))
        for start, end in found:
            cuts = self._inside_word[start] + self._inside_word[end]
            if exact or not cuts:
                starts[cuts].append(start)
                ends[cuts].append(end)
        return _Places(starts, ends)

    def _folded_places(self, value: str) -> list[_Place]:
        if self._folded is None:
            self._folded = compare(self._text)
        folded, needle = self._folded, compare(value).text
        return [
            folded.original(start, start + len(needle))
            for start in _occurrences(folded.text, needle)
            if _is_whole(folded, start, start + len(needle))
        ]


def _is_whole(folded: Folded, start: int, end: int) -> bool:
    """Whether a folded range is made of whole characters: ``1`` is no part of ``½``."""
    offsets = folded.offsets
    return (start == 0 or offsets[start - 1] != offsets[start]) and (
        end == len(offsets) or offsets[end - 1] != offsets[end]
    )


def _occurrences(haystack: str, needle: str) -> list[int]:
    found: list[int] = []
    position = haystack.find(needle) if needle else -1
    while position >= 0 and len(found) < MAX_OCCURRENCES:
        found.append(position)
        position = haystack.find(needle, position + 1)
    return found


_OF_WORDS = frozenset(("Lu", "Ll", "Lt", "Nd"))
"""Categories of the characters that are written in words with spaces between, at any width: cased letters
and digits. Chinese characters (Lo) are words of their own."""


def _inside_words(text: str) -> bytes:
    """For each position from 0 to the text's length: 1 where a cut before it divides a word."""
    of_words = [unicodedata.category(char) in _OF_WORDS for char in text]
    inner = (left and right for left, right in itertools.pairwise(of_words))
    return bytes((False, *inner, False)) if text else b"\0"


# --- alignment --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """One node of the alignment: the mention placed here, and the best chain before it.

    Attributes:
        score: mentions placed so far, and the words cut for it as a negative number.
    """

    score: tuple[int, int]
    mention: int
    place: _Place
    before: _Step | None


def _align(places: Sequence[_Places]) -> dict[int, _Place]:
    """Best order-preserving choice of a place for each mention: index of mention → place.

    Dynamic programming over the frontier of chains that no other chain dominates (ends earlier or as early
    with a score as high): ends ascending, scores strictly ascending. A chain goes on with the first place
    behind its end, since a place of the same value further right ends no earlier.
    """
    ends: list[int] = [0]
    chains: list[_Step | None] = [None]
    for mention, candidates in enumerate(places):
        # Later chains of the frontier score higher, so that the last one to reach a place is the best.
        reached: dict[_Place, _Step] = {}
        for position, chain in zip(ends, chains, strict=True):
            placed, clean = _score(chain)
            for cuts, place in candidates.after(position):
                reached[place] = _Step((placed + 1, clean - cuts), mention, place, chain)
        for place, step in reached.items():
            _admit(ends, chains, place[1], step)
    chosen: dict[int, _Place] = {}
    last = chains[-1]
    while last is not None:
        chosen[last.mention] = last.place
        last = last.before
    return chosen


def _score(step: _Step | None) -> tuple[int, int]:
    return step.score if step else (0, 0)


def _admit(ends: list[int], chains: list[_Step | None], end: int, step: _Step) -> None:
    """Put a chain into the frontier unless it is dominated, and drop those that it dominates."""
    at = bisect.bisect_right(ends, end)
    if at > 0 and _score(chains[at - 1]) >= step.score:
        return
    first = at - 1 if at > 0 and ends[at - 1] == end else at
    last = first
    while last < len(ends) and _score(chains[last]) <= step.score:
        last += 1
    ends[first:last] = [end]
    chains[first:last] = [step]


def _take(taken: list[_Place], place: _Place) -> bool:
    """Add a place to the sorted, disjoint ones where it is free; says whether it was."""
    at = bisect.bisect(taken, place)
    if at > 0 and taken[at - 1][1] > place[0]:
        return False
    if at < len(taken) and place[1] > taken[at][0]:
        return False
    taken.insert(at, place)
    return True
