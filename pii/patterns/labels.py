"""Label words: ``手机号：``, ``password is``, ``my SSN`` - where they stand and what they announce."""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from configs.reader import StrictConfig, parse, read_yaml

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


def _spaced(lower: str) -> str:
    """``api_key`` reads as ``api key``."""
    return lower.replace("_", " ")


@functools.cache
def table() -> Mapping[str, tuple[str, ...]]:
    """Label word (lower case, ``_`` as a space) → the types that it may announce.

    English ones also as fields are named: ``fullName`` and ``full-name`` for ``full name``.
    """
    words: dict[str, list[str]] = {}
    for name, labels in _file().types.items():
        for word in (*labels.zh, *labels.en):
            plain = _spaced(word.lower())
            for written in dict.fromkeys((plain, plain.replace(" ", "-"), plain.replace(" ", ""))):
                words.setdefault(written, []).append(name)
    return {word: tuple(types) for word, types in words.items()}


def is_label(word: str) -> bool:
    """Whether a word announces values itself, as a heading or a name of a field does."""
    return _spaced(word.lower()) in table()


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


@dataclass(frozen=True)
class _Words:
    """The table, cut in two: Chinese labels are looked for everywhere, others only where a word begins.

    Attributes:
        pairs: a first character of a Chinese label before a possible second one.
        beginnings: the first two characters of each Chinese label.
        chinese: first character → the labels that begin with it.
        other: all labels that begin with an ASCII letter.
        first_words: the words that those begin with.
    """

    pairs: re.Pattern[str]
    beginnings: frozenset[str]
    chinese: Mapping[str, re.Pattern[str]]
    other: re.Pattern[str]
    first_words: frozenset[str]


@functools.cache
def _words() -> _Words:
    chinese = [word for word in table() if not word[0].isascii()]
    other = [word for word in table() if word[0].isascii()]
    firsts, seconds = ("".join(sorted({word[at] for word in chinese})) for at in (0, 1))
    first = (_WORD.match(word) for word in other)
    return _Words(
        re.compile(f"[{firsts}](?=[{seconds}])"),
        frozenset(word[:2] for word in chinese),
        {first: re.compile(trie_pattern([word for word in chinese if word[0] == first])) for first in firsts},
        re.compile(trie_pattern(other)),
        frozenset(match[0] for match in first if match),
    )


_WORD = re.compile(r"[a-z]+")
_LONGER_TOKEN = re.compile(r"(?<=[a-z])(?:[a-z]|-[0-9a-z])")


def _continues(lower: str, end: int) -> bool:
    """Whether a label ends inside a longer word or token: ``emp`` in ``employ`` and in ``EMP-123``."""
    return _LONGER_TOKEN.match(lower, end) is not None


def _occurrences(lower: str) -> Iterator[re.Match[str]]:
    """Every place where a label stands, in no order.

    A cheap question goes before each costly one: do two characters begin a Chinese label, is a word the first
    of an English one? Only then the labels that begin so are tried.
    """
    words = _words()
    beginnings = words.beginnings
    end = 0
    for pair in words.pairs.finditer(lower):
        start = pair.start()
        if lower[start : start + 2] not in beginnings or start < end:
            continue
        if found := words.chinese[pair[0]].match(lower, start):
            end = found.end()
            yield found
    first_words, match = words.first_words, words.other.match
    for word in _WORD.finditer(lower):
        found = match(lower, word.start()) if word[0] in first_words else None
        if found and not _continues(lower, found.end()):
            yield found


class Labels:
    """All label words of one scanned text.

    Args:
        lower: the scanned text in lower case (`pii.folding.lowered`).
    """

    def __init__(self, lower: str) -> None:
        known = table()
        found = (Label(*match.span(), known[match[0]]) for match in _occurrences(_spaced(lower)))
        # Where two end together (支付宝uid, uid) the longer one is meant.
        longest: dict[int, Label] = {}
        for label in found:
            if label.end not in longest or label.start < longest[label.end].start:
                longest[label.end] = label
        self.all: list[Label] = [longest[end] for end in sorted(longest)]
        self._ends = [label.end for label in self.all]
        self._lower = lower

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
