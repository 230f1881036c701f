"""Label words: ``手机号：``, ``password is``, ``my SSN`` - where they stand and what they announce."""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from configs.reader import StrictConfig, parse, read_yaml
from pii.patterns.vocabulary import Place, apart, longest, spaced

NOT_PERSONAL = "NOT_PERSONAL"
"""The pseudo-type of labels that announce a number which is nobody's: order, tracking, version, hotline."""


class LabelWords(StrictConfig):
    """The words that announce values of one type."""

    zh: tuple[str, ...] = ()
    """Chinese labels; they may touch other characters on both sides."""
    en: tuple[str, ...] = ()
    """English labels in lower case; no letter may touch them."""


class _Table(StrictConfig):
    types: Mapping[str, LabelWords]
    not_values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """One place where a label word stands, in offsets of the scanned text."""

    start: int
    end: int
    types: tuple[str, ...]


@functools.cache
def _file() -> _Table:
    return parse(read_yaml(Path(__file__).with_name("labels.yaml")), _Table, "labels.yaml")


@functools.cache
def not_values() -> frozenset[str]:
    """Words that stand behind a label of a password or user name and are neither."""
    return frozenset(_file().not_values)


@functools.cache
def table() -> Mapping[str, tuple[str, ...]]:
    """Label word (lower case, ``_`` as a space) → the types that it may announce.

    English ones also as fields are named: ``fullName`` and ``full-name`` for ``full name``.
    """
    words: dict[str, list[str]] = {}
    for name, labels in _file().types.items():
        for word in (*labels.zh, *labels.en):
            plain = spaced(word.lower())
            for written in dict.fromkeys((plain, plain.replace(" ", "-"), plain.replace(" ", ""))):
                words.setdefault(written, []).append(name)
    return {word: tuple(types) for word, types in words.items()}


def is_label(word: str) -> bool:
    """Whether a word announces values itself, as a heading or a name of a field does."""
    return spaced(word.lower()) in table()


Trie: TypeAlias = "dict[str, Trie]"
"""Character → what may follow it; the empty key says that a word may end here."""


def trie_pattern(words: Iterable[str]) -> str:
    """A regular expression for the longest of many words, without trying them one by one."""
    trie: Trie = {}
    for word in words:
        node = trie
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    return _branch(trie)


def _branch(node: Trie) -> str:
    branches = [re.escape(char) + _branch(child) for char, child in node.items() if char]
    if not branches:
        return ""
    joined = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    return f"(?:{joined})?" if "" in node else joined


_LONGER_TOKEN = re.compile(r"(?<=[a-z])(?:[a-z]|-[0-9a-z])")


def _continues(lower: str, end: int) -> bool:
    """Whether a label ends inside a longer word or token: ``emp`` in ``employ`` and in ``EMP-123``."""
    return _LONGER_TOKEN.match(lower, end) is not None


def _begins(lower: str, start: int) -> bool:
    """Whether no letter stands before a label."""
    return not (start and "a" <= lower[start - 1] <= "z")


def _standing(lower: str, places: Sequence[Place]) -> Iterator[Place]:
    """The places where a label stands: Chinese ones apart from each other, others where a word begins."""
    chinese = [place for place in places if not place.word[0].isascii()]
    yield from apart(chinese)
    if len(chinese) < len(places):
        for place in longest(place for place in places if place.word[0].isascii()):
            if _begins(lower, place.start) and not _continues(lower, place.end):
                yield place


class Labels:
    """All label words of one scanned text.

    Args:
        lower: the scanned text in lower case (`pii.folding.lowered`).
        places: where words stand in it, labels among them.
    """

    def __init__(self, lower: str, places: Iterable[Place]) -> None:
        known = table()
        known_places = [place for place in places if place.word in known]
        found = (Label(start, end, known[word]) for start, end, word in _standing(lower, known_places))
        # Where two end together (支付宝uid, uid) the longer one is meant.
        by_end: dict[int, Label] = {}
        for label in found:
            if label.end not in by_end or label.start < by_end[label.end].start:
                by_end[label.end] = label
        self.all: list[Label] = [by_end[end] for end in sorted(by_end)]
        self._ends = [label.end for label in self.all]
        self._lower = lower

    @functools.cached_property
    def by_place(self) -> Mapping[tuple[int, int], Label]:
        """Each label by where it begins and ends."""
        return {(label.start, label.end): label for label in self.all}

    def before(self, start: int, reach: int) -> Label | None:
        """The last label that ends within ``reach`` characters before ``start``, on the same line."""
        at = bisect.bisect_right(self._ends, start) - 1
        if at < 0 or start - self.all[at].end > reach:
            return None
        label = self.all[at]
        return None if _PARTED.search(self._lower, label.end, start) else label

    def near(self, start: int, end: int, type: str, reach: int) -> bool:
        """Whether a label of the type stands within ``reach`` characters before or after."""
        at = bisect.bisect_right(self._ends, start) - 1
        while at >= 0 and start - self._ends[at] <= reach:
            if type in self.all[at].types and not _PARTED.search(self._lower, self._ends[at], start):
                return True
            at -= 1
        at = bisect.bisect_right(self._ends, end)
        return (
            at < len(self.all)
            and 0 <= self.all[at].start - end <= 3
            and type in self.all[at].types
            and self._lower[end : self.all[at].start].strip(" \t") in ("(", "", "号", "的", "号的")
        )


# A sentence or paragraph ends between a label and the value: the label is not about it.
_PARTED = re.compile(r"[。！!？?;；]|\n[ \t]*\n|[.] ")
