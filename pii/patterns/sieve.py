"""Which finders can find anything in which of many texts: a few passes in C over all of them together.

Most texts hold nothing. The expressions and words by which the finders go
are relaxed (`pii.patterns.relaxed`) and put together into a few expressions for RE2. Texts are joined, folded
and searched as one; a text in which nothing matches need not be read by itself. That may let through too
much, and never too little: a finder that reads everything is what the tests compare with.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pii.folding import scannable
from pii.patterns import addresses, columns, emails, labelled, names, shaped
from pii.patterns.labels import table
from pii.patterns.relaxed import compiled, one_of
from pii.patterns.rewritten import PLACES, without_layout

SHAPES, LABELS, WORDING, LAYOUT = 1, 2, 4, 8
"""What a text may hold: a value whose shape gives it away; a label and what it announces; a name or an
address that needs no label; a value that layout cuts up, which only the second reading shows."""

EVERY = SHAPES | LABELS | WORDING | LAYOUT
"""Nothing is known of a text: all finders read it."""

MAX_CHARS = 1 << 15
"""Texts are taken together until they have so many code points."""

_MARK = "\0"
_BETWEEN = f"\n{_MARK}\n"
"""Stands between texts. A line break is what finders take the end of a text for; no expression has to have
the mark, so that what matches across it matches too much."""


def blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in groups that are worth sieving together."""
    block: list[str] = []
    num_chars = 0
    for text in texts:
        block.append(text)
        num_chars += len(text)
        if num_chars >= MAX_CHARS:
            yield block
            block, num_chars = [], 0
    if block:
        yield block


def sieved(texts: Sequence[str]) -> list[int]:
    """For each text what it may hold, of `SHAPES`, `LABELS`, `WORDING` and `LAYOUT`; 0: nothing is found."""
    joined = _BETWEEN.join(texts)
    if joined.count(_MARK) != len(texts) - 1:
        return [EVERY] * len(texts)  # a text that holds the mark itself
    folded = scannable(joined)
    try:
        encoded, ends = _encoded(folded)
    except UnicodeEncodeError:
        return [EVERY] * len(texts)  # lone surrogates
    kinds = [0] * len(texts)
    for kind, sieve in ((SHAPES, _shapes()), (LABELS, _labels()), (WORDING, _wording())):
        for row in sieve(encoded, ends):
            kinds[row] |= kind
    for row in _cut_up(folded):
        kinds[row] |= LAYOUT
    return kinds


def _cut_up(folded: str) -> Iterator[int]:
    """Of joined texts those in which the second reading may find something."""
    ends = [*(found.end() for found in re.finditer(_MARK, folded)), len(folded)]
    rows = sorted({row for place in PLACES for row in _rows(place.search, folded, ends)})
    if rows:
        apart = folded.split(_BETWEEN)
        again, ends = _encoded(_BETWEEN.join(without_layout(apart[row]) for row in rows))
        for sieve in (_shapes(), _labels()):
            yield from (rows[at] for at in sieve(again, ends))


def _encoded(folded: str) -> tuple[bytes, list[int]]:
    """Joined texts in UTF-8, and where each of them ends."""
    encoded = f"{folded}{_BETWEEN}".encode()
    return encoded, [found.end() for found in re.finditer(_MARK.encode(), encoded)]


_Search = Callable[[Any, int], Any]
"""Where an expression matches next, from a position on: as `re.Pattern.search`."""


def _rows(search: _Search, joined: Any, ends: Sequence[int]) -> Iterator[int]:
    """Of joined texts those in which an expression matches, and maybe some in which a match only begins."""
    at = 0
    while (found := search(joined, at)) and (row := bisect.bisect_right(ends, found.start())) < len(ends):
        yield row
        # What else is in this text does not matter any more.
        at = ends[row]


_Sieve = Callable[[bytes, Sequence[int]], Iterator[int]]


def _with_marked(search: _Search, mark: str, marked: Iterable[str]) -> _Sieve:
    """A sieve with further expressions, which would make the first one slow.

    Args:
        search: finds the first one.
        mark: without this character the others do not match, and few texts have it.
        marked: the others.
    """
    search_marked, needed = compiled(marked).search, mark.encode()

    def sieve(joined: bytes, ends: Sequence[int]) -> Iterator[int]:
        yield from _rows(search, joined, ends)
        at = joined.find(needed)
        while at >= 0:
            row = bisect.bisect_right(ends, at)
            if search_marked(joined, ends[row - 1] if row else 0, ends[row]):
                yield row
            at = joined.find(needed, ends[row])

    return sieve


@functools.cache
def _shapes() -> _Sieve:
    search = compiled((*shaped.anywhere(starred=False), *emails.anywhere())).search
    return _with_marked(search, "*", shaped.anywhere(starred=True))


@functools.cache
def _wording() -> _Sieve:
    return functools.partial(_rows, compiled((*names.anywhere(), *addresses.anywhere())).search)


@functools.cache
def _labels() -> _Sieve:
    groups = _by_what_follows()
    search = compiled(
        f"{one_of(_shortest(words))}(?:{'|'.join(behind)})" for behind, words in groups.items()
    ).search
    stands = _standing(groups)

    def search_standing(joined: bytes, at: int) -> Any:
        while (found := search(joined, at)) and not stands(joined, found.start()):
            at = found.start() + 1
        return found

    # Any number of characters may stand before the dot: all else would have to wait for it.
    of_people = _shortest(word for word, types in table().items() if "PERSON_NAME" in types)
    return _with_marked(search_standing, "·", [f"{one_of(of_people)}{names.dotted()}"])


_CONTINUED = re.compile(rb"(?<=[A-Za-z])(?:[A-Za-z]|-[0-9A-Za-z])")


def _standing(groups: Mapping[tuple[str, ...], Iterable[str]]) -> Callable[[bytes, int], bool]:
    """Tells whether no letter touches what seems to be an English label; RE2 cannot see that.

    Otherwise the ``ip`` of iPhone and the ``ph`` of Photo would let through half of all English words.
    """
    behind = {
        word.encode(): match
        for follows, words in groups.items()
        for match in (compiled(follows).match,)
        for word in words
        if word[0].isascii()
    }
    lengths = sorted({len(word) for word in behind})

    def stands(joined: bytes, start: int) -> bool:
        if joined[start] > 0x7F:
            return True  # Chinese ones may touch anything
        if joined[max(0, start - 1) : start].isalpha():
            return False
        begun = joined[start : start + lengths[-1]].lower().replace(b"_", b" ")
        for length in lengths:
            end = start + length
            match = behind.get(begun[:length])
            if match and not _CONTINUED.match(joined, end) and match(joined, end):
                return True
        return False

    return stands


def _by_what_follows() -> Mapping[tuple[str, ...], list[str]]:
    """What has to stand behind a label for anything to be found → the words."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for word, types in table().items():
        groups.setdefault(_behind(types), []).append(word)
    return groups


@functools.cache
def _behind(types: tuple[str, ...]) -> tuple[str, ...]:
    return *columns.behind(), *labelled.behind(types), *names.behind(types), *addresses.behind(types)


def _shortest(words: Iterable[str]) -> Iterator[str]:
    """The words without those that end in another one: where 客户姓名 stands, 姓名 does."""
    known = set(words)
    for word in known:
        if not any(word[at:] in known and _stands_in(word, at) for at in range(1, len(word))):
            yield word


def _stands_in(word: str, at: int) -> bool:
    """Whether the label at the end of another one stands wherever that does.

    An English one does not in cellphone, where a letter touches it, nor in 用户uid, behind which letters may
    come that must not come behind uid.
    """
    return not word[at].isascii() or (word[0].isascii() and not word[at - 1 : at + 1].isalpha())
