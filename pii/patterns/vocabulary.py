"""The words that recognisers go by - labels, titles, beginnings of keys - found in one pass over a text.

Aho and Corasick (1975), https://doi.org/10.1145/360825.360855: the time does not depend on how many words
there are. Regular expressions, one for each first character of a label, took a quarter of the time of all
recognisers on news.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation

_SURROGATES = re.compile("[\ud800-\udfff]")


def spaced(lower: str) -> str:
    """``api_key`` reads as ``api key``."""
    return lower.replace("_", " ")


class Place(NamedTuple):
    """Where a word stands."""

    start: int
    end: int
    word: str


class Vocabulary:
    """Words that are looked for together.

    Args:
        words: in lower case, with spaces for ``_``; none of them empty.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(dict.fromkeys(words))
        self._automaton = AhoCorasick(self._words, implementation=Implementation.DFA)

    def places(self, lower: str) -> list[Place]:
        """Every place of every word, those inside others too, in order of their ends.

        Args:
            lower: a text in lower case; ``_`` is read as a space.
        """
        text = spaced(lower)
        try:
            found = self._automaton.find_matches_as_indexes(text, overlapping=True)
        except UnicodeEncodeError:
            # Lone surrogates are in no word, and the automaton reads UTF-8 alone.
            text = _SURROGATES.sub("\ufffd", text)
            found = self._automaton.find_matches_as_indexes(text, overlapping=True)
        words = self._words
        return [Place(start, end, words[index]) for index, start, end in found]


def longest(places: Iterable[Place]) -> list[Place]:
    """The longest word at each place where some word begins, in order of the text; they may overlap."""
    by_start = {place.start: place for place in places}  # in order of their ends: the longer one comes later
    return [by_start[start] for start in sorted(by_start)]


def apart(places: Iterable[Place]) -> list[Place]:
    """What a search from left to right for the longest word finds: no two that overlap."""
    kept: list[Place] = []
    for place in longest(places):
        if not kept or place.start >= kept[-1].end:
            kept.append(place)
    return kept
